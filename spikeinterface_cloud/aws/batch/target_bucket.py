"""Whether the bucket that a job is to write to is there: asked before the job is submitted."""

from __future__ import annotations

from http import HTTPStatus

from botocore.exceptions import BotoCoreError

from spikeinterface_cloud.aws.batch.submission import PreparedJob
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError


def check_target_bucket(session: AwsSession, job: PreparedJob) -> str | None:
    """Ask for the bucket of the target, with one request; what the user should know, if anything.

    A job with a list needs no such question: the list is written to the target first. Where S3
    does not answer, the submission goes on, as the job may reach what this machine does not.

    Raises
    ------
    AwsError
        There is no such bucket.
    """
    if job.target is None or job.manifest is not None:
        return None
    bucket = job.target.bucket
    try:
        status = session.head_bucket(bucket, _endpoint_url(job))
    except (BotoCoreError, AwsError):  # what stands in the way of Batch as well, Batch says
        return None
    if status == HTTPStatus.NOT_FOUND:
        raise AwsError(
            f"cannot submit the job: there is no bucket {bucket}, where its results are to go; "
            "check --target, or make the bucket first"
        )
    if status == HTTPStatus.FORBIDDEN:
        return (
            f"you may not look into the bucket {bucket}, so whether the job may write there "
            "is not known; its role needs s3:PutObject"
        )
    return None


def _endpoint_url(job: PreparedJob) -> str | None:
    """The S3 server that the job is told to use."""
    overrides = job.request["containerOverrides"]["environment"]
    environment = {variable["name"]: variable["value"] for variable in overrides}
    return environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
