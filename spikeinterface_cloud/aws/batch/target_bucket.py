"""Check before a submission that the bucket exists which the job is to write to."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError

from spikeinterface_cloud.aws.batch.submission import PreparedJob
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError


def check_target_bucket(session: AwsSession, job: PreparedJob) -> None:
    """Ask S3 for the bucket of the target, with one request.

    A job with a list needs no such check: the list is written to the target first. Where S3 does
    not answer, the submission goes on, as the job may reach what this machine does not.

    Raises AwsError (there is no such bucket).
    """
    if job.target is None or job.manifest is not None:
        return
    bucket = job.target.bucket
    try:
        is_missing = session.bucket_is_missing(bucket, _endpoint_url(job))
    except (BotoCoreError, AwsError):  # Batch says it too where it is in its way as well
        return
    if is_missing:
        raise AwsError(
            f"cannot submit the job: there is no bucket {bucket}, where its results are to go; "
            "check --target, or make the bucket first"
        )


def _endpoint_url(job: PreparedJob) -> str | None:
    """Return the S3 server that the job is configured to use."""
    overrides = job.request["containerOverrides"]["environment"]
    environment = {variable["name"]: variable["value"] for variable in overrides}
    return environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
