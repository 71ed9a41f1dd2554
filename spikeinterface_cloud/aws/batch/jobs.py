"""The state of jobs on AWS Batch, from whichever call describes it.

Every function that takes a client raises AwsError if AWS refuses or cannot be reached.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spikeinterface_cloud.aws.cli.options import STATUSES
from spikeinterface_cloud.aws_errors import AwsError, translate_errors

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient

#: the most identifiers that DescribeJobs takes
MOST_DESCRIBED = 100

#: where AWS Batch logs unless the job definition names another group
DEFAULT_LOG_GROUP = "/aws/batch/job"

#: of a job that failed without an exit code of its container
NO_EXIT_CODE = 1


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class JobState:
    """A job as one reply described it; what the reply leaves out is empty or None."""

    reply: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<JobState: {self.describe()}>"

    @property
    def _container(self) -> Mapping[str, Any]:
        """The job's container; of several, the first that failed, or else the first."""
        containers = _containers(self.reply)
        failed = (container for container in containers if container.get("exitCode"))
        return next(failed, containers[0] if containers else {})

    @property
    def foreign_kind(self) -> str | None:
        """How the job runs, if not in one container as this program submits it."""
        if "eksProperties" in self.reply:
            return "runs on EKS"
        if "nodeProperties" in self.reply:
            return "runs on several nodes"
        return "runs in ECS tasks (taskProperties)" if "ecsProperties" in self.reply else None

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
        """Whether the job has ended."""
        return self.status in ("SUCCEEDED", "FAILED")

    @property
    def is_canceled(self) -> bool:
        """Whether somebody canceled it, so that its reason may be in their words."""
        return bool(self.reply.get("isTerminated") or self.reply.get("isCancelled"))

    @property
    def exit_code(self) -> int | None:
        """The exit code of the container, if it has run and ended."""
        code = self._container.get("exitCode")
        return None if code is None else int(code)

    @property
    def final_exit_code(self) -> int:
        """The exit code of a job that has ended.

        Arrays, and jobs that failed before their container ran, have none of their own.
        """
        return 0 if self.status == "SUCCEEDED" else self.exit_code or NO_EXIT_CODE

    @property
    def reason(self) -> str:
        """Why the job is in this state, in the words of Batch and of its container."""
        reasons = (self.reply.get("statusReason"), self._container.get("reason"))
        return "; ".join(dict.fromkeys(filter(None, reasons)))

    @property
    def attempts(self) -> Sequence[Mapping[str, Any]]:
        """The attempts that have ended."""
        return list(self.reply.get("attempts", ()))

    @property
    def n_attempts(self) -> int:
        """The number of attempts that have started."""
        return len(self.attempts) + (self.status in ("STARTING", "RUNNING"))

    @property
    def _log_configuration(self) -> Mapping[str, Any]:
        configuration: Mapping[str, Any] = self._container.get("logConfiguration", {})
        return configuration

    @property
    def log_driver(self) -> str:
        """Where its log goes to; `awslogs` is CloudWatch."""
        return str(self._log_configuration.get("logDriver", "awslogs"))

    @property
    def log_group(self) -> str:
        """The group of its log streams."""
        options = self._log_configuration.get("options", {})
        return str(options.get("awslogs-group", DEFAULT_LOG_GROUP))

    @property
    def log_region(self) -> str | None:
        """The region of its log, if that is not the job's."""
        region: str | None = self._log_configuration.get("options", {}).get("awslogs-region")
        return region

    @property
    def log_streams(self) -> list[str]:
        """The log stream of each attempt, in order; a stream may not exist yet."""
        replies = (*self.attempts, self.reply)
        names = (each.get("logStreamName") for reply in replies for each in _containers(reply))
        return list(dict.fromkeys(filter(None, names)))

    @property
    def array_size(self) -> int | None:
        """The number of children of an array."""
        size = self.reply.get("arrayProperties", {}).get("size")
        return None if size is None else int(size)

    @property
    def array_counts(self) -> dict[str, int]:
        """The number of an array's children in each state that any are in."""
        counts = self.reply.get("arrayProperties", {}).get("statusSummary", {})
        return {status: int(counts[status]) for status in STATUSES if counts.get(status)}

    @property
    def queue(self) -> str:
        """The ARN of its queue."""
        return str(self.reply.get("jobQueue", ""))

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its container."""
        variables = self._container.get("environment", ())
        return {variable["name"]: variable["value"] for variable in variables}

    def time(self, name: str) -> str | None:
        """Return one of the reply's times, like `startedAt`, in UTC, if it has come."""
        milliseconds = self.reply.get(name)
        if not milliseconds:
            return None
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")

    def elapsed_s(self, now_s: float) -> float | None:
        """Return the seconds since the job started, or that it took, if it has started."""
        started_ms = self.reply.get("startedAt")
        if not started_ms:
            return None
        ended_ms = self.reply.get("stoppedAt") or now_s * 1000
        return max(0.0, (float(ended_ms) - float(started_ms)) / 1000)

    def describe(self) -> str:
        """Return one line on the state and its reason."""
        code = "" if self.exit_code is None else f" with exit code {self.exit_code}"
        attempts = f", attempt {self.n_attempts}" if self.n_attempts > 1 else ""
        counts = f" ({self.describe_counts()})" if self.array_counts else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.job_id} is {self.status}{code}{attempts}{counts}{reason}"

    def describe_counts(self) -> str:
        """Return how many children of an array are in each state; empty for other jobs."""
        return ", ".join(f"{count} {status}" for status, count in self.array_counts.items())

    def check_is_no_array(self, noun: str) -> None:
        """Refuse an array, whose children have a `noun` each; AwsError."""
        if self.array_size is not None:
            raise AwsError(
                f"{self.job_id} is an array, whose {self.array_size} jobs have {noun} each; "
                f"name one, from {self.job_id}:0 to {self.job_id}:{self.array_size - 1}"
            )


def _containers(reply: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the containers of a job or an attempt: its own, or those of its tasks or its pod."""
    if "container" in reply:
        return [reply["container"]]
    tasks = reply.get("ecsProperties", reply).get("taskProperties", ())
    pod = reply.get("eksProperties", {}).get("podProperties", {})
    return [each for task in tasks for each in task.get("containers", ())] or list(
        pod.get("containers", ())
    )


def look_up(batch: BatchClient, job_ids: Sequence[str]) -> dict[str, JobState]:
    """Return the states of the jobs that AWS knows, by identifier."""
    states: dict[str, JobState] = {}
    for start in range(0, len(job_ids), MOST_DESCRIBED):
        with translate_errors("look up the job"):
            reply = batch.describe_jobs(jobs=job_ids[start : start + MOST_DESCRIBED])
        states |= {job["jobId"]: JobState(reply=job) for job in reply["jobs"]}
    return states


def look_up_all(batch: BatchClient, job_ids: Sequence[str]) -> list[JobState]:
    """Return the states of the jobs, in their order; one that AWS does not know is an AwsError."""
    states = look_up(batch, job_ids)
    for job_id in job_ids:
        if job_id not in states:
            raise no_such_job(job_id, batch)
    return [states[job_id] for job_id in job_ids]


def look_up_one(batch: BatchClient, job_id: str) -> JobState:
    """Return the state of a job; one that AWS does not know is an AwsError."""
    return look_up_all(batch, [job_id])[0]


def no_such_job(job_id: str, batch: BatchClient) -> AwsError:
    """Return the error for a job that AWS does not know."""
    return AwsError(
        f"there is no job {job_id} in {batch.meta.region_name}; check --region and --profile "
        "(AWS forgets a job about seven days after its end)"
    )


def list_jobs(batch: BatchClient, queue: str, name: Any, value: str) -> Iterator[JobState]:
    """Yield the jobs of a queue, of every status, that pass one of the filters of ListJobs.

    Without a filter, AWS would list running jobs only.
    """
    pages = batch.get_paginator("list_jobs").paginate(
        jobQueue=queue, filters=[{"name": name, "values": [value]}]
    )
    with translate_errors(f"list the jobs of {queue}"):
        for page in pages:
            yield from (JobState(reply=job) for job in page["jobSummaryList"])


def recent_jobs(batch: BatchClient, queue: str, seconds: float) -> list[JobState]:
    """Return the jobs that were submitted to a queue in the last `seconds`, the newest first."""
    created_ms = str(int((time.time() - seconds) * 1000))
    jobs = list_jobs(batch, queue, "AFTER_CREATED_AT", created_ms)
    return sorted(jobs, key=lambda job: job.reply.get("createdAt", 0), reverse=True)


def find_same_job(batch: BatchClient, queue: str, job_name: str) -> JobState | None:
    """Return the job of this name, which holds its hash, that runs or else has succeeded."""
    jobs = list_jobs(batch, queue, "JOB_NAME", job_name)
    return min(
        (job for job in jobs if job.status != "FAILED"), key=lambda job: job.is_over, default=None
    )


def terminate(batch: BatchClient, job_id: str, reason: str) -> None:
    """End a job in any state, or an array with all its children."""
    with translate_errors(f"cancel the job {job_id}"):
        batch.terminate_job(jobId=job_id, reason=reason)


def queue_positions(batch: BatchClient, jobs: Sequence[JobState]) -> list[int | None]:
    """Return the place of each waiting job in its queue, from 1; a queue is asked once.

    AWS knows the first hundred jobs only; not everyone may ask.
    """
    positions: dict[str, int] = {}
    for queue in {job.queue for job in jobs if job.status == "RUNNABLE"}:
        with suppress(AwsError), translate_errors("look at the queue"):
            reply = batch.get_job_queue_snapshot(jobQueue=queue)
            front = [waiting["jobArn"] for waiting in reply["frontOfQueue"]["jobs"]]
            positions |= {arn: place for place, arn in enumerate(front, 1)}
    return [positions.get(str(job.reply.get("jobArn"))) for job in jobs]
