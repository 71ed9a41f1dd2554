"""AWS Batch's description of a job, its queue and the queue's compute environments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.batch.jobs import JobState, look_up, look_up_one
from spikeinterface_cloud.aws.diagnose.finding import Reply, Unavailable
from spikeinterface_cloud.aws.diagnose.query import fact, query
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import DENIED, AwsError, error_code, translate_errors

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_batch.literals import JobStatusType
    from mypy_boto3_logs import CloudWatchLogsClient

#: the states whose first child is diagnosed, for an array under way and for one that has ended
CHILDREN_UNDER_WAY: Sequence[JobStatusType] = (
    "RUNNABLE", "STARTING", "PENDING", "SUBMITTED", "RUNNING"
)  # fmt: skip
CHILDREN_AT_THE_END: Sequence[JobStatusType] = ("FAILED", "SUCCEEDED")


@fact
def find_job(session: AwsSession, job_id: str) -> JobState:
    """Return a job, given its identifier or ARN.

    Raises AwsError (this region has no such job, or AWS does not answer).
    """
    batch: BatchClient = session.client("batch")
    identifier = _id_in_region(job_id, batch.meta.region_name)
    with _unless_denied():
        return look_up_one(batch, identifier)


@fact
def find_jobs(session: AwsSession, job_ids: Sequence[str]) -> dict[str, JobState]:
    """Return several jobs by identifier, without those that AWS does not know."""
    batch: BatchClient = session.client("batch")
    with _unless_denied():
        return look_up(batch, job_ids)


@fact
def find_child(session: AwsSession, array: JobState) -> JobState | Unavailable | None:
    """Return a child of an array that waits or has failed; None if there is none."""
    batch: BatchClient = session.client("batch")
    for status in CHILDREN_AT_THE_END if array.is_over else CHILDREN_UNDER_WAY:
        reply = query(batch.list_jobs, arrayJobId=array.job_id, jobStatus=status, maxResults=1)
        if children := reply["jobSummaryList"]:
            return find_job(session, children[0]["jobId"])
    return None


@fact
def find_queue(session: AwsSession, queue: str) -> Reply | None:
    """Return a queue, given its name or ARN; None if there is none."""
    batch: BatchClient = session.client("batch")
    with _unless_denied(), translate_errors("look up the queue"):
        reply = batch.describe_job_queues(jobQueues=[queue])
    return next(iter(reply["jobQueues"]), None)


def no_such_queue(session: AwsSession, queue: str) -> AwsError:
    """Return the error for a queue that AWS does not know."""
    region = session.client("batch").meta.region_name
    return AwsError(
        f"there is no job queue {queue} in {region}; check --queue, --region and --profile: "
        "`aws batch describe-job-queues` lists the queues"
    )


@fact
def find_environments(session: AwsSession, queue: Reply) -> list[Reply]:
    """Return the compute environments of a queue, in the order in which it tries them."""
    ordered = sorted(queue.get("computeEnvironmentOrder", ()), key=lambda entry: entry["order"])
    arns = [entry["computeEnvironment"] for entry in ordered]
    if not arns:
        return []
    batch: BatchClient = session.client("batch")
    reply = query(batch.describe_compute_environments, computeEnvironments=arns)
    by_arn = {entry["computeEnvironmentArn"]: entry for entry in reply["computeEnvironments"]}
    return [by_arn[arn] for arn in arns if arn in by_arn]


@fact
def find_front(session: AwsSession, queue: Reply) -> list[str]:
    """Return the ARNs of the first jobs that wait in a queue."""
    batch: BatchClient = session.client("batch")
    reply = query(batch.get_job_queue_snapshot, jobQueue=queue["jobQueueArn"])
    return [job["jobArn"] for job in reply["frontOfQueue"]["jobs"]]


@fact
def log_group_exists(session: AwsSession, name: str) -> bool:
    """Return whether CloudWatch Logs has a log group of this name."""
    logs: CloudWatchLogsClient = session.client("logs")
    reply = query(logs.describe_log_groups, logGroupNamePrefix=name)
    return any(group["logGroupName"] == name for group in reply["logGroups"])


def _id_in_region(job_id: str, region: str) -> str:
    """Return the identifier of a job, given it or its ARN; refuse a job of another region."""
    if not job_id.startswith("arn:"):
        return job_id
    parts = job_id.split(":", maxsplit=5)
    if len(parts) < 6 or not parts[5].startswith("job/"):
        raise AwsError(f"{job_id} is not the ARN of a job; give the job's id")
    if parts[3] != region:
        raise AwsError(
            f"the job {job_id} is in {parts[3]}, not in {region}; give --region {parts[3]}"
        )
    return parts[5].removeprefix("job/")


@contextmanager
def _unless_denied() -> Iterator[None]:
    """Raise Unavailable if a call to Batch is denied, and every other error as it is."""
    try:
        yield
    except AwsError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and error_code(cause) in DENIED.codes:
            permission = f"batch:{cause.operation_name}"
            raise Unavailable(permission=permission, reason=str(error), denied=True) from error
        raise
