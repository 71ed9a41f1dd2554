"""What AWS Batch says of a job, its queue and the queue's compute environments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.batch.jobs import JobState, look_up, look_up_one
from spikeinterface_cloud.aws.diagnose.finding import Seen, Unavailable
from spikeinterface_cloud.aws.diagnose.query import ask_for
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import DENIED, AwsError, error_code, translate_errors

T = TypeVar("T")

Reply = Mapping[str, Any]

#: of an array under way, a child in the first of these states that there is one in is looked at
CHILDREN_UNDER_WAY = ("RUNNABLE", "STARTING", "PENDING", "SUBMITTED", "RUNNING")

#: and of one that has ended
CHILDREN_AT_THE_END = ("FAILED", "SUCCEEDED")


def find_job(session: AwsSession, job_id: str) -> Seen[JobState]:
    """A job, by its identifier or ARN.

    Raises
    ------
    AwsError
        There is no such job in this region, or AWS could not be asked.
    """
    batch = session.client("batch")
    identifier = _of_this_region(job_id, batch.meta.region_name)
    return _unless_denied("batch:DescribeJobs", lambda: look_up_one(batch, identifier))


def find_jobs(session: AwsSession, job_ids: Sequence[str]) -> Seen[dict[str, JobState]]:
    """Several jobs, by identifier; those that AWS does not know are left out."""
    batch = session.client("batch")
    return _unless_denied("batch:DescribeJobs", lambda: look_up(batch, job_ids))


def find_child(session: AwsSession, array: JobState) -> Seen[JobState | None]:
    """The child of an array that tells the most: one that waits, or of an ended array, has failed.

    None where the array has no children yet.
    """
    batch = session.client("batch")
    for status in CHILDREN_AT_THE_END if array.is_over else CHILDREN_UNDER_WAY:
        listed = ask_for("batch:ListJobs", partial(_children, batch, array.job_id, status))
        if isinstance(listed, Unavailable):
            return listed
        if listed:
            return find_job(session, listed[0]["jobId"])
    return None


def _children(batch: Any, array_id: str, status: str) -> list[Reply]:
    reply = batch.list_jobs(arrayJobId=array_id, jobStatus=status, maxResults=1)
    return list(reply["jobSummaryList"])


def find_queue(session: AwsSession, queue: str) -> Seen[Reply | None]:
    """A queue, by its name or ARN; None where there is none.

    Raises
    ------
    AwsError
        AWS could not be asked.
    """
    batch = session.client("batch")

    def describe() -> Reply | None:
        with translate_errors("look up the queue"):
            reply = batch.describe_job_queues(jobQueues=[queue])
        return next(iter(reply["jobQueues"]), None)

    return _unless_denied("batch:DescribeJobQueues", describe)


def no_such_queue(session: AwsSession, queue: str) -> AwsError:
    """The error that says that AWS does not know a queue."""
    region = session.client("batch").meta.region_name
    return AwsError(
        f"there is no job queue {queue} in {region}; check --queue, --region and --profile: "
        "`aws batch describe-job-queues` lists the queues"
    )


def find_environments(session: AwsSession, queue: Reply) -> Seen[list[Reply]]:
    """The compute environments of a queue, in the order in which they are tried."""
    ordered = sorted(queue.get("computeEnvironmentOrder", ()), key=lambda entry: entry["order"])
    arns = [entry["computeEnvironment"] for entry in ordered]
    if not arns:
        return []
    batch = session.client("batch")
    found = ask_for(
        "batch:DescribeComputeEnvironments",
        lambda: batch.describe_compute_environments(computeEnvironments=arns)[
            "computeEnvironments"
        ],
    )
    if isinstance(found, Unavailable):
        return found
    return sorted(found, key=lambda environment: arns.index(environment["computeEnvironmentArn"]))


def find_front(session: AwsSession, queue: Reply) -> Seen[list[str]]:
    """The ARNs of the first jobs that wait in a queue."""
    batch = session.client("batch")
    return ask_for(
        "batch:GetJobQueueSnapshot",
        lambda: [
            job["jobArn"]
            for job in batch.get_job_queue_snapshot(jobQueue=queue["jobQueueArn"])["frontOfQueue"][
                "jobs"
            ]
        ],
    )


def _of_this_region(job_id: str, region: str) -> str:
    """The identifier of a job, given as one or as an ARN; a job of another region is refused."""
    if not job_id.startswith("arn:"):
        return job_id
    parts = job_id.split(":", maxsplit=5)
    if len(parts) < 6 or not parts[5].startswith("job/"):
        raise AwsError(f"{job_id} is not the ARN of a job; give the job's id")
    if parts[3] != region:
        raise AwsError(
            f"the job {job_id} is in {parts[3]}, and this looks in {region}; "
            f"give --region {parts[3]}"
        )
    return parts[5].removeprefix("job/")


def _unless_denied(permission: str, call: Callable[[], T]) -> Seen[T]:
    """What a call brings, or that it is not allowed; every other refusal is raised."""
    try:
        return call()
    except AwsError as refusal:
        cause = refusal.__cause__
        if isinstance(cause, ClientError) and error_code(cause) in DENIED.codes:
            return Unavailable(permission=permission, reason=str(refusal), denied=True)
        raise
