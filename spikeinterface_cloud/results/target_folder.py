"""The folder of one sorter at the target."""

import logging
from collections.abc import Set as AbstractSet

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import (
    ClaimLost,
    CloudJobError,
    RecordingError,
    SourceError,
    UnavailableError,
)
from spikeinterface_cloud.results.completion import (
    CompletedFile,
    Completion,
    differs_from_folder,
    differs_from_listing,
    read_completion,
    write_completion,
)
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import COMPLETED, FOR_PEOPLE, is_managed
from spikeinterface_cloud.runtime.disk import NoRoom
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.remote_file import s3_files
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.stored_object import StoredObject
from spikeinterface_cloud.storage.upload import upload

logger = logging.getLogger(__name__)


class TargetFolder:
    """A sorter's results at the target, as last listed."""

    def __init__(self, sorter: str, results: Results) -> None:
        self._sorter = sorter
        self._results = results
        self._folder = results.folder / sorter
        self._objects: dict[str, StoredObject] = {}

    def exists(self) -> bool:
        """Return whether there is a target that this job may write to."""
        return self._results.storage is not None

    def list_objects(self) -> None:
        """List the folder."""
        try:
            self._objects = self._storage.objects_below(self._location)
        except SourceError as error:  # the role may only write
            logger.warning("%s; an earlier attempt cannot be resumed", error)
            self._objects = {}

    def read_completion(self) -> Completion | None:
        """Read `completed.json`; None if there is none."""
        if COMPLETED not in self._objects:
            return None
        try:
            content = self._storage.read_object(self._location.child(COMPLETED))
            return read_completion(content, self._sorter)
        except SourceError as error:
            logger.warning("%s", error)
            return None

    def difference(self, completion: Completion) -> str | None:
        """Return the first difference between the listing and the record, if any."""
        return differs_from_listing(completion, self._objects)

    def fetch(self, completion: Completion) -> str | None:
        """Fetch the files that the results folder lacks.

        Returns
        -------
        str or None
            Why the files are not those of the record.
        """
        wanted = [self._objects[each.path] for each in completion.files if self._may_fetch(each)]
        try:
            download(s3_files(self._storage, wanted, self._location), self._folder)
        except (SourceError, RecordingError) as error:
            return str(error)
        except NoRoom as error:
            raise UnavailableError(
                f"{error.what}; give RESULTS_FOLDER a disk with room for the results of the "
                "earlier attempt"
            ) from error
        return differs_from_folder(completion, self._folder)

    def publish(self, completion: Completion, before: Completion | None) -> Completion:
        """Upload the files that differ from `before`, then `completed.json`; remove all others.

        Returns
        -------
        Completion
            The record with the ETags of the uploaded files.
        """
        known = {each.path: each for each in before.files} if before else {}
        changed = [
            self._folder / each.path
            for each in completion.files
            if self._lacks(each, known.get(each.path))
        ]
        if changed:
            part = "" if completion.analyzed else f"/{completion.sorting_folder()}"
            self._results.publish_files(f"{self._sorter}{part}", changed)
        self.list_objects()
        files = tuple(each.with_etag(self._objects) for each in completion.files)
        completion = completion.model_copy(update={"files": files})
        self._publish_record(completion)
        self.remove_others({COMPLETED, *(each.path for each in files)})
        return completion

    def remove_others(self, keep: AbstractSet[str]) -> None:
        """Remove this program's files except those in `keep`."""
        keeps_phy = any(path.startswith(FOR_PEOPLE) for path in keep)
        superseded = [
            stored.location
            for path, stored in self._objects.items()
            if path not in keep
            and (path == COMPLETED or is_managed(path))
            # files that the user added in phy belong to the kept phy folder
            and not (keeps_phy and path.startswith(FOR_PEOPLE))
        ]
        self._results.confirm_lock()
        try:
            self._storage.remove_objects(superseded)
        except CloudJobError as error:
            logger.warning(
                "%d files of an earlier attempt stay in %s (%s lists those that belong together): "
                "%s",
                *(len(superseded), self._location, COMPLETED, error),
            )

    def _may_fetch(self, entry: CompletedFile) -> bool:
        """Return whether to fetch the file: the user's own decisions in phy are kept."""
        return not (entry.path.startswith(FOR_PEOPLE) and (self._folder / entry.path).exists())

    def _lacks(self, entry: CompletedFile, before: CompletedFile | None) -> bool:
        stored = self._objects.get(entry.path)
        if before is None or stored is None or before.sha256 != entry.sha256:
            return True
        return stored.etag != before.etag

    def _publish_record(self, completion: Completion) -> None:
        self._results.confirm_lock()
        location = self._location.child(COMPLETED)
        try:
            write_completion(completion, self._folder)
        except UnavailableError:  # the disk here is full; the target may have room
            self._storage.write_object(location, completion.text().encode(), "application/json")
            raise
        upload(
            [(self._folder / COMPLETED, location)], self._storage, self._results.confirm_stale_lock
        )

    @property
    def _location(self) -> S3Location:
        return self._results.target_location(self._sorter)

    @property
    def _storage(self) -> Storage:
        storage = self._results.storage
        if storage is None:  # the lock was lost meanwhile
            raise ClaimLost(f"{self._results} is written by another attempt")
        return storage
