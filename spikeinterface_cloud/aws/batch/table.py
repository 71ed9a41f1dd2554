"""Jobs as a table for people, and as values for JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.table import table
from spikeinterface_cloud.runtime.logging import format_seconds

HEADERS = ("job", "name", "status", "attempts", "elapsed", "reason")


def jobs_table(jobs: Sequence[JobState], positions: Sequence[int | None] = ()) -> str:
    """Return a table with a row for each job, and its place in the queue, from 1, if known."""
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
        "createdAt": job.time("createdAt"),
        "startedAt": job.time("startedAt"),
        "stoppedAt": job.time("stoppedAt"),
        "jobQueue": job.queue or None,
        "logGroup": job.log_group if job.log_streams else None,
        "logStream": job.log_streams[-1] if job.log_streams else None,
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
