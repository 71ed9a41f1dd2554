"""The request that submits a job: built here by a pure function, shown or sent elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikeinterface_cloud.aws.batch.job_hash import IDENTITY_TAG, job_name
from spikeinterface_cloud.aws.batch.limits import check_request
from spikeinterface_cloud.aws.cli.values import SubmitOptions
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws.stack_outputs import find_queue_and_definition

DEFAULT_ATTEMPTS = 3

#: which ends of an attempt are tried again. The first match counts, and without a match AWS tries
#: again: so the last rule ends the job for every other reason, bad input above all
RETRY_RULES = (
    {"onStatusReason": "Host EC2*", "action": "RETRY"},  # the machine was taken back
    {"onExitCode": "75", "action": "RETRY"},  # EX_TEMPFAIL: the container saw it coming
    {"onStatusReason": "Task failed to start*", "action": "RETRY"},
    {"onReason": "*", "action": "EXIT"},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOptions:
    """How a job is to run, besides its settings; what is None is left to the job definition."""

    #: names or ARNs
    job_queue: str
    job_definition: str
    #: what the job's name begins with; by default what the settings suggest
    job_name: str | None = None
    gpus: int | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    #: of each attempt
    timeout_s: int | None = None
    attempts: int = DEFAULT_ATTEMPTS
    tags: Mapping[str, str] = field(default_factory=dict)
    share_identifier: str | None = None
    priority: int | None = None
    #: identifiers of jobs that have to succeed first
    depends_on: tuple[str, ...] = ()


def job_options(session: AwsSession, options: SubmitOptions) -> JobOptions:
    """Return how the job is to run; the stack gives a missing queue or definition."""
    queue, definition = find_queue_and_definition(
        session, options.stack, options.job_queue, options.job_definition, options.compute
    )
    return JobOptions(
        job_queue=queue,
        job_definition=definition,
        job_name=options.job_name,
        gpus=options.gpus,
        vcpus=options.vcpus,
        memory_mib=options.memory,
        timeout_s=options.timeout,
        attempts=options.attempts,
        tags=dict(options.tag),
        share_identifier=options.share_identifier,
        priority=options.priority,
        depends_on=options.depends_on,
    )


def build_request(
    environment: Mapping[str, str],
    options: JobOptions,
    *,
    identity: str,
    array_size: int | None = None,
) -> dict[str, Any]:
    """Build the arguments of SubmitJob; values are sent unchanged.

    Raises LimitError (AWS would refuse the request).
    """
    request: dict[str, Any] = {
        "jobName": job_name(environment, options.job_name, identity),
        "jobQueue": options.job_queue,
        "jobDefinition": options.job_definition,
        "containerOverrides": container_overrides(environment, options),
        "retryStrategy": {
            "attempts": options.attempts,
            "evaluateOnExit": [dict(rule) for rule in RETRY_RULES],
        },
        "tags": {**options.tags, IDENTITY_TAG: identity},
        "propagateTags": True,
    }
    if array_size is not None:
        request["arrayProperties"] = {"size": array_size}
    if options.timeout_s is not None:
        request["timeout"] = {"attemptDurationSeconds": options.timeout_s}
    if options.share_identifier is not None:
        request["shareIdentifier"] = options.share_identifier
    if options.priority is not None:
        request["schedulingPriorityOverride"] = options.priority
    if options.depends_on:
        request["dependsOn"] = [{"jobId": job_id} for job_id in options.depends_on]
    check_request(request)
    return request


def container_overrides(environment: Mapping[str, str], options: JobOptions) -> dict[str, Any]:
    """Return what the job changes of its definition's container."""
    wanted = {"GPU": options.gpus, "VCPU": options.vcpus, "MEMORY": options.memory_mib}
    requirements = [
        {"type": kind, "value": str(value)} for kind, value in wanted.items() if value is not None
    ]
    overrides: dict[str, Any] = {"environment": as_overrides(environment)}
    if requirements:
        overrides["resourceRequirements"] = requirements
    return overrides


def as_overrides(environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the variables as AWS Batch takes them, ordered by name."""
    return [{"name": name, "value": value} for name, value in sorted(environment.items())]
