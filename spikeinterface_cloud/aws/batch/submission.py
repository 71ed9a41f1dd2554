"""From settings and options to a job that AWS Batch has accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.aws.batch.job_hash import job_identity
from spikeinterface_cloud.aws.batch.jobs import JobState, find_same_job
from spikeinterface_cloud.aws.batch.limits import OVERRIDES_LENGTH, overrides_length
from spikeinterface_cloud.aws.batch.request import JobOptions, build_request, container_overrides
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import translate_errors
from spikeinterface_cloud.config import manifest
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

#: what is said beside the URL of a list: how to reach it, and what people look for in a job
BESIDE_MANIFEST = (
    "AWS_REGION_NAME",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "RUN_IDENTIFIER",
    "TARGET_AWS_S3_BUCKET",
    "TARGET_AWS_S3_BUCKET_FOLDER",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedJob:
    """A job that is ready to be shown or sent."""

    #: the arguments of SubmitJob
    request: Mapping[str, Any]
    #: the hash of what the job does
    identity: str
    #: where the results go
    target: S3Location | None
    #: the list that the request names, where the settings are too long for the request
    manifest: bytes | None = None

    @property
    def name(self) -> str:
        """The job's name, the hash at its end."""
        return str(self.request["jobName"])

    @property
    def queue(self) -> str:
        """Name or ARN of the queue."""
        return str(self.request["jobQueue"])


def prepare_job(settings: JobSettings, options: JobOptions) -> PreparedJob:
    """Build the request of one job; nothing is sent.

    Raises LimitError (AWS would refuse the request), SettingsError (the settings are too long for a
    request, and there is no target to keep them at).
    """
    environment = settings.to_env()
    identity = job_identity(environment, options.job_definition)
    listed = None
    if overrides_length(container_overrides(environment, options)) > OVERRIDES_LENGTH:
        listed = manifest.manifest_bytes([environment])
        location = manifest.manifest_location(_manifest_target(settings), listed)
        environment = manifest_environment(environment, location)
    return PreparedJob(
        request=build_request(environment, options, identity=identity),
        identity=identity,
        target=settings.target,
        manifest=listed,
    )


def _manifest_target(settings: JobSettings) -> S3Location:
    """Below which the list of these settings is kept."""
    if settings.target is None:
        raise SettingsError(
            "--target: missing, and the settings are too long for a request, so that they have to "
            "be kept at the target; give s3://bucket/folder"
        )
    return settings.target


def manifest_environment(environment: Mapping[str, str], location: S3Location) -> dict[str, str]:
    """Return the variables of a job whose settings are in a manifest on S3."""
    beside = {name: environment[name] for name in BESIDE_MANIFEST if name in environment}
    return {**beside, manifest.MANIFEST_URL: str(location)}


def same_job(session: AwsSession, job: PreparedJob) -> JobState | None:
    """Return the job that does the same, and runs or has succeeded.

    Raises AwsError (AWS did not tell).
    """
    return find_same_job(session.client("batch"), job.queue, job.name)


def send(session: AwsSession, job: PreparedJob) -> str:
    """Send a job, its list first where it has one, and give its identifier.

    Raises AwsError (AWS did not take it).
    """
    if job.manifest is not None and job.target is not None:
        location = manifest.manifest_location(job.target, job.manifest)
        session.storage.write_object(location, job.manifest, manifest.CONTENT_TYPE)
    return send_request(session.client("batch"), job.request)


def send_request(batch: Any, request: Mapping[str, Any]) -> str:
    """Send a request of SubmitJob through a client of Batch; the identifier of the job.

    Raises AwsError (AWS did not take it).
    """
    with translate_errors("submit the job"):
        return str(batch.submit_job(**request)["jobId"])
