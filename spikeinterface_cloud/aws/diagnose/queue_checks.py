"""Checks of a queue, of the jobs at its front, and of its compute environments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Reply,
    failed,
    first_match,
    ok,
    warning,
)
from spikeinterface_cloud.aws.diagnose.meanings import BLOCKED
from spikeinterface_cloud.aws.diagnose.quotas import is_spot
from spikeinterface_cloud.aws.diagnose.request import JobRequirements
from spikeinterface_cloud.aws.program_name import command_line

#: the number of waiting jobs whose order AWS gives
LISTED = 100

#: remedies for an invalid compute environment, by patterns of its reason
INVALID: Mapping[str, str] = {
    "none of the instances joined": (
        "check the subnets, the security groups and the instance role below"
    ),
    "not authorized|AccessDenied|service role|sts:AssumeRole|assume role": (
        "check the roles below: the service role must be trusted by Batch"
    ),
    "instance profile|instanceProfile": "check the instance role below",
    "launch template|LaunchTemplate": "check the launch template below",
    "subnet|security group": "check the subnets and security groups below",
}


def check_queue(queue: Reply | None) -> Iterator[Finding]:
    """Check whether a queue is enabled, valid, and has compute environments."""
    if queue is None:
        yield failed("the queue of the job no longer exists", "submit to a queue that exists")
        return
    name = queue["jobQueueName"]
    if queue.get("state") == "DISABLED":
        yield failed(
            f"{name} is DISABLED: no job starts",
            "enable it",
            f"aws batch update-job-queue --job-queue {name} --state ENABLED",
        )
    elif queue.get("status") in ("INVALID", "DELETING", "DELETED"):
        yield failed(
            f"{name} is {queue['status']}: {queue.get('statusReason', 'no reason is given')}",
            "submit to another queue, or correct this one",
        )
    elif not queue.get("computeEnvironmentOrder"):
        yield failed(f"{name} has no compute environment", "add one")
    else:
        environments = ", then ".join(names_in_order(queue))
        yield ok(f"{name} is {queue['state']}; it tries {environments}{_limits(queue)}")


def names_in_order(queue: Reply) -> list[str]:
    """Return the names of a queue's compute environments, in the order in which it tries them."""
    ordered = sorted(queue.get("computeEnvironmentOrder", ()), key=lambda entry: entry["order"])
    return [str(entry["computeEnvironment"]).rpartition("/")[2] for entry in ordered]


def check_front(
    front: Sequence[str], job: JobState | None, first: JobState | None
) -> Iterator[Finding]:
    """Check the jobs before a waiting job, given the ARNs and the first of those at the front.

    AWS gives a reason only for the first. Without a job, the queue alone is checked.
    """
    arn = job.reply.get("jobArn") if job is not None else None
    known = first_match(first.reason, BLOCKED) if first is not None else None
    is_first = bool(front) and front[0] == arn
    place = f"{front.index(arn) + 1}. in the queue" if arn in front else ""
    if first is not None and known is not None and not is_first:
        yield failed(
            f"{f'{place}; ' if place else ''}{first.job_id} at the front is blocked: "
            f"{known.meaning} ({first.reason})",
            f"{known.remedy}; or cancel that job, because it blocks those behind it",
            command_line("cancel", first.job_id),
        )
    elif job is not None and not place and len(front) < LISTED:
        yield ok("AWS does not list the job yet")
    elif job is not None and not place:
        yield warning("not among the first hundred jobs of the queue", "wait, or use another queue")
    elif not front:
        yield ok("no job is waiting for an instance")
    else:
        yield ok(place or f"{len(front)} jobs are waiting; none is known to be blocked")


def check_environment(environment: Reply, request: JobRequirements | None) -> Iterator[Finding]:
    """Check whether a compute environment accepts jobs, and may grow."""
    problem = _state_problem(environment) or _size_problem(environment, request)
    if problem is not None:
        yield problem
        return
    yield from _doubts(environment)
    resources = environment.get("computeResources", {})
    if environment.get("type") == "UNMANAGED":
        yield warning(
            "Batch does not start its instances (UNMANAGED)", "start instances that join it"
        )
        return
    market = "Spot" if is_spot(environment) else str(resources.get("type", "EC2"))
    desired, most = int(resources.get("desiredvCpus", 0)), int(resources.get("maxvCpus", 0))
    words = f"ENABLED, {environment.get('status', 'VALID')}, {market}, {desired} of {most} vCPUs"
    if desired >= most:
        yield warning(
            f"{words}: it has reached its maximum",
            "wait for other jobs to end, or raise maxvCpus",
        )
    else:
        yield ok(words)


def _state_problem(environment: Reply) -> Finding | None:
    name = environment["computeEnvironmentName"]
    enable = f"aws batch update-compute-environment --compute-environment {name} --state ENABLED"
    if environment.get("state") == "DISABLED":
        return failed("DISABLED: it starts no instances", "enable it", enable)
    reason = str(environment.get("statusReason") or "no reason is given")
    status = environment.get("status")
    if status == "INVALID":
        remedy = first_match(reason, INVALID) or "correct the cause that the reason names"
        return failed(f"INVALID: {reason}", f"{remedy}; then disable and enable it", enable)
    if status in ("DELETING", "DELETED"):
        return failed(f"{status}: {reason}", "add another compute environment to the queue")
    if status in ("CREATING", "UPDATING"):
        return warning(f"{status}: it starts no instances until then", "wait a few minutes")
    return None


def _size_problem(environment: Reply, request: JobRequirements | None) -> Finding | None:
    resources = environment.get("computeResources", {})
    if environment.get("type") == "UNMANAGED":
        return None
    most, wanted = int(resources.get("maxvCpus", 0)), request.vcpus if request is not None else 1
    name = environment["computeEnvironmentName"]
    if most < wanted:
        return failed(
            f"its maximum is {most} vCPUs, but the job requests {wanted:g}",
            "raise maxvCpus",
            f"aws batch update-compute-environment --compute-environment {name} "
            f"--compute-resources maxvCpus={max(32, int(wanted))}",
        )
    if "FARGATE" in str(resources.get("type")) and request is not None and request.gpus:
        return failed(
            "its containers run on Fargate, which has no GPUs",
            "submit to a queue with EC2 or Spot instances",
        )
    if is_spot(environment) and _is_best_fit(resources) and not resources.get("spotIamFleetRole"):
        return failed(
            "Spot with the strategy BEST_FIT and without spotIamFleetRole: no instance starts",
            "recreate it with SPOT_PRICE_CAPACITY_OPTIMIZED, which needs no such role",
        )
    return None


def _doubts(environment: Reply) -> Iterator[Finding]:
    resources = environment.get("computeResources", {})
    bid = resources.get("bidPercentage")
    if is_spot(environment) and bid is not None and 0 < int(bid) < 100:
        yield warning(
            f"it pays at most {bid} % of the On-Demand price: no instance starts while Spot costs "
            "more",
            "recreate it without bidPercentage; you pay the Spot price in any case",
        )
    if environment.get("type") != "UNMANAGED" and _is_best_fit(resources):
        yield warning(
            "the allocation strategy BEST_FIT waits for one instance type, even if another is "
            "available",
            "recreate it with BEST_FIT_PROGRESSIVE, or for Spot SPOT_PRICE_CAPACITY_OPTIMIZED",
        )


def _is_best_fit(resources: Reply) -> bool:
    is_fargate = "FARGATE" in str(resources.get("type"))
    return not is_fargate and resources.get("allocationStrategy", "BEST_FIT") == "BEST_FIT"


def _limits(queue: Reply) -> str:
    """Return after which time the queue itself cancels a blocked job."""
    actions = [
        f"{action['reason'].partition(' ')[0]} for {action['maxTimeSeconds']} s"
        for action in queue.get("jobStateTimeLimitActions", ())
    ]
    return f"; it cancels jobs that are blocked by {', '.join(actions)}" if actions else ""
