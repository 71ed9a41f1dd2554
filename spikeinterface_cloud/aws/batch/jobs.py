"""What AWS Batch says of jobs: one state for each, whichever call told it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from spikeinterface_cloud.aws.cli.options import STATUSES
from spikeinterface_cloud.aws_errors import AwsError, translate_errors

#: DescribeJobs takes no more identifiers
MOST_DESCRIBED = 100

#: where AWS Batch logs when the job definition says nothing
DEFAULT_LOG_GROUP = "/aws/batch/job"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """A job as one reply described it; what the reply leaves out is empty or None."""

    reply: Mapping[str, Any]

    @property
    def job_id(self) -> str:
        """The identifier; that of an array's child ends with its index."""
        return str(self.reply["jobId"])

    @property
    def name(self) -> str:
        """The name."""
        return str(self.reply["jobName"])

    @property
    def status(self) -> str:
        """One of STATUSES."""
        return str(self.reply["status"])

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ("SUCCEEDED", "FAILED")

    @property
    def has_succeeded(self) -> bool:
        """Whether it ended well."""
        return self.status == "SUCCEEDED"

    @property
    def exit_code(self) -> int | None:
        """What the container exited with; None while it runs, or when it never started."""
        code = self.reply.get("container", {}).get("exitCode")
        return None if code is None else int(code)

    @property
    def reason(self) -> str:
        """Why it is in this state: Batch's own words, and those of its container."""
        reasons = (
            self.reply.get("statusReason"),
            self.reply.get("container", {}).get("reason"),
        )
        return "; ".join(dict.fromkeys(reason for reason in reasons if reason))

    @property
    def attempts(self) -> Sequence[Mapping[str, Any]]:
        """The attempts that have ended."""
        return list(self.reply.get("attempts", ()))

    @property
    def n_attempts(self) -> int:
        """How many attempts have been started."""
        under_way = 1 if self.status in ("STARTING", "RUNNING") else 0
        return len(self.attempts) + under_way

    @property
    def log_group(self) -> str:
        """The group of its log streams."""
        configuration = self.reply.get("container", {}).get("logConfiguration", {})
        return str(configuration.get("options", {}).get("awslogs-group", DEFAULT_LOG_GROUP))

    @property
    def log_streams(self) -> list[str]:
        """The log stream of each attempt, in order; a stream may not exist yet."""
        containers = [attempt.get("container", {}) for attempt in self.attempts]
        containers.append(self.reply.get("container", {}))
        named = (container.get("logStreamName") for container in containers)
        return list(dict.fromkeys(stream for stream in named if stream))

    @property
    def array_size(self) -> int | None:
        """How many children it has; None for a job that is no array."""
        size = self.reply.get("arrayProperties", {}).get("size")
        return None if size is None else int(size)

    @property
    def array_counts(self) -> dict[str, int]:
        """How many of its children are in each state, where there are any."""
        counts = self.reply.get("arrayProperties", {}).get("statusSummary", {})
        return {status: int(counts[status]) for status in STATUSES if counts.get(status)}

    @property
    def queue(self) -> str:
        """The ARN of its queue."""
        return str(self.reply.get("jobQueue", ""))

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its container."""
        variables = self.reply.get("container", {}).get("environment", ())
        return {variable["name"]: variable["value"] for variable in variables}

    def elapsed_s(self, now_s: float) -> float | None:
        """Seconds since it started, or that it took; None when it has not started."""
        started_ms = self.reply.get("startedAt")
        if not started_ms:
            return None
        ended_ms = self.reply.get("stoppedAt") or now_s * 1000
        return max(0.0, (float(ended_ms) - float(started_ms)) / 1000)


def look_up(batch: Any, job_ids: Iterable[str]) -> dict[str, JobState]:
    """The states of these jobs, by identifier; those that AWS does not know are left out.

    Raises
    ------
    AwsError
        AWS did not tell.
    """
    found: dict[str, JobState] = {}
    for some in _portions(job_ids, MOST_DESCRIBED):
        with translate_errors("look up the job"):
            reply = batch.describe_jobs(jobs=some)
        found |= {job["jobId"]: JobState(reply=job) for job in reply["jobs"]}
    return found


def look_up_one(batch: Any, job_id: str) -> JobState:
    """The state of a job.

    Raises
    ------
    AwsError
        There is no such job, or AWS did not tell.
    """
    states = look_up(batch, [job_id])
    if job_id not in states:
        raise no_such_job(job_id, batch)
    return states[job_id]


def no_such_job(job_id: str, batch: Any) -> AwsError:
    """The error that says that AWS does not know a job."""
    return AwsError(
        f"there is no job {job_id} in {batch.meta.region_name}; check --region and --profile, "
        "and mind that AWS forgets a job about seven days after its end"
    )


def list_jobs(batch: Any, queue: str, filters: Mapping[str, str]) -> Iterator[JobState]:
    """The jobs of a queue, of every status, every page of them.

    Parameters
    ----------
    filters
        one of those of ListJobs, like `{"JOB_NAME": "session1-*"}`; without any, AWS would list
        running jobs alone
    """
    pages = batch.get_paginator("list_jobs").paginate(
        jobQueue=queue,
        filters=[{"name": name, "values": [value]} for name, value in filters.items()],
    )
    with translate_errors(f"list the jobs of {queue}"):
        for page in pages:
            yield from (JobState(reply=job) for job in page["jobSummaryList"])


def recent_jobs(batch: Any, queue: str, seconds: float) -> list[JobState]:
    """The jobs of a queue that were submitted in the last `seconds`, the newest first.

    Raises
    ------
    AwsError
        AWS did not tell.
    """
    created_ms = str(int((time.time() - seconds) * 1000))
    found = list_jobs(batch, queue, {"AFTER_CREATED_AT": created_ms})
    return sorted(found, key=lambda job: job.reply.get("createdAt", 0), reverse=True)


def live_or_succeeded(batch: Any, queue: str, job_name: str) -> JobState | None:
    """The job of this name, which holds the job's hash: the one under way, or that has succeeded.

    One that runs comes before one that has ended.
    """
    found = [
        job for job in list_jobs(batch, queue, {"JOB_NAME": job_name}) if job.status != "FAILED"
    ]
    return min(found, key=lambda job: job.is_over, default=None)


def terminate(batch: Any, job_id: str, reason: str) -> None:
    """End a job, or an array with all its children, in whatever state they are."""
    with translate_errors(f"cancel the job {job_id}"):
        batch.terminate_job(jobId=job_id, reason=reason)


def queue_position(batch: Any, job: JobState) -> int | None:
    """Where in its queue a waiting job is, from 1; None where AWS does not tell.

    AWS tells it of the first hundred jobs, and not to everyone.
    """
    if job.status != "RUNNABLE":
        return None
    try:
        with translate_errors("look at the queue"):
            reply = batch.get_job_queue_snapshot(jobQueue=job.queue)
    except AwsError:
        return None
    front = [waiting["jobArn"] for waiting in reply["frontOfQueue"]["jobs"]]
    arn = job.reply.get("jobArn")
    return front.index(arn) + 1 if arn in front else None


def _portions(items: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(items)
    while portion := list(islice(remaining, size)):
        yield portion
