"""Everything about one compute environment: what it may start, where, as whom, and what runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Seen,
    Unavailable,
    check,
    downgrade_if_any_passes,
)
from spikeinterface_cloud.aws.diagnose.instance_types import (
    MachineType,
    machine_types,
    zones_by_type,
)
from spikeinterface_cloud.aws.diagnose.network import Network, look_at_network
from spikeinterface_cloud.aws.diagnose.network_checks import (
    judge_security_groups,
    judge_subnets,
    judge_template,
    judge_zones,
)
from spikeinterface_cloud.aws.diagnose.queue_checks import judge_environment
from spikeinterface_cloud.aws.diagnose.quotas import (
    is_spot,
    judge_quota,
    look_up_quota,
    types_by_kind,
)
from spikeinterface_cloud.aws.diagnose.request import Request
from spikeinterface_cloud.aws.diagnose.roles import (
    BATCH,
    EC2,
    INSTANCE_POLICY,
    LINKED_ROLE,
    SERVICE_POLICY,
    judge_linked_role,
    judge_profile,
    judge_role,
    look_up_profile,
    look_up_role,
)
from spikeinterface_cloud.aws.diagnose.scaling import Scaling, look_at_scaling, registered_memory
from spikeinterface_cloud.aws.diagnose.scaling_checks import judge_activities, judge_machines
from spikeinterface_cloud.aws.diagnose.size_checks import judge_gpu_system, judge_sizes
from spikeinterface_cloud.aws.session import AwsSession

Reply = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machines:
    """What a compute environment may start, and what of it runs."""

    types: Seen[list[MachineType]]
    scaling: Scaling


def look_at_machines(session: AwsSession, environment: Reply) -> Machines:
    """The types of a compute environment, with the memory that those which run have registered."""
    scaling = look_at_scaling(session, environment)
    types = machine_types(session, environment) if starts_machines(environment) else []
    if isinstance(types, list) and isinstance(scaling.machines, list):
        registered = registered_memory(scaling.machines)
        types = [replace(kind, registered_mib=registered.get(kind.name)) for kind in types]
    return Machines(types=types, scaling=scaling)


def starts_machines(environment: Reply) -> bool:
    """Whether Batch starts EC2 machines in it: neither Fargate nor the user's own."""
    kind = str(environment.get("computeResources", {}).get("type", ""))
    return environment.get("type") != "UNMANAGED" and "FARGATE" not in kind


def check_environment(
    session: AwsSession,
    environment: Reply,
    machines: Machines,
    request: Request | None,
    now: datetime,
) -> list[Finding]:
    """Every check of a compute environment, in the order in which a machine comes to be."""
    findings = check("environment", judge_environment, environment, request)
    if starts_machines(environment):
        fitting = _fitting(machines.types, request)
        network = look_at_network(session, environment)
        if request is not None:
            findings += check("machine size", judge_sizes, request, machines.types)
        findings += check("system", judge_gpu_system, request, environment)
        findings += _check_quotas(session, environment, fitting)
        findings += _check_network(session, environment, fitting, network)
        findings += _check_roles(session, environment)
    scaling = machines.scaling
    findings += check("scaling", judge_activities, scaling.groups, scaling.activities)
    findings += check(
        "machines",
        judge_machines,
        scaling.machines,
        scaling.groups,
        scaling.activities,
        request,
        now,
    )
    name = environment["computeEnvironmentName"]
    return [replace(finding, environment=name) for finding in findings]


def _fitting(types: Seen[list[MachineType]], request: Request | None) -> Seen[list[MachineType]]:
    """The types that the job fits on; all of them where it fits on none, which is said already."""
    if isinstance(types, Unavailable):
        return types
    return [kind for kind in types if kind.fits(request)] or types


def _check_quotas(
    session: AwsSession, environment: Reply, types: Seen[list[MachineType]]
) -> list[Finding]:
    if isinstance(types, Unavailable):
        return check("quota", judge_quota, types)
    spot = is_spot(environment)
    most = environment.get("computeResources", {}).get("maxvCpus")
    findings: list[Finding] = []
    for kind, machines in types_by_kind(types, spot).items():
        quota = look_up_quota(session, kind, spot)
        findings += check("quota", judge_quota, quota, machines, most)
    return downgrade_if_any_passes(findings, "quota")


def _check_network(
    session: AwsSession, environment: Reply, types: Seen[list[MachineType]], network: Network
) -> list[Finding]:
    zones = zones_by_type(session, environment)
    findings = check("zones", judge_zones, types, zones, network.subnets)
    findings += check(
        "subnets",
        judge_subnets,
        network.subnets,
        network.route_tables,
        network.endpoints,
        network.gives_public_addresses,
    )
    findings += check("security groups", judge_security_groups, network.security_groups)
    template = environment.get("computeResources", {}).get("launchTemplate")
    if template:
        findings += check("launch template", judge_template, network.template, template)
    return findings


def _check_roles(session: AwsSession, environment: Reply) -> list[Finding]:
    named = str(environment.get("computeResources", {}).get("instanceRole", ""))
    profile = look_up_profile(session, named)
    findings = check("instance role", judge_profile, named, profile)
    roles: Sequence[Any] = (
        () if profile is None or isinstance(profile, Unavailable) else profile.roles
    )
    for role in roles:
        findings += check("instance role", judge_role, role, named, EC2, INSTANCE_POLICY)
    service = str(environment.get("serviceRole") or LINKED_ROLE)
    role = look_up_role(session, service)
    if LINKED_ROLE in service:
        findings += check("service role", judge_linked_role, role)
    else:
        findings += check("service role", judge_role, role, service, BATCH, SERVICE_POLICY)
    return findings
