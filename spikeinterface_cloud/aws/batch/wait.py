"""Watching a job until its end, through throttling and a network that comes and goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from spikeinterface_cloud.aws.batch.jobs import JobState, look_up, no_such_job
from spikeinterface_cloud.aws_errors import AwsError

logger = logging.getLogger(__name__)

#: how many times in a row AWS may not know the job: it takes a moment after the submission
PATIENCE = 5

#: seconds without a machine after which it is told how to find out why
LONG_WAIT_S = 600

#: what an end is reported as that has no exit code of the container
NO_EXIT_CODE = 1


def watch(batch: Any, job_id: str, interval_s: float) -> Iterator[JobState]:
    """The states of a job, one every `interval_s` seconds, until the one in which it ended.

    Raises
    ------
    AwsError
        There is no such job, or AWS refuses for good.
    """
    unknown = 0
    while True:
        state = _ask(batch, job_id, interval_s)
        if state is not None:
            yield state
            unknown = 0
            if state.is_over:
                return
        else:
            unknown += 1
            if unknown == PATIENCE:
                raise no_such_job(job_id, batch)
        time.sleep(interval_s)


def announce_changes(states: Iterable[JobState], tell: Callable[[str], None]) -> Iterator[JobState]:
    """The same states; each change before the end is told, a line each, and once what to do about a
    machine that does not come."""
    told = ""
    since, hinted = time.monotonic(), False
    for state in states:
        line = describe_state(state)
        if line != told and not state.is_over:
            tell(line)
            told, since = line, time.monotonic()
        if state.status == "RUNNABLE" and not hinted and time.monotonic() - since > LONG_WAIT_S:
            tell(f"still no machine; find out why: python submit_job.py diagnose {state.job_id}")
            hinted = True
        yield state


def wait_for_end(
    batch: Any, job_id: str, interval_s: float, tell: Callable[[str], None]
) -> JobState:
    """The state in which a job ended; each change on the way there is told, a line each.

    Raises
    ------
    AwsError
        There is no such job, or AWS refuses for good.
    """
    for state in announce_changes(watch(batch, job_id, interval_s), tell):
        last = state
    return last


def _ask(batch: Any, job_id: str, interval_s: float) -> JobState | None:
    """The state, or None where AWS does not know the job."""
    while True:
        try:
            return look_up(batch, [job_id]).get(job_id)
        except AwsError as refusal:
            if not refusal.retryable:
                raise
            logger.warning("%s; the job goes on, and so does the watching", refusal)
            time.sleep(interval_s)


def exit_code_of(job: JobState) -> int:
    """What a job that has ended is reported as: its container's exit code.

    A job that failed before its container ran, an array, and a container that was taken away after
    it ended well have none that would tell.
    """
    if job.has_succeeded:
        return 0
    return job.exit_code or NO_EXIT_CODE


def describe_state(job: JobState) -> str:
    """One line on the state of a job, and why it is in it."""
    code = "" if job.exit_code is None else f" with exit code {job.exit_code}"
    attempts = f", attempt {job.n_attempts}" if job.n_attempts > 1 else ""
    counts = f" ({describe_counts(job)})" if job.array_counts else ""
    reason = f": {job.reason}" if job.reason else ""
    return f"{job.job_id} is {job.status}{code}{attempts}{counts}{reason}"


def describe_counts(job: JobState) -> str:
    """The states of an array's children; empty for a job that is no array."""
    return ", ".join(f"{count} {status}" for status, count in job.array_counts.items())
