"""Auto Scaling's and ECS's description of the instances of a compute environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.diagnose.finding import Reply, Unavailable
from spikeinterface_cloud.aws.diagnose.query import fact, query, query_pages
from spikeinterface_cloud.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

#: the most that DescribeContainerInstances takes
MOST_DESCRIBED = 100

#: the last activities that are read
ACTIVITIES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """The Auto Scaling groups of a compute environment, and its instances in ECS."""

    groups: list[Reply] | Unavailable
    #: of those groups, the newest first
    activities: list[Reply] | Unavailable
    #: registered with the cluster
    instances: list[Reply] | Unavailable


def find_scaling(session: AwsSession, environment: Reply) -> Scaling:
    """Query Auto Scaling and ECS for the instances of a compute environment."""
    groups = _groups(session, str(environment["computeEnvironmentName"]))
    return Scaling(
        groups=groups,
        activities=groups if isinstance(groups, Unavailable) else _activities(session, groups),
        instances=_instances(session, environment.get("ecsClusterArn")),
    )


@fact
def _groups(session: AwsSession, environment: str) -> list[Reply]:
    """Return the groups that Batch named after the compute environment."""
    prefixes = (f"AWSBatch-{environment}-asg-", f"{environment}-asg-")
    client: AutoScalingClient = session.client("autoscaling")
    groups = query_pages(client, "describe_auto_scaling_groups", "AutoScalingGroups")
    return [group for group in groups if group["AutoScalingGroupName"].startswith(prefixes)]


@fact
def _activities(session: AwsSession, groups: Sequence[Reply]) -> list[Reply]:
    client: AutoScalingClient = session.client("autoscaling")
    activities: list[Reply] = []
    for group in groups:
        reply = query(
            client.describe_scaling_activities,
            AutoScalingGroupName=group["AutoScalingGroupName"],
            MaxRecords=ACTIVITIES,
        )
        activities += reply["Activities"]
    return sorted(activities, key=lambda activity: activity["StartTime"], reverse=True)


@fact
def _instances(session: AwsSession, cluster: str | None) -> list[Reply]:
    if not cluster:
        return []
    ecs = session.client("ecs")
    absent = ("ClusterNotFoundException",)
    arns = query_pages(
        ecs, "list_container_instances", "containerInstanceArns", absent, cluster=cluster
    )
    instances: list[Reply] = []
    for start in range(0, len(arns), MOST_DESCRIBED):
        some = arns[start : start + MOST_DESCRIBED]
        reply = query(ecs.describe_container_instances, cluster=cluster, containerInstances=some)
        instances += reply["containerInstances"]
    return instances


def registered_memory(instances: Sequence[Reply]) -> dict[str, int]:
    """Return the least memory, in MiB, that instances of each type have registered for jobs."""
    found: dict[str, int] = {}
    for instance in instances:
        types = [
            attribute.get("value")
            for attribute in instance.get("attributes", ())
            if attribute["name"] == "ecs.instance-type"
        ]
        memory = amount(instance.get("registeredResources", ()), "MEMORY")
        if types and types[0] and memory:
            found[types[0]] = min(memory, found.get(types[0], memory))
    return found


def amount(resources: Sequence[Reply], name: str) -> int:
    """Return the amount of a resource: CPU in 1/1024 vCPU, MEMORY in MiB, GPU as a count."""
    for resource in resources:
        if resource["name"] == name:
            if resource.get("type") == "STRINGSET":
                return len(resource.get("stringSetValue", ()))
            return int(resource.get("integerValue", 0))
    return 0
