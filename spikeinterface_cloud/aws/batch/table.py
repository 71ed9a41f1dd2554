"""Jobs as a table for people, and as values for JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.table import table

HEADERS = ("job", "name", "status", "attempts", "elapsed", "reason")


def jobs_table(jobs: Sequence[JobState], positions: Sequence[int | None] = ()) -> str:
    """Return the jobs as a table, with a row for each.

    Parameters
    ----------
    jobs
        The jobs in the order of the rows.
    positions
        The place of each job in its queue, from 1, as far as it is known.
    """
    return table([_row(*job) for job in zip_longest(jobs, positions)], HEADERS)


def jobs_values(jobs: Sequence[JobState], positions: Sequence[int | None]) -> list[dict[str, Any]]:
    """Return what `--json` prints about jobs; positions as above."""
    return [_values(*job) for job in zip_longest(jobs, positions)]


def _values(job: JobState, position: int | None) -> dict[str, Any]:
    return {
        "jobId": job.job_id,
        "jobName": job.name,
        "status": job.status,
        "reason": job.reason or None,
        "attempts": job.n_attempts,
        "elapsedSeconds": job.elapsed_s(time.time()),
        "exitCode": job.exit_code,
        "queuePosition": position,
        "arraySize": job.array_size,
        "arrayCounts": job.array_counts or None,
    }


def _row(job: JobState, position: int | None) -> tuple[str, ...]:
    remarks = [
        f"{position}. in the queue" if position else "",
        job.describe_counts(),
        job.reason,
        f"exit code {job.exit_code}" if job.exit_code else "",
    ]
    return (
        job.job_id,
        job.name,
        job.status,
        str(job.n_attempts or ""),
        format_seconds(job.elapsed_s(time.time())),
        "; ".join(filter(None, remarks)),
    )


def format_seconds(seconds: float | None) -> str:
    """Write a time for people.

    >>> format_seconds(42), format_seconds(3725), format_seconds(None)
    ('42s', '1h02m', '')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
