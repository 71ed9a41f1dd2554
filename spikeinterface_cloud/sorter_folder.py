"""The folder of one sorter, in the results and at the target: what an earlier attempt left there,
and what takes its place.

Earlier results go only when there are others to replace them, and never lie among those of another
job: `completed.json`, written last, lists what belongs together.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import partial

from spikeinterface_cloud.completion import (
    NAME,
    CompletedFile,
    Completion,
    completion_of,
    differs_from_folder,
    differs_from_listing,
    read_completion,
)
from spikeinterface_cloud.errors import (
    CloudJobError,
    RecordingError,
    SourceError,
    UnavailableError,
)
from spikeinterface_cloud.exports.outcome import ExportRun
from spikeinterface_cloud.result_files import (
    FAILED,
    FOR_PEOPLE,
    OWN_FOLDERS,
    RAW_SORTING,
    SORTING,
    files_of,
    is_own,
)
from spikeinterface_cloud.results import Results
from spikeinterface_cloud.sorting import SorterRun
from spikeinterface_cloud.transfer.download import download
from spikeinterface_cloud.transfer.remote import s3_files
from spikeinterface_cloud.transfer.storage import Storage, StoredObject
from spikeinterface_cloud.transfer.upload import upload
from spikeinterface_cloud.workplace import room_for_results

logger = logging.getLogger(__name__)


class SorterFolder:
    """One sorter's results, and what they were made from."""

    def __init__(self, sorter: str, fingerprint: str, results: Results) -> None:
        self.sorter = sorter
        self.path = results.folder / sorter
        #: of an earlier attempt at the same job, and as it was left
        self.earlier: Completion | None = None
        self._fingerprint = fingerprint
        self._results = results
        self._stored: dict[str, StoredObject] = {}
        self._set_aside = results.folder / f".{sorter}.earlier"

    def look(self) -> None:
        """Find what an earlier attempt at the same job left, at the target where there is one.

        Raises
        ------
        TransferError
            the network gave out
        """
        self._put_back()
        self._stored = self._listing()
        found = self._read()
        if found is None:
            return
        if found.fingerprint != self._fingerprint:
            logger.info("%s: what is there is the result of another job", self.sorter)
            return
        if reason := self._difference(found):
            logger.warning("%s: an earlier attempt cannot be used: %s", self.sorter, reason)
            return
        self.earlier = found

    def holds_another_job(self) -> bool:
        """Whether the results folder has what another job found with the sorter."""
        there = any((self.path / name).exists() for name in (NAME, SORTING, RAW_SORTING))
        return there and not self._holds_this_job()

    def bring(self) -> Completion | None:
        """Have the files of an earlier attempt in the results folder, verified; None where there
        are none that can be used.

        Raises
        ------
        TransferError, UnavailableError
            they could not be fetched
        """
        earlier = self.earlier
        if earlier is None:
            return None
        if self._results.storage is not None:
            self._set_phy_of_another_job_aside()
            if reason := self._fetch(earlier, self._results.storage):
                logger.warning("%s: an earlier attempt cannot be used: %s", self.sorter, reason)
                self.earlier = None
                return None
            self._write(earlier)
        self._clean([entry.path for entry in earlier.files])
        return earlier

    def earlier_exports(self) -> list[ExportRun]:
        """The exports that an earlier attempt has made."""
        return self.earlier.export_runs() if self.earlier else []

    def begin(self) -> None:
        """Make room in the results folder, as the sorter will run anew: what an earlier job found
        is set aside until there is something else."""
        self.earlier = None
        if any((self.path / name).is_dir() for name in (SORTING, RAW_SORTING)):
            self.path.rename(self._set_aside)
        self._clean([])
        (self.path / NAME).unlink(missing_ok=True)

    def finish_sorting(self, run: SorterRun) -> None:
        """Publish what the sorter found, in `raw_sorting`, before it is analysed; what was there of
        an earlier job goes.

        Raises
        ------
        TargetError, TransferError, UnavailableError
            it could not be kept
        """
        self._finish(run, (), analysed=False)

    def finish(self, run: SorterRun, exports: Sequence[ExportRun]) -> None:
        """Publish all that this job has of the sorter, or why it failed; `exports` are those of
        every sorter so far.

        Raises
        ------
        TargetError, TransferError, UnavailableError
            it could not be kept
        """
        raw_sorting = self.path / RAW_SORTING
        if run.outcome != "failed":
            made = {each.export: each for each in self.earlier_exports()}
            made |= {
                each.export: each
                for each in exports
                if each.sorter == self.sorter and not each.error
            }
            if self._is_missing(made):
                self._finish(run, tuple(made.values()), analysed=True)
        elif self.earlier is None:
            self._fail()
        else:  # the analysis failed
            if raw_sorting.is_dir():
                shutil.rmtree(self.path / SORTING, ignore_errors=True)
                shutil.copytree(raw_sorting, self.path / SORTING)
            self._finish(self.earlier.sorter_run(), (), analysed=False)

    def _fail(self) -> None:
        """Publish what a sorter said that failed, and keep what an earlier run found with it."""
        name = self.sorter
        stored = any(path.startswith((f"{SORTING}/", f"{RAW_SORTING}/")) for path in self._stored)
        if self._set_aside.exists() or stored:
            logs = self.path.rename(self.path.with_name(f".{name}.{FAILED}"))
            self._put_back()
            shutil.rmtree(self.path / FAILED, ignore_errors=True)
            self.path.mkdir(exist_ok=True)
            logs.rename(self.path / FAILED)
            name = f"{name}/{FAILED}"
            logger.warning(
                "what an earlier run found with %s stays; the logs of this one are in %s",
                self.sorter,
                name,
            )
        self._results.publish(name)

    def _finish(self, run: SorterRun, exports: Sequence[ExportRun], *, analysed: bool) -> None:
        """Publish, or leave it to the job's way out where that is interrupted."""
        finish = partial(self._publish, run, exports, analysed=analysed)
        self._results.waiting = finish
        finish()
        self._results.waiting = None

    def _publish(self, run: SorterRun, exports: Sequence[ExportRun], *, analysed: bool) -> None:
        completion = completion_of(self.path, run, exports, self._fingerprint, analysed=analysed)
        if self._results.storage is not None:
            changed = [self.path / entry.path for entry in completion.files if self._is_new(entry)]
            if changed:
                name = self.sorter if analysed else f"{self.sorter}/{completion.sorting_folder()}"
                self._results.publish_files(name, changed)
            completion = self._publish_record(completion)
        else:
            self._write(completion)
        self._forget_set_aside()
        if completion.sorting_folder() != RAW_SORTING:  # until now it was what could be resumed
            shutil.rmtree(self.path / RAW_SORTING, ignore_errors=True)
        self.earlier = completion

    def _is_missing(self, exports: Mapping[str, ExportRun]) -> bool:
        """Whether there is more than an earlier attempt has left."""
        if self.earlier is None or not self.earlier.analysed:
            return True
        return len(exports) > len(self.earlier.exports)

    def _set_phy_of_another_job_aside(self) -> None:
        """Keep what people have decided in phy about the results of another job, which lie in the
        same folder here, apart from those of this one."""
        phy = self.path / FOR_PEOPLE.rstrip("/")
        if phy.is_dir() and not self._holds_this_job():
            phy.rename(self.path / f"phy-of-another-job-{datetime.now(UTC):%Y%m%dT%H%M%S}")

    def _holds_this_job(self) -> bool:
        record = self.path / NAME
        here = read_completion(record.read_bytes()) if record.is_file() else None
        return here is not None and here.fingerprint == self._fingerprint

    def _may_fetch(self, entry: CompletedFile) -> bool:
        """Whether the file is to be fetched: what somebody has decided in phy here is not."""
        return not (entry.path.startswith(FOR_PEOPLE) and (self.path / entry.path).exists())

    def _is_new(self, entry: CompletedFile) -> bool:
        """Whether the target has not got the file yet."""
        known = {} if self.earlier is None else {each.path: each for each in self.earlier.files}
        before, stored = known.get(entry.path), self._stored.get(entry.path)
        if before is None or stored is None or before.sha256 != entry.sha256:
            return True
        return stored.etag != before.etag

    def _publish_record(self, completion: Completion) -> Completion:
        """Write the record with the ETags that the files have got; then remove what it has not."""
        storage = self._results.storage
        assert storage is not None
        self._stored = self._listing()
        files = tuple(
            entry.model_copy(update={"etag": stored.etag})
            if (stored := self._stored.get(entry.path))
            else entry
            for entry in completion.files
        )
        completion = completion.model_copy(update={"files": files})
        place = self._results.place(f"{self.sorter}/{NAME}")
        try:
            self._write(completion)
        except UnavailableError:  # the target may have room all the same
            body = completion.model_dump_json(indent=2).encode()
            storage.write_object(place, body, "application/json")
            raise
        upload([(self.path / NAME, place)], storage)
        self._remove_others({entry.path for entry in files})
        return completion

    def _remove_others(self, listed: AbstractSet[str]) -> None:
        """Remove from the target what this program has written there besides these files."""
        storage = self._results.storage
        assert storage is not None
        keeps_phy = any(path.startswith(FOR_PEOPLE) for path in listed)
        superseded = [
            stored.location
            for path, stored in self._stored.items()
            if path not in listed
            and is_own(path)
            # what people have added in phy belongs to what is kept there
            and not (keeps_phy and path.startswith(FOR_PEOPLE))
        ]
        try:
            storage.remove_objects(superseded)
        except CloudJobError as error:
            logger.warning(
                "%d files of an earlier run stay in %s (%s has those that belong together): %s",
                *(len(superseded), self._results.place(self.sorter), NAME, error),
            )

    def _write(self, completion: Completion) -> None:
        """Write the record into the results folder, complete or not at all."""
        file = self.path / NAME
        with room_for_results(file):
            unfinished = file.with_name(f".{NAME}.part")
            unfinished.write_text(completion.model_dump_json(indent=2))
            unfinished.replace(file)

    def _fetch(self, earlier: Completion, storage: Storage) -> str | None:
        """Fetch what is not here; why that is not what was left, or None."""
        chosen = [self._stored[entry.path] for entry in earlier.files if self._may_fetch(entry)]
        place = self._results.place(self.sorter)
        try:
            download(s3_files(storage, chosen, place), self.path)
        except (SourceError, RecordingError) as error:
            return str(error)
        return differs_from_folder(earlier, self.path)

    def _clean(self, belonging: Sequence[str]) -> None:
        """Remove from the results folder what this program has left there besides, as of an
        analysis that was killed; what people decide in phy goes with the rest of it."""
        kept = set(belonging)
        kept_folders = {path.partition("/")[0] for path in belonging}
        for path, file in files_of(self.path).items():
            in_kept_phy = path.startswith(FOR_PEOPLE) and "phy" in kept_folders
            if path not in kept and not in_kept_phy:
                file.unlink()
        for name in set(OWN_FOLDERS) - kept_folders:
            shutil.rmtree(self.path / name, ignore_errors=True)

    def _forget_set_aside(self) -> None:
        """Remove the results of an earlier job, but for files that are not this program's."""
        if not self._set_aside.exists():
            return
        for file in files_of(self._set_aside).values():
            file.unlink()
        (self._set_aside / NAME).unlink(missing_ok=True)
        for file in [file for file in self._set_aside.rglob("*") if file.is_file()]:
            place = self.path / file.relative_to(self._set_aside)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.rename(place)
        shutil.rmtree(self._set_aside)

    def _put_back(self) -> None:
        """Give earlier results that were set aside their place again, unless they were replaced."""
        if not self._set_aside.exists():
            return
        if (self.path / NAME).is_file():
            self._forget_set_aside()
            return
        shutil.rmtree(self.path, ignore_errors=True)
        self._set_aside.rename(self.path)

    def _listing(self) -> dict[str, StoredObject]:
        storage = self._results.storage
        if storage is None:
            return {}
        place = self._results.place(self.sorter)
        try:
            found = storage.objects_below(place)
        except SourceError as error:  # a role that may only write: nothing can be resumed
            logger.warning("%s; so an earlier attempt cannot be used", error)
            return {}
        return {stored.location.key.removeprefix(f"{place.key}/"): stored for stored in found}

    def _read(self) -> Completion | None:
        storage = self._results.storage
        if storage is None:
            file = self.path / NAME
            return read_completion(file.read_bytes()) if file.is_file() else None
        if NAME not in self._stored:
            return None
        try:
            return read_completion(
                storage.read_object(self._results.place(f"{self.sorter}/{NAME}"))
            )
        except SourceError as error:
            logger.warning("%s", error)
            return None

    def _difference(self, found: Completion) -> str | None:
        if self._results.storage is None:
            return differs_from_folder(found, self.path)
        return differs_from_listing(found, self._stored)
