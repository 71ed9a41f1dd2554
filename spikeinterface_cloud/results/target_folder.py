"""The folder of one sorter at the target: what lies there, and what takes its place."""

import logging
from collections.abc import Set as AbstractSet

from spikeinterface_cloud.results.completion import (
    NAME,
    CompletedFile,
    Completion,
    differs_from_folder,
    differs_from_listing,
    read_completion,
    write_completion,
)
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import (
    ClaimLost,
    CloudJobError,
    RecordingError,
    SourceError,
    UnavailableError,
)
from spikeinterface_cloud.results.layout import FOR_PEOPLE, RAW_SORTING, SORTING, is_managed
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.runtime.disk import NoRoom
from spikeinterface_cloud.storage.remote_file import s3_files
from spikeinterface_cloud.storage.s3 import StoredObject
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.upload import upload

logger = logging.getLogger(__name__)


class StoredFolder:
    """What the target has of one sorter, as it was when it was last looked at."""

    def __init__(self, sorter: str, results: Results) -> None:
        self._sorter = sorter
        self._results = results
        self._folder = results.folder / sorter
        self._objects: dict[str, StoredObject] = {}

    def is_there(self) -> bool:
        """Whether there is a target, and it is this job's: without, there is nothing to look at."""
        return self._results.storage is not None

    def look(self) -> None:
        """List what is there.

        Raises
        ------
        TransferError
            the network gave out
        """
        try:
            found = self._storage.objects_below(self._place)
        except SourceError as error:  # a role that may only write: nothing can be resumed
            logger.warning("%s; so an earlier attempt cannot be used", error)
            found = []
        self._objects = {
            stored.location.key.removeprefix(f"{self._place.key}/"): stored for stored in found
        }

    def holds_sorting(self) -> bool:
        """Whether units are there that some job has found."""
        return any(path.startswith((f"{SORTING}/", f"{RAW_SORTING}/")) for path in self._objects)

    def read(self) -> Completion | None:
        """What is finished there, as its record says; None without one.

        Raises
        ------
        TransferError
            the network gave out
        """
        if NAME not in self._objects:
            return None
        try:
            return read_completion(self._storage.read_object(self._place.child(NAME)))
        except SourceError as error:
            logger.warning("%s", error)
            return None

    def difference(self, completion: Completion) -> str | None:
        """What is not there as it was left; None where everything is."""
        return differs_from_listing(completion, self._objects)

    def fetch(self, completion: Completion) -> str | None:
        """Fetch what is not in the results folder; why that is not what was left, or None.

        Raises
        ------
        TransferError, UnavailableError
            it could not be fetched
        """
        chosen = [self._objects[each.path] for each in completion.files if self._may_fetch(each)]
        try:
            download(s3_files(self._storage, chosen, self._place), self._folder)
        except (SourceError, RecordingError) as error:
            return str(error)
        except NoRoom as error:
            raise UnavailableError(
                f"{error.what}; give RESULTS_FOLDER a disk with room for what an earlier attempt "
                "found"
            ) from error
        return differs_from_folder(completion, self._folder)

    def publish(self, completion: Completion, before: Completion | None) -> Completion:
        """Upload what the target has not got of `before`, then the record, with the ETags that the
        files have got, and here as well; remove what they replace.

        Raises
        ------
        TargetError, TransferError, UnavailableError
            it could not be uploaded, or the record not be written
        """
        known = {each.path: each for each in before.files} if before else {}
        changed = [
            self._folder / each.path
            for each in completion.files
            if self._lacks(each, known.get(each.path))
        ]
        if changed:
            part = "" if completion.analyzed else f"/{completion.sorting_folder()}"
            name = f"{self._sorter}{part}"
            self._results.publish_files(name, changed)
        self.look()
        files = tuple(self._with_etag(each) for each in completion.files)
        completion = completion.model_copy(update={"files": files})
        self._publish_record(completion)
        self._remove_others({each.path for each in files})
        return completion

    def _may_fetch(self, entry: CompletedFile) -> bool:
        """Whether the file is to be fetched: what somebody has decided in phy here is not."""
        return not (entry.path.startswith(FOR_PEOPLE) and (self._folder / entry.path).exists())

    def _lacks(self, entry: CompletedFile, before: CompletedFile | None) -> bool:
        stored = self._objects.get(entry.path)
        if before is None or stored is None or before.sha256 != entry.sha256:
            return True
        return stored.etag != before.etag

    def _with_etag(self, entry: CompletedFile) -> CompletedFile:
        stored = self._objects.get(entry.path)
        return entry.model_copy(update={"etag": stored.etag}) if stored else entry

    def _publish_record(self, completion: Completion) -> None:
        place = self._place.child(NAME)
        try:
            write_completion(completion, self._folder)
        except UnavailableError:  # the target may have room all the same
            self._storage.write_object(place, completion.text().encode(), "application/json")
            raise
        upload([(self._folder / NAME, place)], self._storage)

    def _remove_others(self, listed: AbstractSet[str]) -> None:
        """Remove what this program has written there besides these files."""
        keeps_phy = any(path.startswith(FOR_PEOPLE) for path in listed)
        superseded = [
            stored.location
            for path, stored in self._objects.items()
            if path not in listed
            and is_managed(path)
            # what people have added in phy belongs to what is kept there
            and not (keeps_phy and path.startswith(FOR_PEOPLE))
        ]
        try:
            self._storage.remove_objects(superseded)
        except CloudJobError as error:
            logger.warning(
                "%d files of an earlier run stay in %s (%s has those that belong together): %s",
                *(len(superseded), self._place, NAME, error),
            )

    @property
    def _place(self) -> S3Location:
        return self._results.place(self._sorter)

    @property
    def _storage(self) -> Storage:
        storage = self._results.storage
        if storage is None:  # the claim was lost since it was asked for
            raise ClaimLost(f"{self._results} is written by another attempt")
        return storage
