"""Jobs as text for people, and as values for JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.batch.wait import describe_counts

HEADS = ("job", "name", "status", "attempts", "elapsed", "reason")


def jobs_table(jobs: Sequence[JobState], positions: Sequence[int | None] = ()) -> str:
    """The jobs as a table, a line each.

    Parameters
    ----------
    positions
        the place of each job in its queue, from 1, where it is known
    """
    places = list(positions) or [None] * len(jobs)
    rows = [_row(job, place) for job, place in zip(jobs, places, strict=True)]
    widths = [max(len(row[column]) for row in [HEADS, *rows]) for column in range(len(HEADS))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [HEADS, *rows]
    )
    return "\n".join(lines)


def job_values(job: JobState, place: int | None = None) -> dict[str, Any]:
    """What `--json` says of a job; seconds for times."""
    return {
        "jobId": job.job_id,
        "jobName": job.name,
        "status": job.status,
        "reason": job.reason or None,
        "attempts": job.n_attempts,
        "elapsedSeconds": job.elapsed_s(time.time()),
        "exitCode": job.exit_code,
        "queuePosition": place,
        "arraySize": job.array_size,
        "arrayCounts": job.array_counts or None,
    }


def _row(job: JobState, place: int | None) -> tuple[str, ...]:
    remarks = [
        f"{place}. in the queue" if place else "",
        describe_counts(job),
        job.reason,
        "" if not job.exit_code else f"exit code {job.exit_code}",
    ]
    return (
        job.job_id,
        job.name,
        job.status,
        str(job.n_attempts or ""),
        format_seconds(job.elapsed_s(time.time())),
        "; ".join(remark for remark in remarks if remark),
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
