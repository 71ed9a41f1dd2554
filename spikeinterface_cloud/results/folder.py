"""The results folder, and the same tree at the target."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import SourceError, TargetError
from spikeinterface_cloud.results.layout import (
    CLAIM,
    COMPARISON,
    LOG,
    RECORD,
    REPORT,
    is_comparison,
)
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.runtime.logging import step
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import SHUTDOWN_TIMEOUTS
from spikeinterface_cloud.storage.upload import upload

logger = logging.getLogger(__name__)


class Results:
    """Where the results of a job lie, here and at the target, and its record."""

    def __init__(
        self, folder: Path, target: S3Location | None, storage: Storage | None, record: RunRecord
    ) -> None:
        self.folder = folder
        self.target = target
        self.record = record
        self.log_file = folder / LOG
        #: what has been finished and has not left yet
        self.waiting: Callable[[], None] | None = None
        self._wants_report = True
        self._storage = storage
        self._reachable = False
        self._begun = False
        #: whether this job has the target, or nobody can
        self.exclusive_target = False
        self._record_is_here = False

    def __str__(self) -> str:
        return str(self.target or self.folder)

    @property
    def storage(self) -> Storage | None:
        """What speaks to the target; None where there is none, or none that can be written."""
        return self._storage if self._reachable else None

    def place(self, name: str) -> S3Location:
        """Where `name` of the results is at the target, which there has to be."""
        assert self.target is not None
        return self.target.child(name)

    def begin(self) -> None:
        """Make room for what this run will find, once it is known that it can.

        What sums up an earlier run is removed from the folder, and its record from the target,
        which has none while a job is running. Each sorter's results stay until there are others.
        """
        self._begun = True
        for name in (RECORD, REPORT):
            (self.folder / name).unlink(missing_ok=True)
        for file in self._comparison_files().values():
            file.unlink()
        self._withdraw_record()

    def reuse_previous_run(self) -> None:
        """The earlier run was complete: replace nothing but its record and its log."""
        self._begun = True
        self._wants_report = False

    def check_target(self) -> None:
        """Make sure that the target can be written.

        Raises
        ------
        TargetError
            it cannot be written
        """
        if self.target is None or self._storage is None:
            return
        self._storage.check_writable(self.target)
        self._reachable = True

    def stop_publishing(self) -> None:
        """Write nothing to the target any more: it is another job's."""
        self._reachable = False

    @property
    def wants_report(self) -> bool:
        """False where the report of an earlier run is as good, or is not this one's to replace."""
        return self._wants_report and not self.holds_earlier()

    def holds_earlier(self) -> bool:
        """Whether the folder has the record of an earlier run in which sorters ran, and this one
        has not begun to replace what they found."""
        if self._begun:
            return False
        try:
            content = json.loads((self.folder / RECORD).read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(content, dict) and bool(content.get("sorters"))

    def spare_earlier(self) -> bool:
        """Whether the target holds the results of an earlier run that this one has not replaced, or
        is another job's now.

        Raises
        ------
        SourceError, TransferError
            the target does not tell
        """
        if self._begun or self.storage is None:
            return False
        names = (RECORD,) if self.exclusive_target else (RECORD, CLAIM)
        return any(self.storage.object_exists(self.place(name)) for name in names)

    def _withdraw_record(self) -> None:
        if self.storage is None:
            return
        try:
            self.storage.remove_object(self.place(RECORD))
        except TargetError as error:
            logger.warning("an earlier run.json may stay until this job ends: %s", error)

    def use_short_timeouts(self) -> None:
        """Publish with short timeouts from now on: somebody waits, or the network is gone."""
        if self._storage is not None:
            self._storage = self._storage.with_timeouts(SHUTDOWN_TIMEOUTS)

    def write_record(self) -> None:
        """Write `run.json` into the folder, unless that of an earlier run has to stay.

        Raises
        ------
        UnavailableError
            the disk is full
        """
        self._record_is_here = False
        if self.holds_earlier():
            return
        with room_for_results(self.folder / RECORD):
            self.record.write(self.folder / RECORD)
        self._record_is_here = True

    def publish_record(self) -> None:
        """Upload `run.json`, or write it at the target where the disk here had no room for it.

        Raises
        ------
        TargetError, TransferError
            it could not be written there
        """
        if self._record_is_here:
            self.publish(RECORD)
        elif self.storage is not None:
            body = self.record.text().encode()
            self.storage.write_object(self.place(RECORD), body, "application/json")

    def publish(self, name: str) -> None:
        """Upload the file or folder `name` of the results, if there is a target.

        Raises
        ------
        TargetError, TransferError
            it could not be uploaded
        """
        path = self.folder / name
        if path.exists():
            self.publish_files(name, sorted(path.rglob("*")) if path.is_dir() else [path])

    def publish_comparison(self) -> None:
        """Upload how the sorters agree; what an earlier run has left of that, or all of it where
        there is none now, is removed from the target.

        Raises
        ------
        TargetError, TransferError
            it could not be uploaded
        """
        files = self._comparison_files()
        self.publish_files(COMPARISON, list(files.values()))
        if self.storage is None:
            return
        place = self.place(COMPARISON)
        try:
            stored = [each.location for each in self.storage.objects_below(place)]
            paths = {each: each.key.removeprefix(f"{place.key}/") for each in stored}
            self.storage.remove_objects(
                [each for each, path in paths.items() if is_comparison(path) and path not in files]
            )
        except (SourceError, TargetError) as error:
            logger.warning("files of an earlier run may stay in %s: %s", place, error)

    def _comparison_files(self) -> dict[str, Path]:
        """How the sorters agree: this program's files by their path in the comparison's folder."""
        folder = self.folder / COMPARISON
        return {
            path: file
            for file in sorted(folder.rglob("*"))
            if file.is_file() and is_comparison(path := file.relative_to(folder).as_posix())
        }

    def publish_files(self, name: str, files: list[Path]) -> None:
        """Upload these files of the results, which together are called `name`.

        Raises
        ------
        TargetError, TransferError
            one could not be uploaded
        """
        if self.storage is None:
            return
        with step(f"publish {name}", self.record.steps) as publishing_step:
            publishing_step.size_bytes = upload(
                [
                    (file, self.place(file.relative_to(self.folder).as_posix()))
                    for file in files
                    if file.is_file()
                ],
                self.storage,
            )
