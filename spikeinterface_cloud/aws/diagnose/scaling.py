"""What Auto Scaling and ECS say of the machines of a compute environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import Seen, Unavailable
from spikeinterface_cloud.aws.diagnose.query import ask, ask_for
from spikeinterface_cloud.aws.session import AwsSession

Reply = Mapping[str, Any]

#: of DescribeContainerInstances
MOST_DESCRIBED = 100

#: how many of the last activities are looked at
ACTIVITIES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """What Auto Scaling and ECS say of a compute environment."""

    groups: Seen[list[Reply]]
    #: of those groups, the newest first
    activities: Seen[list[Reply]]
    #: registered with the cluster
    machines: Seen[list[Reply]]


def look_at_scaling(session: AwsSession, environment: Reply) -> Scaling:
    """Ask Auto Scaling and ECS for the machines of a compute environment."""
    groups = _groups(session, str(environment["computeEnvironmentName"]))
    return Scaling(
        groups=groups,
        activities=groups if isinstance(groups, Unavailable) else _activities(session, groups),
        machines=_machines(session, environment.get("ecsClusterArn")),
    )


def _groups(session: AwsSession, environment: str) -> Seen[list[Reply]]:
    """Batch names a group after its compute environment."""
    starts = (f"AWSBatch-{environment}-asg-", f"{environment}-asg-")
    pages = session.client("autoscaling").get_paginator("describe_auto_scaling_groups").paginate
    return ask_for(
        "autoscaling:DescribeAutoScalingGroups",
        lambda: [
            group
            for page in pages()
            for group in page["AutoScalingGroups"]
            if str(group["AutoScalingGroupName"]).startswith(starts)
        ],
    )


def _activities(session: AwsSession, groups: Sequence[Reply]) -> Seen[list[Reply]]:
    client = session.client("autoscaling")
    found: list[Reply] = []
    for group in groups:
        some = ask_for(
            "autoscaling:DescribeScalingActivities",
            partial(_activities_of, client, group["AutoScalingGroupName"]),
        )
        if isinstance(some, Unavailable):
            return some
        found += some
    return sorted(found, key=lambda activity: activity["StartTime"], reverse=True)


def _machines(session: AwsSession, cluster: str | None) -> Seen[list[Reply]]:
    if not cluster:
        return []
    ecs = session.client("ecs")
    pages = ecs.get_paginator("list_container_instances").paginate
    arns = ask(
        "ecs:ListContainerInstances",
        lambda: [arn for page in pages(cluster=cluster) for arn in page["containerInstanceArns"]],
        absent=("ClusterNotFoundException",),
    )
    if arns is None or isinstance(arns, Unavailable):
        return arns or []
    found: list[Reply] = []
    for start in range(0, len(arns), MOST_DESCRIBED):
        some = arns[start : start + MOST_DESCRIBED]
        described = ask_for(
            "ecs:DescribeContainerInstances", partial(_described, ecs, cluster, some)
        )
        if isinstance(described, Unavailable):
            return described
        found += described
    return found


def _activities_of(client: Any, group: str) -> list[Reply]:
    reply = client.describe_scaling_activities(AutoScalingGroupName=group, MaxRecords=ACTIVITIES)
    return list(reply["Activities"])


def _described(ecs: Any, cluster: str, arns: Sequence[str]) -> list[Reply]:
    reply = ecs.describe_container_instances(cluster=cluster, containerInstances=list(arns))
    return list(reply["containerInstances"])


def registered_memory(machines: Sequence[Reply]) -> dict[str, int]:
    """The memory, in MiB, that a machine of each type has for jobs; the least that was seen."""
    found: dict[str, int] = {}
    for machine in machines:
        kinds = [
            attribute.get("value")
            for attribute in machine.get("attributes", ())
            if attribute["name"] == "ecs.instance-type"
        ]
        memory = amount(machine.get("registeredResources", ()), "MEMORY")
        if kinds and kinds[0] and memory:
            found[kinds[0]] = min(memory, found.get(kinds[0], memory))
    return found


def amount(resources: Sequence[Reply], name: str) -> int:
    """How much of a resource there is: CPU in 1024 a vCPU, MEMORY in MiB, GPU in pieces."""
    for resource in resources:
        if resource["name"] == name:
            if resource.get("type") == "STRINGSET":
                return len(resource.get("stringSetValue", ()))
            return int(resource.get("integerValue", 0))
    return 0
