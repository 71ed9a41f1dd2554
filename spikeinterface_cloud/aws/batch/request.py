"""The request that submits a job: built here by a pure function, shown or sent elsewhere."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from spikeinterface_cloud.aws.batch.job_hash import IDENTITY_TAG, job_name
from spikeinterface_cloud.aws.batch.limits import LimitError, check_request
from spikeinterface_cloud.aws.cli.values import JobOptions, SubmitOptions
from spikeinterface_cloud.aws.regions import OptionError
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws.stack_outputs import find_queue_and_definition
from spikeinterface_cloud.config.catalog.snapshot import needs_gpu
from spikeinterface_cloud.config.settings import JobSettings

#: which ends of an attempt are tried again. The first match counts, and without a match AWS tries
#: again: so the last rule ends the job for every other reason, bad input above all
RETRY_RULES = (
    {"onStatusReason": "Host EC2*", "action": "RETRY"},  # the machine was taken back
    {"onExitCode": "75", "action": "RETRY"},  # EX_TEMPFAIL: the container saw it coming
    {"onStatusReason": "Task failed to start*", "action": "RETRY"},
    {"onReason": "*", "action": "EXIT"},
)


def place(session: AwsSession, options: SubmitOptions) -> SubmitOptions:
    """Return the options with queue and job definition, if missing those of the stack."""
    queue, definition = find_queue_and_definition(
        session, options.stack, options.job_queue, options.job_definition, options.compute
    )
    return replace(options, job_queue=queue, job_definition=definition)


def gpu_notes(options: SubmitOptions, jobs: Iterable[JobSettings]) -> tuple[str, ...]:
    """Return what the user should know of GPUs in the stack's queue, which may have none.

    Raises OptionError (2) for jobs that need one where it has none.
    """
    if options.job_queue:
        return ()  # nobody has said what it has
    sorters = {
        (name, needs_gpu(name, parameters))
        for settings in jobs
        for name, parameters in settings.sorter_parameters.items()
    }
    needy = sorted(name for name, is_needy in sorters if is_needy)
    if options.compute == "cpu":
        if options.gpus:
            raise OptionError(
                f"--gpus {options.gpus}: the instances of --compute cpu have none, so that the job "
                "would never start; leave it out, or use --compute spot"
            )
        if needy:
            raise OptionError(
                f"--compute cpu: {' and '.join(needy)} {'needs' if len(needy) == 1 else 'need'} a "
                "GPU; use --compute spot or on-demand, or other sorters"
            )
    elif sorters and not needy and not options.gpus:
        return ("no sorter needs a GPU; on the CPUs of a stack (--compute cpu) the job costs less",)
    return ()


def build_request(
    environment: Mapping[str, str],
    options: JobOptions,
    *,
    identity: str,
    array_size: int | None = None,
) -> dict[str, Any]:
    """Build the arguments of SubmitJob; LimitError if AWS would refuse them."""
    if IDENTITY_TAG in dict(options.tag):
        raise LimitError(f"--tag: {IDENTITY_TAG} is this program's own tag; choose another name")
    request: dict[str, Any] = {
        "jobName": job_name(environment, options.job_name, identity),
        "jobQueue": options.job_queue,
        "jobDefinition": options.job_definition,
        "containerOverrides": container_overrides(environment, options),
        "retryStrategy": {
            "attempts": options.attempts,
            "evaluateOnExit": [dict(rule) for rule in RETRY_RULES],
        },
        "tags": {**dict(options.tag), IDENTITY_TAG: identity},
        "propagateTags": True,
    }
    if array_size is not None:
        request["arrayProperties"] = {"size": array_size}
    if options.timeout is not None:
        request["timeout"] = {"attemptDurationSeconds": options.timeout}
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
    wanted = {"GPU": options.gpus, "VCPU": options.vcpus, "MEMORY": options.memory}
    requirements = [
        {"type": kind, "value": str(value)} for kind, value in wanted.items() if value is not None
    ]
    overrides: dict[str, Any] = {"environment": as_overrides(environment)}
    if options.command:
        overrides["command"] = list(options.command)
    if requirements:
        overrides["resourceRequirements"] = requirements
    return overrides


def as_overrides(environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the variables as AWS Batch takes them, ordered by name."""
    return [{"name": name, "value": value} for name, value in sorted(environment.items())]
