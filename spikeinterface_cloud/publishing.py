"""The results leave for the target as soon as they exist, `run.json` last, on every way out."""

import logging
import os
import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from spikeinterface_cloud.errors import CloudJobError, Interrupted, TargetError, TransferError
from spikeinterface_cloud.location import S3Location, without_signatures
from spikeinterface_cloud.log import step
from spikeinterface_cloud.machine import peak_memory_bytes
from spikeinterface_cloud.run_record import RunRecord
from spikeinterface_cloud.transfer.connection import HURRY
from spikeinterface_cloud.transfer.storage import Storage
from spikeinterface_cloud.transfer.upload import upload

logger = logging.getLogger(__name__)

RECORD = "run.json"
LOG = "run.log"
COMPARISON = "comparison"
REPORT = "report.html"


class Results:
    """The results folder, and the same tree at the target."""

    def __init__(
        self, folder: Path, target: S3Location | None, storage: Storage | None, record: RunRecord
    ) -> None:
        self.folder = folder
        self.target = target
        self.record = record
        self.log_file = folder / LOG
        self._storage = storage
        self._reachable = False
        self._begun = False

    def __str__(self) -> str:
        return str(self.target or self.folder)

    def begin(self, names: Iterable[str]) -> None:
        """Make room for what this run will find, once it is known that it can.

        What an earlier run has left in the folder under these names is removed, and its record is
        taken from the target, which has none while a job is running.
        """
        self._begun = True
        for name in (RECORD, REPORT, COMPARISON, *names):
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self._withdraw_record()

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

    def spare_earlier(self) -> bool:
        """Whether the target holds the results of an earlier run that this one has not replaced.

        Raises
        ------
        SourceError, TransferError
            the target does not tell
        """
        if self._begun or self.target is None or self._storage is None or not self._reachable:
            return False
        return self._storage.object_exists(self.target.child(RECORD))

    def _withdraw_record(self) -> None:
        if self.target is None or self._storage is None:
            return
        try:
            self._storage.remove_object(self.target.child(RECORD))
        except TargetError as error:
            logger.warning("an earlier run.json may stay until this job ends: %s", error)

    def hurry(self) -> None:
        """Publish with little patience from now on: somebody waits, or the network is gone."""
        if self._storage is not None:
            self._storage = self._storage.with_patience(HURRY)

    def publish(self, name: str) -> None:
        """Upload the file or folder `name` of the results, if there is a target.

        Raises
        ------
        TargetError, TransferError
            it could not be uploaded
        """
        path = self.folder / name
        if self.target is None or self._storage is None or not self._reachable:
            return
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        if not path.exists():
            return
        with step(f"publish {name}", self.record.steps) as publishing_step:
            publishing_step.size_bytes = upload(
                [
                    (file, self.target.child(file.relative_to(self.folder).as_posix()))
                    for file in files
                    if file.is_file()
                ],
                self._storage,
            )


@contextmanager
def publishing(results: Results, write_report: Callable[[], None]) -> Iterator[Results]:
    """Leave report, log and `run.json` behind, here and at the target, however the job ends.

    `write_report` is called when the record tells how the job ended; it raises no `Exception`.
    Where publishing fails while another error is on its way, that error keeps the exit code.
    """
    record = results.record
    try:
        yield results
    except BaseException as error:
        _note_error(record, error)
        if isinstance(error, Interrupted | TransferError):
            results.hurry()
        _close(results, write_report, first_error=error)
        raise
    record.status, record.exit_code = "succeeded", os.EX_OK
    _close(results, write_report, first_error=None)


def _note_error(record: RunRecord, error: BaseException) -> None:
    record.status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    record.exit_code = error.exit_code if isinstance(error, CloudJobError | Interrupted) else 1
    lines = (" ".join(line.split()) for line in without_signatures(str(error)).splitlines())
    record.error = "; ".join(filter(None, lines)) or type(error).__name__
    if record.exit_code == 1:
        logger.error("a bug of this program:\n%s", traceback.format_exc().rstrip())


def _close(
    results: Results, write_report: Callable[[], None], first_error: BaseException | None
) -> None:
    record = results.record
    record.ended = datetime.now(UTC)
    record.peak_memory_bytes = peak_memory_bytes()
    record.write(results.folder / RECORD)
    write_report()
    try:
        if results.spare_earlier():
            logger.warning(
                "the results of an earlier run at %s stay as they are; the log of this one is %s",
                results,
                results.log_file,
            )
            return
        results.publish(REPORT)
        results.publish(LOG)
        record.write(results.folder / RECORD)  # again, as publishing took its time too
        results.publish(RECORD)
    except CloudJobError as error:
        if first_error is None:
            _note_error(record, error)
            record.write(results.folder / RECORD)
            raise
        logger.error("publishing failed as well: %s", error)
