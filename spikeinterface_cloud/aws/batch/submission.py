"""From settings and options to a job that AWS Batch has accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.batch.job_hash import job_identity
from spikeinterface_cloud.aws.batch.jobs import find_same_job
from spikeinterface_cloud.aws.batch.limits import OVERRIDES_LENGTH, overrides_length
from spikeinterface_cloud.aws.batch.request import (
    build_request,
    container_overrides,
    gpu_notes,
    place,
)
from spikeinterface_cloud.aws.cli.values import JobOptions, SubmitOptions
from spikeinterface_cloud.aws.inputs.job_settings import forwarding_warnings, resolve_settings
from spikeinterface_cloud.aws.inputs.source_check import source_warnings
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import NO_OBJECT, AwsError, error_code, translate_errors
from spikeinterface_cloud.config import manifest
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError, printable

#: what is said beside the URL of a list: how to reach it, and what people look for in a job
BESIDE_MANIFEST = (
    "AWS_REGION_NAME",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REQUESTER_PAYS",
    "DANDI_INSTANCE_URL",
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


def prepare(
    session: AwsSession,
    options: SubmitOptions,
    environ: Mapping[str, str],
    note: Callable[[str], None],
) -> PreparedJob:
    """Check and build the job of one recording; what the user should know goes to `note`."""
    settings = resolve_settings(options, environ)
    for warning in forwarding_warnings(settings, environ):
        note(warning)
    of_gpus = gpu_notes(options, [settings])
    prepared = prepare_job(settings, place(session, options))
    for text in of_gpus:
        note(text)
    if not options.dry_run:
        for warning in source_warnings(session, [settings]):
            note(printable(warning))
    return prepared


def prepare_job(settings: JobSettings, options: JobOptions) -> PreparedJob:
    """Build the request of one job, and its manifest if the settings are too long for a request."""
    environment = settings.to_env()
    identity = job_identity(decisive(settings), options.job_definition, options.command)
    listed = None
    if overrides_length(container_overrides(environment, options)) > OVERRIDES_LENGTH:
        listed = manifest.manifest_bytes([environment])
        if settings.target is None:
            raise SettingsError(
                "--target: missing, and the settings are too long for a request, so that they have "
                "to be kept at the target; give s3://bucket/folder"
            )
        location = manifest.manifest_location(settings.target, listed)
        environment = manifest_environment(environment, location)
    return PreparedJob(
        request=build_request(environment, options, identity=identity),
        identity=identity,
        target=settings.target,
        manifest=listed,
    )


def decisive(settings: JobSettings) -> dict[str, str]:
    """Return the variables that make another job: not those that were given a default."""
    differing = settings.masked().keys()
    return {name: text for name, text in settings.to_env().items() if name in differing}


def manifest_environment(environment: Mapping[str, str], location: S3Location) -> dict[str, str]:
    """Return the variables of a job whose settings are in a manifest on S3."""
    beside = {name: environment[name] for name in BESIDE_MANIFEST if name in environment}
    return {**beside, manifest.MANIFEST_URL: str(location)}


def find_existing(
    session: AwsSession, job: PreparedJob, note: Callable[[str], None], *, skip: bool
) -> str | None:
    """Return the id of the same job if it replaces a submission; else only mention that job.

    The same job is one that does the same, and runs or has succeeded.
    """
    try:
        same = find_same_job(session.client("batch"), job.request["jobQueue"], job.name)
    except AwsError:
        if skip:
            raise
        return None  # the submission needs no permission to list jobs
    if same is None:
        return None
    if skip:
        note(f"the same job is {same.status} already; nothing was submitted")
        return same.job_id
    if not same.is_over:
        note(
            f"the same job is {same.status} already, as {same.job_id}, and both write to "
            f"{job.target}; use --skip-existing to avoid a second one"
        )
    return None


class SentJob(NamedTuple):
    """A job that AWS has taken."""

    job_id: str
    account: str
    region: str


def send(session: AwsSession, job: PreparedJob) -> SentJob:
    """Send a job, after its manifest if it has one."""
    if job.target is not None and job.manifest is not None:
        location = manifest.manifest_location(job.target, job.manifest)
        session.storage.write_object(location, job.manifest, manifest.CONTENT_TYPE)
    elif job.target is not None:
        _check_target_bucket(session, job, job.target.bucket)
    with translate_errors("submit the job"):
        reply = session.client("batch").submit_job(**job.request)
    parts = str(reply.get("jobArn", "")).split(":")
    region, account = parts[3:5] if len(parts) > 4 else ("unknown", "unknown")
    return SentJob(str(reply["jobId"]), account, region)


def _check_target_bucket(session: AwsSession, job: PreparedJob, bucket: str) -> None:
    """Refuse a missing bucket; if S3 does not answer, the submission goes on.

    The job may reach servers that this machine does not.
    """
    overrides = job.request["containerOverrides"]["environment"]
    environment = {variable["name"]: variable["value"] for variable in overrides}
    endpoint_url = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    try:
        session.quick_storage(endpoint_url).bucket_region(bucket)
    except AwsError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and error_code(cause) in NO_OBJECT.codes:
            raise AwsError(
                f"cannot submit the job: there is no bucket {bucket}, where its results are to go; "
                "check --target, or make the bucket first"
            ) from error
