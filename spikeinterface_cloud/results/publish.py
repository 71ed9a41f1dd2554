"""Publish log, report and `run.json` when the job ends, `run.json` last, however it ends."""

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
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import REPORT
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.runtime.host import peak_memory_bytes
from spikeinterface_cloud.runtime.signals import acknowledge, ignore_signals

logger = logging.getLogger(__name__)


@contextmanager
def publishing(results: Results, write_report: Callable[[], None]) -> Iterator[None]:
    """Leave report, log and `run.json` behind, here and at the target, however the block ends.

    If publishing fails after another error, that error keeps the exit code. An interruption that
    arrives meanwhile is in the record, as it is in the exit code.

    Parameters
    ----------
    write_report
        Called when the record is complete; it raises no `Exception`.
    """
    record = results.record
    try:
        try:
            yield
        except BaseException as error:
            _close_after(error, results, write_report)
            ignore_signals()
            raise
        record.status, record.exit_code, record.error = "succeeded", os.EX_OK, None
        _close(results, write_report, first_error=None)
        ignore_signals()
    except Interrupted as error:
        if record.status != "interrupted":  # it arrived while the results were published
            _close_after(error, results, write_report)
        raise
    finally:
        results.discard_hidden_log()


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
    if results.folder_keeps_earlier_run():
        logger.warning("the results of an earlier run in %s stay as they are", results.folder)
    else:
        results.show_log()
    full_disk = _write_record(results, first_error)
    if results.wants_report:
        write_report()
    try:
        if results.target_keeps_earlier_run():
            logger.warning("the results of an earlier run at %s stay as they are", results)
            return
        if results.wants_report:
            results.publish_files(REPORT, [results.folder / REPORT])
        _publish_last(results, first_error or full_disk)
        if isinstance(first_error, Interrupted | TransferError) and results.publications:
            # log and record went first, as there may be no time for this
            results.complete_publications()
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
    results.publish_log()
    _write_record(results, first_error)  # again, with the steps of publishing
    results.publish_record()


def _write_record(results: Results, first_error: BaseException | None) -> UnavailableError | None:
    """Write `run.json` here; return the error if the disk is full.

    The job ends with that error unless it failed before.
    """
    try:
        results.write_record()
    except UnavailableError as error:
        if first_error is None:
            _note_error(results.record, error)
        else:
            logger.warning("%s", error)
        return error
    return None
