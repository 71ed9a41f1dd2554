"""Whether machines start, join the cluster and have room for the job, and why others did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import Finding, failed, ok, warning
from spikeinterface_cloud.aws.diagnose.request import Request
from spikeinterface_cloud.aws.diagnose.scaling import amount

Reply = Mapping[str, Any]

#: a machine that has not joined the cluster after this time will not
JOINING = timedelta(minutes=10)

#: what the words of a failed start mean, and what to do about it
START_FAILURES = (
    (
        ("VcpuLimitExceeded", "more vCPU capacity than your current vCPU limit"),
        "the quota of On-Demand vCPUs is used up: ask AWS for more (see the quota above)",
    ),
    (
        ("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded"),
        "the quota of Spot vCPUs is used up: ask AWS for more (see the quota above); it is not "
        "the On-Demand one",
    ),
    (
        ("InsufficientInstanceCapacity", "do not have sufficient", "UnfulfillableCapacity"),
        "AWS has no such machine free: add types and zones to the compute environment, submit to "
        "an On-Demand queue, or wait",
    ),
    (
        ("SpotMaxPriceTooLow", "Spot request price", "price is lower"),
        "Spot costs more than the environment offers: take bidPercentage out of it",
    ),
    (
        ("InvalidLaunchTemplate", "launch template"),
        "mend the launch template of the compute environment",
    ),
    (
        ("InstanceProfile", "instance profile"),
        "name an instance profile that exists in the compute environment",
    ),
    (
        ("KMS", "Client.InternalError", "InvalidKmsKey"),
        "let the service-linked role of Auto Scaling use the key that encrypts the disk",
    ),
    (
        ("not supported in your requested Availability Zone", "Unsupported"),
        "leave out the zones that lack the type, or add other types",
    ),
    (
        ("InvalidAMIID", "InvalidAmi"),
        "name an image of the machine that exists, or leave it to Batch",
    ),
    (
        ("UnauthorizedOperation", "not authorized", "AuthFailure"),
        "let the service-linked role of Auto Scaling, and its Spot role, start machines",
    ),
)


def judge_activities(groups: Sequence[Reply], activities: Sequence[Reply]) -> Iterator[Finding]:
    """Whether the last start of a machine went well."""
    if not groups:
        yield ok("no Auto Scaling group yet: Batch makes one for the first machine")
        return
    if not activities:
        yield ok("Auto Scaling has started and ended nothing lately")
        return
    bad = [activity for activity in activities if activity.get("StatusCode") == "Failed"]
    if not bad:
        yield ok(f"the last: {_words(activities[0])}")
        return
    count = f"{len(bad)} of the last {len(activities)} starts failed; " if len(bad) > 1 else ""
    evidence = f"{count}{_words(bad[0])}"
    if bad[0] is activities[0]:
        yield failed(evidence, start_failure_remedy(_words(bad[0])))
    else:
        yield warning(f"{evidence}; a later one went well", start_failure_remedy(_words(bad[0])))


def start_failure_remedy(words: str) -> str:
    """What to do about a machine that did not start."""
    lowered = words.lower()
    for patterns, remedy in START_FAILURES:
        if any(pattern.lower() in lowered for pattern in patterns):
            return remedy
    return "mend what it names; AWS tries again by itself"


def judge_machines(
    machines: Sequence[Reply],
    groups: Sequence[Reply],
    activities: Sequence[Reply],
    request: Request | None,
    now: datetime,
) -> Iterator[Finding]:
    """Whether machines that run have joined the cluster, and have room for the job."""
    if not machines:
        yield _judge_none_joined(groups, activities, now)
        return
    connected = [machine for machine in machines if machine.get("agentConnected")]
    lost = len(machines) - len(connected)
    if not connected:
        yield failed(
            f"{_count(len(machines))} in the cluster, and none is connected to ECS: the agent has "
            "stopped",
            "end them in the console of EC2, and Batch starts others; when it comes again, look "
            "at the memory and the disk of the machine, both of which a job can fill",
        )
        return
    lost_words = f"; without its agent: {_count(lost)}" if lost else ""
    room = [machine for machine in connected if _has_room(machine, request)]
    words = f"{_count(len(connected))} in the cluster; {_most_room(connected)}{lost_words}"
    if request is not None and not room:
        yield warning(f"{words}: not enough for this job", "it waits for one, or for another start")
    else:
        yield warning(words, "end the lost one in the console of EC2") if lost else ok(words)


def _judge_none_joined(
    groups: Sequence[Reply], activities: Sequence[Reply], now: datetime
) -> Finding:
    running = [
        machine
        for group in groups
        for machine in group.get("Instances", ())
        if machine.get("LifecycleState") == "InService"
    ]
    if not running:
        return ok("none runs; Batch starts one when a job needs it")
    started = [
        activity["StartTime"] for activity in activities if activity["StatusCode"] == "Successful"
    ]
    age: datetime | None = max(started, default=None)
    if age is not None and now - age < JOINING:
        return warning(f"{_count(len(running))} just started", "wait a few minutes")
    return failed(
        f"{_count(len(running))} in service, and none has joined the cluster of ECS",
        "look at the subnets' way out, the security groups and the instance role above; else the "
        "agent of ECS is missing from the image of the machine, or its user data fail",
    )


def _has_room(machine: Reply, request: Request | None) -> bool:
    if request is None:
        return True
    left = machine.get("remainingResources", ())
    return (
        machine.get("status", "ACTIVE") == "ACTIVE"
        and amount(left, "CPU") >= request.vcpus * 1024
        and amount(left, "MEMORY") >= request.memory_mib
        and amount(left, "GPU") >= request.gpus
    )


def _most_room(machines: Sequence[Reply]) -> str:
    def left(name: str) -> int:
        return max(amount(machine.get("remainingResources", ()), name) for machine in machines)

    return (
        f"free on one at most {left('CPU') / 1024:g} vCPUs, {left('MEMORY'):,} MiB, "
        f"{left('GPU')} GPUs"
    )


def _words(activity: Reply) -> str:
    """What happened, in AWS's own words."""
    said = activity.get("StatusMessage") or activity.get("Description") or activity["StatusCode"]
    return " ".join(str(said).split())


def _count(number: int) -> str:
    return "1 machine" if number == 1 else f"{number} machines"
