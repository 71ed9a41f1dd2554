"""The meaning of AWS's reasons for a job's state, and the remedies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from spikeinterface_cloud.runtime.disk import DISK_FACTOR


class Meaning(NamedTuple):
    """The meaning of reasons that contain one of the signs."""

    signs: tuple[str, ...]
    meaning: str
    remedy: str


#: of a job that waits at the front of its queue (AWS Batch user guide, "Jobs stuck in RUNNABLE")
BLOCKED = (
    Meaning(
        ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",),
        "AWS has no capacity for the instance types of the queue",
        "add types and zones, submit to an On-Demand queue, or wait",
    ),
    Meaning(
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",),
        "the job requests more vCPUs than its compute environments may have",
        "raise maxvCpus of the compute environment, or submit with fewer --vcpus",
    ),
    Meaning(
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",),
        "the job requests more vCPUs, memory or GPUs than any of the instance types has",
        "request less; the instance size below says how much fits",
    ),
    Meaning(
        ("MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",),
        "the instance types do not match their zones or their launch template",
        "choose types that the zones offer (below), or correct the launch template",
    ),
    Meaning(
        ("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS",),
        "the role of Batch lacks permissions",
        "use Batch's own role, AWSServiceRoleForBatch, or attach AWSBatchServiceRole to yours",
    ),
    Meaning(
        ("ACTION_REQUIRED", "are invalid"),
        "the compute environments of the queue are invalid",
        "correct the cause, which the compute environments name below",
    ),
    Meaning(
        ("UNDETERMINED",),
        "the job is blocked for a reason that AWS does not know",
        "see the checks below, especially scaling and instances",
    ),
)

#: of a job that did not start, or was stopped from outside
NOT_STARTED = (
    Meaning(
        ("Canceled by JobStateTimeLimit",),
        "the queue canceled it because it was blocked for too long",
        "remove the cause that it names, and submit again",
    ),
    Meaning(
        ("Container Overrides length must be at most",),
        "the variables of the job are longer than AWS accepts",
        "submit with fewer, or as a list on S3; submit_job.py stores long settings there",
    ),
    Meaning(
        ("CannotPullContainerError", "CannotPullImage"),
        "the instance could not pull the image",
        "check the image, the subnets and the instance role below; a full disk looks the "
        "same, and the root disk needs 30 GB for Kilosort4's image",
    ),
    Meaning(
        ("DockerTimeoutError", "timed out after waiting"),
        "the instance took too long to unpack the image",
        "submit again; with ECS_CONTAINER_CREATE_TIMEOUT=15m in the instance's user data it "
        "waits for longer",
    ),
    Meaning(
        ("unable to assume the role", "unable to assume role"),
        "ECS may not assume a role of the job",
        "check the job role and the execution role below",
    ),
    Meaning(
        ("ResourceInitializationError", "unable to retrieve secret"),
        "AWS could not prepare the container: secrets, log or network",
        "check the execution role, the log group and the subnets below",
    ),
    Meaning(
        ("log group does not exist", "CreateLogStream", "awslogs"),
        "the container's log could not be opened",
        "check the log group below",
    ),
    Meaning(
        ("could not select device driver", "nvidia-container-cli", "nvidia"),
        "the instance has no GPU, or no driver for it",
        "check the instance size and the system below",
    ),
    Meaning(
        ("OutOfMemory", "OOM"),
        "the container used more memory than the job requested",
        "submit with more --memory, or a lower N_JOBS",
    ),
    Meaning(
        ("no space left on device",),
        "the disk of the instance is full",
        f"use a larger disk: about {DISK_FACTOR:g} times the recording, and the image",
    ),
    Meaning(
        ("CannotStartContainerError", "CannotCreateContainerError"),
        "the container could not be started",
        "compare command, volumes and linuxParameters of the job definition to its image",
    ),
    Meaning(
        ("Host EC2",),
        "its instance was terminated: reclaimed by Spot, or by hand",
        "submit again, with more --attempts or to an On-Demand queue",
    ),
    Meaning(
        ("attempt duration exceeded timeout",),
        "it exceeded its timeout",
        "submit with a longer --timeout",
    ),
    Meaning(
        ("Dependent Job failed",),
        "a job that it depends on has failed",
        "correct that job, and submit both again",
    ),
    Meaning(
        ("Task failed to start",),
        "ECS could not start its container",
        "check the image, the roles and the log group below",
    ),
)


def meaning_of(reason: str, meanings: Sequence[Meaning]) -> Meaning | None:
    """Return the first meaning whose signs occur in a reason; None if it is unknown."""
    lowered = reason.lower()
    return next(
        (known for known in meanings if any(sign.lower() in lowered for sign in known.signs)), None
    )
