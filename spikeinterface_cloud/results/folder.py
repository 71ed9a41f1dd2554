"""The results folder, and the same tree at the target."""

import json
import logging
import threading
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import SourceError, TargetError
from spikeinterface_cloud.results.layout import (
    CLAIM,
    COMPARISON,
    COMPLETED,
    LOG,
    NEW_LOG,
    RECORD,
    REPORT,
    SYNC,
    comparison_files,
    is_comparison,
)
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.runtime.logging import step
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import SHUTDOWN_TIMEOUTS
from spikeinterface_cloud.storage.upload import upload

logger = logging.getLogger(__name__)

#: for another thread that publishes while the job ends, which is given half a minute in all
LONGEST_WAIT_S = 15.0


class ResultsState(Enum):
    """How far the job owns its results folder and its target."""

    #: the checks run; nothing is written to the target
    PREPARING = auto()
    #: the target can be written; another job may be writing to it
    WRITABLE = auto()
    #: this job holds the lock of the target, or there can be none
    LOCKED = auto()
    #: the files of an earlier run that sum it up are gone; this job writes its results
    RUNNING = auto()
    #: an earlier run of this job was complete; only its record and its log are replaced
    DONE = auto()
    #: another attempt took the lock while this one ran; only the results folder is written
    LOST_TARGET = auto()


class Publication:
    """Finished results that are published, once, by whichever thread is first to do it."""

    def __init__(self, publish: Callable[[], None]) -> None:
        self._publish = publish
        self._is_done = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Publish, or wait until another thread has."""
        if not self._lock.acquire(timeout=LONGEST_WAIT_S):
            logger.warning("finished results are still being published as the job ends")
            return
        try:
            if not self._is_done:
                self._publish()
                self._is_done = True
        finally:
            self._lock.release()


class Results:
    """The results of a job, here and at the target, and its record."""

    def __init__(
        self, folder: Path, target: S3Location | None, storage: Storage | None, record: RunRecord
    ) -> None:
        self.folder = folder
        self.target = target
        self.record = record
        self.state = ResultsState.PREPARING
        #: hidden until `run.log` of an earlier run may be replaced
        self.log_file = folder / NEW_LOG
        #: of finished results; begun, and not done
        self.publications: list[Publication] = []
        #: whether `run.json` of this run is at the target
        self.is_record_published = False
        #: raises ClaimLost if another job has had the target since this job locked it
        self.confirm_lock: Callable[[], None] = lambda: None
        #: the same, at once unless this job has been frozen, or out of reach of the target
        self.confirm_stale_lock: Callable[[], None] = lambda: None
        self._storage = storage

    def __str__(self) -> str:
        return str(self.target or self.folder)

    @property
    def storage(self) -> Storage | None:
        """Access to the target; None if there is none, or if this job must not write to it."""
        unknown = (ResultsState.PREPARING, ResultsState.LOST_TARGET)
        return None if self.state in unknown else self._storage

    def target_location(self, name: str) -> S3Location:
        """Return the location of the file or folder `name` at the target, which has to exist."""
        assert self.target is not None
        return self.target.child(name)

    def check_target(self) -> None:
        """Make sure that the target can be written."""
        if self.target is not None and self._storage is not None:
            self._storage.check_writable(self.target)
        self.state = ResultsState.WRITABLE

    def clear_previous_run(self) -> None:
        """Remove the files that sum up an earlier run, before the sorters run.

        `run.json` goes from the target as well, which has none while a job is running. The
        results of sorters stay, as they are those of this job.
        """
        self.state = ResultsState.RUNNING
        for file in (
            *(self.folder / name for name in (RECORD, REPORT, SYNC)),
            *comparison_files(self.folder).values(),
        ):
            file.unlink(missing_ok=True)
        self.show_log()
        if self.storage is None:
            return
        self.confirm_lock()
        try:
            self.storage.remove_object(self.target_location(RECORD))
        except TargetError as error:
            logger.warning("an earlier run.json may stay until this job ends: %s", error)

    def reuse_previous_run(self) -> None:
        """Keep the results of an earlier run, which are complete; replace its record and log."""
        self.state = ResultsState.DONE
        self.show_log()

    def stop_publishing(self) -> None:
        """Write nothing more to the target, which belongs to another job."""
        running = self.state is ResultsState.RUNNING
        self.state = ResultsState.LOST_TARGET if running else ResultsState.PREPARING

    def show_log(self) -> None:
        """Give the log its own name, in place of that of an earlier run."""
        if self.log_file.name == NEW_LOG and self.log_file.exists():
            self.log_file = self.log_file.replace(self.folder / LOG)

    def discard_hidden_log(self) -> None:
        """Remove the log of a job that left an earlier run in its place."""
        (self.folder / NEW_LOG).unlink(missing_ok=True)

    @property
    def wants_report(self) -> bool:
        """Whether this run has to write `report.html`."""
        return self.state is not ResultsState.DONE and not self.folder_keeps_earlier_run()

    def folder_keeps_earlier_run(self) -> bool:
        """Return whether the results folder holds results that this run has not replaced."""
        if self.state in (ResultsState.RUNNING, ResultsState.DONE, ResultsState.LOST_TARGET):
            return False
        if any(self.folder.glob(f"*/{COMPLETED}")):
            return True
        try:
            content = json.loads((self.folder / RECORD).read_bytes())
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(content, dict) and bool(content.get("sorters"))

    def target_keeps_earlier_run(self) -> bool:
        """Return whether this run must leave the target as it is.

        It holds a run that this one has not replaced, or another job writes to it.
        """
        names = {ResultsState.WRITABLE: (RECORD, CLAIM), ResultsState.LOCKED: (RECORD,)}
        return self.storage is not None and any(
            self.storage.object_exists(self.target_location(name))
            for name in names.get(self.state, ())
        )

    def use_short_timeouts(self) -> None:
        """Publish with short timeouts from now on: somebody waits, or the network is gone."""
        if self._storage is not None:
            self._storage = self._storage.with_timeouts(SHUTDOWN_TIMEOUTS)

    def write_record(self) -> None:
        """Write `run.json` into the folder, unless that of an earlier run has to stay."""
        if self.folder_keeps_earlier_run():
            return
        with room_for_results(self.folder / RECORD):
            self.record.write(self.folder / RECORD)

    def publish_record(self) -> None:
        """Write `run.json` to the target, even if the results folder has no room for it."""
        if self.storage is None:
            return
        self.confirm_lock()
        file, location = self.folder / RECORD, self.target_location(RECORD)
        body = self.record.text().encode()
        with step(f"publish {RECORD}", self.record.steps):
            if file.is_file() and file.read_bytes() == body:
                upload([(file, location)], self.storage, self.confirm_stale_lock)
            else:
                self.storage.write_object(location, body, "application/json")
        self.is_record_published = True

    def publish_log(self) -> None:
        """Upload the log of this run, under its final name."""
        if self.storage is not None and self.log_file.exists():
            self.confirm_lock()
            with step(f"publish {LOG}", self.record.steps) as publishing_step:
                pairs = [(self.log_file, self.target_location(LOG))]
                publishing_step.size_bytes = upload(pairs, self.storage, self.confirm_stale_lock)

    def publish_finished(self, publish: Callable[[], None]) -> None:
        """Call `publish`; again, or wait for it, at the end of the job if that comes before."""
        publication = Publication(publish)
        self.publications.append(publication)
        publication.run()
        self.publications.remove(publication)

    def complete_publications(self) -> None:
        """Publish finished results whose upload was interrupted, or is under way in a thread."""
        for publication in list(self.publications):
            publication.run()

    def publish_comparison(self) -> None:
        """Upload the comparison, and remove older files of it from the target."""
        files = comparison_files(self.folder)
        self.publish_files(COMPARISON, list(files.values()))
        if self.storage is None:
            return
        location = self.target_location(COMPARISON)
        self.confirm_lock()
        try:
            stored = self.storage.objects_below(location)
            superseded = [path for path in stored if is_comparison(path) and path not in files]
            self.storage.remove_objects([stored[path].location for path in superseded])
        except (SourceError, TargetError) as error:
            logger.warning("files of an earlier run may stay in %s: %s", location, error)

    def publish_files(self, name: str, files: list[Path]) -> None:
        """Upload files of the results, as the step `publish name`."""
        if self.storage is None:
            return
        self.confirm_lock()
        pairs = [
            (file, self.target_location(file.relative_to(self.folder).as_posix()))
            for file in files
            if file.is_file()
        ]
        with step(f"publish {name}", self.record.steps) as publishing_step:
            publishing_step.size_bytes = upload(pairs, self.storage, self.confirm_stale_lock)
