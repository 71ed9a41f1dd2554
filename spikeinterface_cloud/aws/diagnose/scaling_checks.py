"""Checks whether instances start, join the cluster and have room for the job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Reply,
    failed,
    first_match,
    ok,
    warning,
)
from spikeinterface_cloud.aws.diagnose.request import JobRequirements
from spikeinterface_cloud.aws.diagnose.scaling import amount
from spikeinterface_cloud.runtime.logging import counted

#: an instance that has not joined the cluster after this time never will
JOINING = timedelta(minutes=10)

#: remedies for a failed start, by patterns of AWS's words
START_FAILURES: Mapping[str, str] = {
    "VcpuLimitExceeded|more vCPU capacity than your current vCPU limit": (
        "the quota of On-Demand vCPUs is used up: request an increase (see the quota above)"
    ),
    "MaxSpotInstanceCountExceeded|Max spot instance count exceeded": (
        "the quota of Spot vCPUs is used up: request an increase (see the quota above); it is "
        "separate from the On-Demand quota"
    ),
    "InsufficientInstanceCapacity|do not have sufficient|UnfulfillableCapacity": (
        "AWS has no capacity: add types and zones to the compute environment, submit to an "
        "On-Demand queue, or wait"
    ),
    "SpotMaxPriceTooLow|Spot request price|price is lower": (
        "Spot costs more than the compute environment offers: remove bidPercentage"
    ),
    "InvalidLaunchTemplate|launch template": (
        "correct the launch template of the compute environment"
    ),
    "InstanceProfile|instance profile": (
        "name an existing instance profile in the compute environment"
    ),
    "KMS|Client.InternalError|InvalidKmsKey": (
        "allow the service-linked role of Auto Scaling to use the key that encrypts the disk"
    ),
    "not supported in your requested Availability Zone|Unsupported": (
        "remove the zones that lack the type, or add other types"
    ),
    "InvalidAMIID|InvalidAmi": "name an existing AMI, or leave the choice to Batch",
    "UnauthorizedOperation|not authorized|AuthFailure": (
        "allow the service-linked role of Auto Scaling, and its Spot role, to start instances"
    ),
}


def check_activities(groups: Sequence[Reply], activities: Sequence[Reply]) -> Iterator[Finding]:
    """Check whether the last start of an instance succeeded."""
    if not groups:
        yield ok("no Auto Scaling group yet: Batch creates one with the first instance")
        return
    if not activities:
        yield ok("Auto Scaling has started and terminated nothing recently")
        return
    bad = [activity for activity in activities if activity.get("StatusCode") == "Failed"]
    if not bad:
        yield ok(f"the last: {_words(activities[0])}")
        return
    count = f"{len(bad)} of the last {len(activities)} starts failed; " if len(bad) > 1 else ""
    evidence = f"{count}{_words(bad[0])}"
    otherwise = "correct the cause that it names; AWS tries again by itself"
    remedy = first_match(_words(bad[0]), START_FAILURES) or otherwise
    if bad[0] is activities[0]:
        yield failed(evidence, remedy)
    else:
        yield warning(f"{evidence}; a later one succeeded", remedy)


def check_instances(
    instances: Sequence[Reply],
    groups: Sequence[Reply],
    activities: Sequence[Reply],
    request: JobRequirements | None,
    now: datetime,
) -> Iterator[Finding]:
    """Check whether running instances have joined the cluster and have room for the job."""
    if not instances:
        yield _check_none_joined(groups, activities, now)
        return
    connected = [instance for instance in instances if instance.get("agentConnected")]
    lost = len(instances) - len(connected)
    if not connected:
        yield failed(
            f"{counted(len(instances), 'instance')} in the cluster, but none is connected to ECS: "
            "the agent has stopped",
            "terminate them in the EC2 console, and Batch starts others; if it happens again, "
            "check the memory and the disk of the instance, which a job can fill",
        )
        return
    words = f"{counted(len(connected), 'instance')} in the cluster; {_most_room(connected)}"
    words += f"; not connected: {counted(lost, 'instance')}" if lost else ""
    room = [instance for instance in connected if _has_room(instance, request)]
    if request is not None and not room:
        yield warning(
            f"{words}: not enough for this job",
            "wait for other jobs to end, or for another instance",
        )
    else:
        yield warning(words, "terminate the lost one in the EC2 console") if lost else ok(words)


def _check_none_joined(
    groups: Sequence[Reply], activities: Sequence[Reply], now: datetime
) -> Finding:
    running = [
        instance
        for group in groups
        for instance in group.get("Instances", ())
        if instance.get("LifecycleState") == "InService"
    ]
    if not running:
        return ok("none is running; Batch starts one when a job needs it")
    started = [
        activity["StartTime"] for activity in activities if activity["StatusCode"] == "Successful"
    ]
    last: datetime | None = max(started, default=None)
    if last is not None and now - last < JOINING:
        return warning(f"{counted(len(running), 'instance')} just started", "wait a few minutes")
    return failed(
        f"{counted(len(running), 'instance')} in service, but none has joined the ECS cluster",
        "check the subnets, the security groups and the instance role above; otherwise the AMI "
        "lacks the ECS agent, or the user data fails",
    )


def _has_room(instance: Reply, request: JobRequirements | None) -> bool:
    if request is None:
        return True
    left = instance.get("remainingResources", ())
    return (
        instance.get("status", "ACTIVE") == "ACTIVE"
        and amount(left, "CPU") >= request.vcpus * 1024
        and amount(left, "MEMORY") >= request.memory_mib
        and amount(left, "GPU") >= request.gpus
    )


def _most_room(instances: Sequence[Reply]) -> str:
    def left(name: str) -> int:
        return max(amount(instance.get("remainingResources", ()), name) for instance in instances)

    return (
        f"free on one at most {left('CPU') / 1024:g} vCPUs, {left('MEMORY'):,} MiB, "
        f"{left('GPU')} GPUs"
    )


def _words(activity: Reply) -> str:
    words = activity.get("StatusMessage") or activity.get("Description") or activity["StatusCode"]
    return " ".join(str(words).split())
