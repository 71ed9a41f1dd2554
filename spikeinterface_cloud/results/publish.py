"""The results leave for the target as soon as they exist, `run.json` last, on every way out."""

import logging
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from spikeinterface_cloud.config.locations import mask_signatures
from spikeinterface_cloud.errors import (
    CloudJobError,
    Interrupted,
    TransferError,
    UnavailableError,
)
from spikeinterface_cloud.results.layout import LOG, REPORT
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.runtime.host import peak_memory_bytes
from spikeinterface_cloud.runtime.signals import ignore_signals, acknowledge

logger = logging.getLogger(__name__)


@contextmanager
def publishing(results: Results, write_report: Callable[[], None]) -> Iterator[Results]:
    """Leave report, log and `run.json` behind, here and at the target, however the job ends.

    `write_report` is called when the record tells how the job ended; it raises no `Exception`.
    Where publishing fails while another error is on its way, that error keeps the exit code. A
    request to stop that comes meanwhile is in the record, as it is in the exit code.
    """
    record = results.record
    try:
        try:
            yield results
        except BaseException as error:
            _close_after(error, results, write_report)
            ignore_signals()
            raise
        record.status, record.exit_code, record.error = "succeeded", os.EX_OK, None
        _close(results, write_report, first_error=None)
        ignore_signals()
    except Interrupted as error:
        if record.status != "interrupted":  # it came while the results were closed
            _close_after(error, results, write_report)
        raise


def _close_after(error: BaseException, results: Results, write_report: Callable[[], None]) -> None:
    acknowledge()
    _note_error(results.record, error)
    if isinstance(error, Interrupted | TransferError):
        results.use_short_timeouts()
    _close(results, write_report, first_error=error)


def _note_error(record: RunRecord, error: BaseException) -> None:
    record.status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    record.exit_code = error.exit_code if isinstance(error, CloudJobError | Interrupted) else 1
    lines = (" ".join(line.split()) for line in mask_signatures(str(error)).splitlines())
    record.error = "; ".join(filter(None, lines)) or type(error).__name__
    if record.exit_code == 1:
        logger.error("a bug of this program:\n%s", traceback.format_exc().rstrip())


def _close(
    results: Results, write_report: Callable[[], None], first_error: BaseException | None
) -> None:
    record = results.record
    record.ended = datetime.now(UTC)
    record.peak_memory_bytes = peak_memory_bytes()
    if results.holds_earlier():
        logger.warning(
            "what an earlier run left in %s stays, its run.json too; the log of this one is %s",
            *(results.folder, results.log_file),
        )
    full_disk = _write_record(results, first_error)
    if results.wants_report:
        write_report()
    try:
        if results.spare_earlier():
            logger.warning(
                "the results of an earlier run at %s stay as they are; the log of this one is %s",
                results,
                results.log_file,
            )
            return
        if results.wants_report:
            results.publish(REPORT)
        _publish_last(results, first_error or full_disk)
        if isinstance(first_error, Interrupted | TransferError) and results.waiting is not None:
            results.waiting()  # there may be no time for it, so the log and the record went first
            _publish_last(results, first_error)
    except CloudJobError as error:
        if first_error is None:
            _note_error(record, error)
            _write_record(results, error)
            raise
        logger.error("publishing failed as well: %s", error)
    if full_disk is not None and first_error is None:
        raise full_disk


def _publish_last(results: Results, first_error: BaseException | None) -> None:
    results.publish(LOG)
    _write_record(results, first_error)  # again, as publishing took its time too
    results.publish_record()


def _write_record(results: Results, first_error: BaseException | None) -> UnavailableError | None:
    """Write `run.json` here; why the disk had no room for it, which is what the job then ends with
    where nothing else went wrong before."""
    try:
        results.write_record()
    except UnavailableError as error:
        if first_error is None:
            _note_error(results.record, error)
        else:
            logger.warning("%s", error)
        return error
    return None
