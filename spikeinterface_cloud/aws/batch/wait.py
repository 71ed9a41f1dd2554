"""Watch a job until its end, through throttling and network failures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.batch.jobs import JobState, look_up, no_such_job
from spikeinterface_cloud.aws_errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

logger = logging.getLogger(__name__)

#: replies in a row that do not know the job: AWS needs a moment after the submission
UNKNOWN_REPLIES = 5

#: seconds without a machine after which `diagnose` is suggested
LONG_WAIT_S = 600


def watch(batch: BatchClient, job_id: str, poll_interval_s: float) -> Iterator[JobState]:
    """Yield the state of a job every `poll_interval_s` seconds, the last one when it has ended."""
    unknown = 0
    while True:
        state = _query(batch, job_id, poll_interval_s)
        if state is not None:
            yield state
            unknown = 0
            if state.is_over:
                return
        else:
            unknown += 1
            if unknown == UNKNOWN_REPLIES:
                raise no_such_job(job_id, batch)
        time.sleep(poll_interval_s)


def announce_changes(states: Iterable[JobState], echo: Callable[[str], None]) -> Iterator[JobState]:
    """Pass states on, and print each change before the end.

    If no machine comes for long, it is suggested once to find out why.
    """
    last_line = ""
    since, hinted = time.monotonic(), False
    for state in states:
        line = state.describe()
        if line != last_line and not state.is_over:
            echo(line)
            last_line, since = line, time.monotonic()
        if state.status == "RUNNABLE" and not hinted and time.monotonic() - since > LONG_WAIT_S:
            echo(f"still no machine; find out why: python submit_job.py diagnose {state.job_id}")
            hinted = True
        yield state


def wait_for_end(
    batch: BatchClient, job_id: str, poll_interval_s: float, echo: Callable[[str], None]
) -> JobState:
    """Return the state in which a job ended."""
    for state in announce_changes(watch(batch, job_id, poll_interval_s), echo):
        last = state
    return last


def _query(batch: BatchClient, job_id: str, poll_interval_s: float) -> JobState | None:
    """Return the state, or None if AWS does not know the job."""
    while True:
        try:
            return look_up(batch, [job_id]).get(job_id)
        except AwsError as error:
            if not error.retryable:
                raise
            logger.warning("%s; the job goes on, and is still watched", error)
            time.sleep(poll_interval_s)
