"""Whether a queue takes jobs, what is at its front, and how its compute environments stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.diagnose.finding import Finding, failed, ok, warning
from spikeinterface_cloud.aws.diagnose.quotas import is_spot
from spikeinterface_cloud.aws.diagnose.request import Request
from spikeinterface_cloud.aws.diagnose.status_reasons import BLOCKED, meaning_of

Reply = Mapping[str, Any]

#: how many of the jobs that wait AWS tells the order of
LISTED = 100

#: why a compute environment is invalid, by words of its reason, and what mends it
INVALID = (
    (
        ("none of the instances joined",),
        "look at the subnets' way out, the security groups and the instance role below",
    ),
    (
        ("not authorized", "AccessDenied", "service role", "sts:AssumeRole", "assume role"),
        "look at the roles below: the service role has to be trusted by Batch",
    ),
    (("instance profile", "instanceProfile"), "look at the instance role below"),
    (("launch template", "LaunchTemplate"), "look at the launch template below"),
    (("subnet", "security group"), "look at the subnets and security groups below"),
)


def judge_queue(queue: Reply | None) -> Iterator[Finding]:
    """Whether a queue is enabled, valid, and has compute environments."""
    if queue is None:
        yield failed("the queue of the job is gone", "submit to a queue that exists")
        return
    name = queue["jobQueueName"]
    if queue.get("state") == "DISABLED":
        yield failed(
            f"{name} is DISABLED: none of its jobs starts",
            "enable it",
            f"aws batch update-job-queue --job-queue {name} --state ENABLED",
        )
    elif queue.get("status") in ("INVALID", "DELETING", "DELETED"):
        yield failed(
            f"{name} is {queue['status']}: {queue.get('statusReason', 'no reason is given')}",
            "submit to another queue, or mend this one",
        )
    elif not queue.get("computeEnvironmentOrder"):
        yield failed(f"{name} has no compute environment", "give it one")
    else:
        environments = ", then ".join(names_in_order(queue))
        yield ok(f"{name} is {queue['state']}; it tries {environments}{_limits(queue)}")


def names_in_order(queue: Reply) -> list[str]:
    """The names of a queue's compute environments, in the order in which they are tried."""
    ordered = sorted(queue.get("computeEnvironmentOrder", ()), key=lambda entry: entry["order"])
    return [str(entry["computeEnvironment"]).rpartition("/")[2] for entry in ordered]


def judge_front(
    front: Sequence[str], job: JobState | None, first: JobState | None
) -> Iterator[Finding]:
    """What is before a job in its queue: only the job at the front has its reason told.

    Parameters
    ----------
    front
        the ARNs of the jobs at the front of the queue, in order
    job
        the job that waits; None where the queue alone is looked at
    first
        the job at the front
    """
    arn = job.reply.get("jobArn") if job is not None else None
    known = meaning_of(first.reason, BLOCKED) if first is not None else None
    is_first = bool(front) and front[0] == arn
    place = f"{front.index(arn) + 1}. in the queue" if arn in front else ""
    if first is not None and known is not None and not is_first:
        yield failed(
            f"{_joined(place, f'{first.job_id} at the front is blocked')}: {known.meaning} "
            f"({first.reason})",
            f"{known.remedy}; or cancel that job, as it holds up those behind it",
            f"python submit_job.py cancel {first.job_id}",
        )
    elif job is not None and not place and len(front) < LISTED:
        yield ok("AWS does not list it yet")
    elif job is not None and not place:
        yield warning("not among the first hundred of the queue", "wait, or use another queue")
    elif not front:
        yield ok("no job waits for a machine")
    else:
        yield ok(place or f"{len(front)} jobs wait; none is known to be blocked")


def judge_environment(environment: Reply, request: Request | None) -> Iterator[Finding]:
    """Whether a compute environment takes jobs, and may grow."""
    problem = _state_problem(environment) or _size_problem(environment, request)
    if problem is not None:
        yield problem
        return
    yield from _doubts(environment)
    resources = environment.get("computeResources", {})
    if environment.get("type") == "UNMANAGED":
        yield warning(
            "its machines are not started by Batch (UNMANAGED)", "start machines that join it"
        )
        return
    market = "Spot" if is_spot(environment) else str(resources.get("type", "EC2"))
    desired, most = int(resources.get("desiredvCpus", 0)), int(resources.get("maxvCpus", 0))
    words = f"ENABLED, {environment.get('status', 'VALID')}, {market}, {desired} of {most} vCPUs"
    if desired >= most:
        yield warning(
            f"{words}: it does not grow any further",
            "wait for other jobs to end, or raise maxvCpus",
        )
    else:
        yield ok(words)


def _state_problem(environment: Reply) -> Finding | None:
    name = environment["computeEnvironmentName"]
    enable = f"aws batch update-compute-environment --compute-environment {name} --state ENABLED"
    if environment.get("state") == "DISABLED":
        return failed("DISABLED: it starts no machine", "enable it", enable)
    reason = str(environment.get("statusReason") or "no reason is given")
    status = environment.get("status")
    if status == "INVALID":
        remedy = next(
            (
                remedy
                for words, remedy in INVALID
                if any(word.lower() in reason.lower() for word in words)
            ),
            "mend what the reason names",
        )
        return failed(f"INVALID: {reason}", f"{remedy}; then disable it, and enable it", enable)
    if status in ("DELETING", "DELETED"):
        return failed(f"{status}: {reason}", "give the queue another compute environment")
    if status in ("CREATING", "UPDATING"):
        return warning(f"{status}: it starts no machine meanwhile", "wait a few minutes")
    return None


def _size_problem(environment: Reply, request: Request | None) -> Finding | None:
    resources = environment.get("computeResources", {})
    if environment.get("type") == "UNMANAGED":
        return None
    most, wanted = int(resources.get("maxvCpus", 0)), request.vcpus if request is not None else 1
    name = environment["computeEnvironmentName"]
    if most < wanted:
        return failed(
            f"it may have {most} vCPUs at most, and the job asks for {wanted:g}",
            "raise its maxvCpus",
            f"aws batch update-compute-environment --compute-environment {name} "
            f"--compute-resources maxvCpus={max(32, int(wanted))}",
        )
    if "FARGATE" in str(resources.get("type")) and request is not None and request.gpus:
        return failed(
            "its containers run on Fargate, which has no GPUs",
            "submit to a queue of EC2 or Spot machines",
        )
    if is_spot(environment) and _is_best_fit(resources) and not resources.get("spotIamFleetRole"):
        return failed(
            "Spot with the allocation strategy BEST_FIT and no spotIamFleetRole: no machine starts",
            "make it anew with SPOT_PRICE_CAPACITY_OPTIMIZED, which needs no such role",
        )
    return None


def _doubts(environment: Reply) -> Iterator[Finding]:
    resources = environment.get("computeResources", {})
    bid = resources.get("bidPercentage")
    if is_spot(environment) and bid is not None and 0 < int(bid) < 100:
        yield warning(
            f"it pays {bid} % of the On-Demand price at most: no machine starts while Spot costs "
            "more",
            "make it anew without bidPercentage; Spot's own price is paid in any case",
        )
    if environment.get("type") != "UNMANAGED" and _is_best_fit(resources):
        yield warning(
            "the allocation strategy BEST_FIT waits for one type of machine, even when another is "
            "free",
            "make it anew with BEST_FIT_PROGRESSIVE, or for Spot SPOT_PRICE_CAPACITY_OPTIMIZED",
        )


def _is_best_fit(resources: Reply) -> bool:
    is_fargate = "FARGATE" in str(resources.get("type"))
    return not is_fargate and resources.get("allocationStrategy", "BEST_FIT") == "BEST_FIT"


def _limits(queue: Reply) -> str:
    """After which time the queue itself cancels a job that is blocked."""
    actions = [
        f"{action['reason'].partition(' ')[0]} for {action['maxTimeSeconds']} s"
        for action in queue.get("jobStateTimeLimitActions", ())
    ]
    return f"; it cancels a job that is blocked by {', '.join(actions)}" if actions else ""


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
