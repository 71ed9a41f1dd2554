"""Watch a job until its end, through throttling and network failures."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.batch.jobs import JobState, look_up, no_such_job
from spikeinterface_cloud.aws.program_name import command_line
from spikeinterface_cloud.aws_errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

logger = logging.getLogger(__name__)

#: replies in a row that do not know the job: AWS needs a moment after the submission
UNKNOWN_REPLIES = 5

#: seconds without a change after which `diagnose` is suggested, and what is missing in each state
LONG_WAIT_S = 600
STILL = {"RUNNABLE": "no machine", "STARTING": "no container, though there is a machine"}


class WatchError(AwsError):
    """AWS does not say any more how a job is (77); the job goes on."""

    exit_code = 77


def watch(
    batch: BatchClient, job_ids: Sequence[str], poll_interval_s: float, *, are_known: bool = False
) -> Iterator[JobState]:
    """Yield the state of each job every `poll_interval_s` seconds, the last time at its end.

    A refusal is a WatchError once a job has been seen, or if they `are_known`: it goes on.
    """
    unknown: Counter[str] = Counter()
    running = list(dict.fromkeys(job_ids))
    while running:
        try:
            states = _query(batch, running, poll_interval_s)
        except AwsError as error:
            if not are_known:
                raise
            raise WatchError(str(error)) from error
        are_known = are_known or bool(states)
        for job_id in running:
            unknown[job_id] = 0 if job_id in states else unknown[job_id] + 1
            if unknown[job_id] == UNKNOWN_REPLIES:
                raise no_such_job(job_id, batch)
            if job_id in states:
                yield states[job_id]
        running = [each for each in running if each not in states or not states[each].is_over]
        if running:
            time.sleep(poll_interval_s)


def announce_changes(
    states: Iterable[JobState], echo: Callable[[str], None], long_wait_s: float = LONG_WAIT_S
) -> Iterator[JobState]:
    """Pass states on, and print each change before the end.

    If no machine comes or no container starts for long, it is suggested once to find out why.
    """
    said: dict[str, tuple[str, float]] = {}
    hinted: set[str] = set()
    for state in states:
        job_id, line = state.job_id, state.describe()
        last_line, since = said.get(job_id, ("", 0.0))
        if line != last_line:
            said[job_id] = line, time.monotonic()
            if not state.is_over:
                echo(line)
        elif state.status in STILL and time.monotonic() - since > long_wait_s:
            if job_id not in hinted:
                still = STILL[state.status]
                find_out = command_line("diagnose", job_id)
                echo(f"still {still}; find out why: {find_out}")
            hinted.add(job_id)
        yield state


def wait_for_ends(
    batch: BatchClient, job_ids: Sequence[str], poll_interval_s: float, echo: Callable[[str], None]
) -> list[JobState]:
    """Return the states in which jobs ended, in their order, and print each as it comes."""
    ended: dict[str, JobState] = {}
    for state in announce_changes(watch(batch, job_ids, poll_interval_s), echo):
        if state.is_over:
            ended[state.job_id] = state
            echo(state.describe())
    return [ended[job_id] for job_id in job_ids]


def _query(
    batch: BatchClient, job_ids: Sequence[str], poll_interval_s: float
) -> dict[str, JobState]:
    """Return the states of the jobs that AWS knows."""
    while True:
        try:
            return look_up(batch, job_ids)
        except AwsError as error:
            if not error.retryable:
                raise
            logger.warning("%s; the job goes on, and is still watched", error)
            time.sleep(poll_interval_s)
