"""What the words mean that AWS gives as the reason of a job's state, and what to do about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What is the matter with a job of which AWS gives such a reason."""

    #: any of these is in it
    words: tuple[str, ...]
    meaning: str
    remedy: str


#: of a job that waits, at the front of its queue (AWS Batch user guide, "Jobs stuck in RUNNABLE")
BLOCKED = (
    Meaning(
        words=("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",),
        meaning="AWS has no such machine free in any compute environment of the queue",
        remedy="add types and zones, submit to an On-Demand queue, or wait",
    ),
    Meaning(
        words=("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",),
        meaning="the job asks for more vCPUs than its compute environments may ever have",
        remedy="raise maxvCpus of the compute environment, or submit with fewer --vcpus",
    ),
    Meaning(
        words=("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",),
        meaning="the job asks for more vCPUs, memory or GPUs than any of the machines has",
        remedy="submit with less; the machine size below says how much fits",
    ),
    Meaning(
        words=("MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",),
        meaning="the machines' types do not go with their zones or their launch template",
        remedy="choose types that the zones have (below), or mend the launch template",
    ),
    Meaning(
        words=("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS",),
        meaning="the role of Batch may not do what it has to",
        remedy="use Batch's own role, AWSServiceRoleForBatch, or give yours AWSBatchServiceRole",
    ),
    Meaning(
        words=("ACTION_REQUIRED", "are invalid"),
        meaning="the compute environments of the queue are invalid",
        remedy="mend what makes them so, as they say below",
    ),
    Meaning(
        words=("UNDETERMINED",),
        meaning="the job is blocked, and AWS does not know why",
        remedy="look at the checks below, the scaling and the machines above all",
    ),
)

#: of a job that did not start, or was ended from outside
NOT_STARTED = (
    Meaning(
        words=("Canceled by JobStateTimeLimit",),
        meaning="the queue has cancelled it, as it was blocked for too long",
        remedy="do away with the cause that it names, and submit again",
    ),
    Meaning(
        words=("Container Overrides length must be at most",),
        meaning="the variables of the job are longer than AWS takes",
        remedy="submit with fewer, or as a list on S3; submit_job.py stores long settings there",
    ),
    Meaning(
        words=("CannotPullContainerError", "CannotPullImage"),
        meaning="the machine could not fetch the image",
        remedy="look at the image, the subnets and the instance role below; a full disk looks the "
        "same, and the root disk needs 30 GB for Kilosort4's image",
    ),
    Meaning(
        words=("DockerTimeoutError", "timed out after waiting"),
        meaning="the machine took too long to unpack the image",
        remedy="submit again; with ECS_CONTAINER_CREATE_TIMEOUT=15m in the machine's user data it "
        "waits for longer",
    ),
    Meaning(
        words=("unable to assume the role", "unable to assume role"),
        meaning="a role of the job may not be taken by ECS",
        remedy="look at the job role and the execution role below",
    ),
    Meaning(
        words=("ResourceInitializationError", "unable to retrieve secret"),
        meaning="AWS could not prepare the container: secrets, log or network",
        remedy="look at the execution role, the log group and the subnets below",
    ),
    Meaning(
        words=("log group does not exist", "CreateLogStream", "awslogs"),
        meaning="the container's log could not be opened",
        remedy="look at the log group below",
    ),
    Meaning(
        words=("could not select device driver", "nvidia-container-cli", "nvidia"),
        meaning="the machine has no GPU, or no driver for it",
        remedy="look at the machines' types and system below",
    ),
    Meaning(
        words=("OutOfMemory", "OOM"),
        meaning="the container used more memory than the job asked for",
        remedy="submit with more --memory, or a lower N_JOBS",
    ),
    Meaning(
        words=("no space left on device",),
        meaning="the disk of the machine is full",
        remedy="give the machines a larger disk: the recording about 2.3 times, and the image",
    ),
    Meaning(
        words=("CannotStartContainerError", "CannotCreateContainerError"),
        meaning="the container could not be started",
        remedy="compare command, volumes and linuxParameters of the job definition with its image",
    ),
    Meaning(
        words=("Host EC2",),
        meaning="its machine was taken away: Spot, or it was ended by hand",
        remedy="submit again, with more --attempts or to an On-Demand queue",
    ),
    Meaning(
        words=("attempt duration exceeded timeout",),
        meaning="it ran for longer than its timeout",
        remedy="submit with a longer --timeout",
    ),
    Meaning(
        words=("Dependent Job failed",),
        meaning="a job that it waits for has failed",
        remedy="look at that job, and submit both again",
    ),
    Meaning(
        words=("Task failed to start",),
        meaning="ECS could not start its container",
        remedy="look at the image, the roles and the log group below",
    ),
)


def meaning_of(reason: str, meanings: Sequence[Meaning]) -> Meaning | None:
    """What a reason means, where it is a known one."""
    lowered = reason.lower()
    for known in meanings:
        if any(words.lower() in lowered for words in known.words):
            return known
    return None
