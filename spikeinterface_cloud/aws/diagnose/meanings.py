"""The meaning of AWS's reasons for a job's state and of exit codes, and the remedies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from spikeinterface_cloud.errors import EXIT_CODES, ExitCode
from spikeinterface_cloud.runtime.disk import DISK_FACTOR


class Meaning(NamedTuple):
    """The meaning of a reason, and what to do about it."""

    meaning: str
    remedy: str


#: of a job that waits at the front of its queue, by patterns of the reason (AWS Batch user guide,
#: "Jobs stuck in RUNNABLE")
BLOCKED: Mapping[str, Meaning] = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY": Meaning(
        "AWS has no capacity for the instance types of the queue",
        "add types and zones, submit to an On-Demand queue, or wait",
    ),
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE": Meaning(
        "the job requests more vCPUs than its compute environments may have",
        "raise maxvCpus of the compute environment, or submit with fewer --vcpus",
    ),
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT": Meaning(
        "the job requests more vCPUs, memory or GPUs than any of the instance types has",
        "request less; the instance size below says how much fits",
    ),
    "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED": Meaning(
        "the instance types do not match their zones or their launch template",
        "choose types that the zones offer (below), or correct the launch template",
    ),
    "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS": Meaning(
        "the role of Batch lacks permissions",
        "use Batch's own role, AWSServiceRoleForBatch, or attach AWSBatchServiceRole to yours",
    ),
    "ACTION_REQUIRED|are invalid": Meaning(
        "the compute environments of the queue are invalid",
        "correct the cause, which the compute environments name below",
    ),
    "UNDETERMINED": Meaning(
        "the job is blocked for a reason that AWS does not know",
        "see the checks below, especially scaling and instances",
    ),
}

#: of a job that did not start, or was stopped from outside, by patterns of the reason
NOT_STARTED: Mapping[str, Meaning] = {
    "Canceled by JobStateTimeLimit": Meaning(
        "the queue canceled it because it was blocked for too long",
        "remove the cause that it names, and submit again",
    ),
    "Container Overrides length must be at most": Meaning(
        "the variables of the job are longer than AWS accepts",
        "submit with fewer, or as a list on S3; the list stores long settings there",
    ),
    "CannotPullContainerError|CannotPullImage": Meaning(
        "the instance could not pull the image",
        "check the image, the subnets and the instance role below; a full disk looks the "
        "same, and the root disk needs 30 GB for Kilosort4's image",
    ),
    "DockerTimeoutError|timed out after waiting": Meaning(
        "the instance took too long to unpack the image",
        "submit again; with ECS_CONTAINER_CREATE_TIMEOUT=15m in the instance's user data it "
        "waits for longer",
    ),
    "unable to assume the role|unable to assume role": Meaning(
        "ECS may not assume a role of the job",
        "check the job role and the execution role below",
    ),
    "ResourceInitializationError|unable to retrieve secret": Meaning(
        "AWS could not prepare the container: secrets, log or network",
        "check the execution role, the log group and the subnets below",
    ),
    "log group does not exist|CreateLogStream|awslogs": Meaning(
        "the container's log could not be opened",
        "check the log group below",
    ),
    "could not select device driver|nvidia-container-cli|nvidia": Meaning(
        "the instance has no GPU, or no driver for it",
        "check the instance size and the system below",
    ),
    r"OutOfMemory|\bOOM": Meaning(
        "the container used more memory than the job requested",
        "submit with more --memory, or a lower N_JOBS",
    ),
    "no space left on device": Meaning(
        "the disk of the instance is full",
        f"use a larger disk: about {DISK_FACTOR:g} times the recording, and the image",
    ),
    "CannotStartContainerError|CannotCreateContainerError": Meaning(
        "the container could not be started",
        "compare command, volumes and linuxParameters of the job definition to its image",
    ),
    "Host EC2": Meaning(
        "its instance was terminated: reclaimed by Spot, or by hand",
        "submit again, with more --attempts or to an On-Demand queue",
    ),
    "attempt duration exceeded timeout": Meaning(
        "it exceeded its timeout",
        "submit with a longer --timeout",
    ),
    "Dependent Job failed": Meaning(
        "a job that it depends on has failed",
        "correct that job, and submit both again",
    ),
    "Task failed to start": Meaning(
        "ECS could not start its container",
        "check the image, the roles and the log group below",
    ),
}

#: the reasons for which Batch itself cancels a job
CANCELED_BY_BATCH: Mapping[str, Meaning] = {
    reason: NOT_STARTED[reason]
    for reason in (
        "Canceled by JobStateTimeLimit",
        "attempt duration exceeded timeout",
        "Dependent Job failed",
    )
}

#: of a job that somebody canceled, whose reason says anything
CANCELED = Meaning("it was canceled", "if it is still needed, submit it again: it resumes")

#: the exit codes of Docker and the shell; above 128, signals, whose names Windows lacks
SYSTEM_EXIT_CODES: Mapping[int, ExitCode] = {
    125: ExitCode("Docker could not run the container", "compare the job definition to its image"),
    126: ExitCode("the command cannot be executed", "set it to `python run_script.py`"),
    127: ExitCode("the image has no such command", "set it to `python run_script.py`"),
    137: ExitCode(
        "it was killed: usually for using more memory than the job requested, otherwise at its "
        "timeout or with its instance",
        "submit with more --memory, or a lower N_JOBS",
    ),
    139: ExitCode(
        "a library of a sorter crashed", "read the end of the log; more --memory may help"
    ),
    143: ExitCode(
        "it was stopped before the program had started: canceled, at its timeout, or with its "
        "instance",
        "submit again",
    ),
}


def explain_exit_code(code: int) -> ExitCode:
    """Return the meaning of an exit code, and what to do.

    >>> explain_exit_code(66).meaning
    'the source is missing or forbidden'
    """
    unknown = ExitCode(
        "not an exit code of this program", "read the log; is it this project's image?"
    )
    return EXIT_CODES.get(code) or SYSTEM_EXIT_CODES.get(code) or unknown
