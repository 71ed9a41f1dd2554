"""All checks of one compute environment: what it may start, where, with which roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from spikeinterface_cloud.aws.diagnose import (
    network_checks,
    queue_checks,
    quotas,
    roles,
    scaling_checks,
    size_checks,
)
from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Reply,
    Unavailable,
    downgrade_if_any_passes,
    run_check,
)
from spikeinterface_cloud.aws.diagnose.instance_types import (
    InstanceType,
    find_instance_types,
    zones_by_type,
)
from spikeinterface_cloud.aws.diagnose.network import find_network
from spikeinterface_cloud.aws.diagnose.request import JobRequirements
from spikeinterface_cloud.aws.diagnose.scaling import Scaling, find_scaling, registered_memory
from spikeinterface_cloud.aws.session import AwsSession


def find_instances(
    session: AwsSession, environment: Reply
) -> tuple[list[InstanceType] | Unavailable, Scaling]:
    """Return the instance types that may start, with the memory that running ones registered."""
    scaling = find_scaling(session, environment)
    types = find_instance_types(session, environment) if starts_instances(environment) else []
    if isinstance(types, list) and isinstance(scaling.instances, list):
        registered = registered_memory(scaling.instances)
        types = [replace(kind, registered_mib=registered.get(kind.name)) for kind in types]
    return types, scaling


def starts_instances(environment: Reply) -> bool:
    """Return whether Batch starts EC2 instances in it: neither Fargate nor unmanaged."""
    kind = str(environment.get("computeResources", {}).get("type", ""))
    return environment.get("type") != "UNMANAGED" and "FARGATE" not in kind


def diagnose_environment(
    session: AwsSession,
    environment: Reply,
    types: list[InstanceType] | Unavailable,
    scaling: Scaling,
    job: JobRequirements | None,
    now: datetime,
) -> list[Finding]:
    """Run every check of a compute environment, in the order in which an instance starts."""
    findings = run_check("environment", queue_checks.check_environment, environment, job)
    if starts_instances(environment):
        if job is not None:
            findings += run_check("instance size", size_checks.check_sizes, job, types)
        findings += run_check("system", size_checks.check_gpu_system, job, environment)
        fitting = _fitting(types, job)
        findings += _check_quotas(session, environment, fitting)
        findings += _check_network(session, environment, fitting)
        findings += _check_roles(session, environment)
    groups, activities = scaling.groups, scaling.activities
    findings += run_check("scaling", scaling_checks.check_activities, groups, activities)
    findings += run_check(
        "instances",
        scaling_checks.check_instances,
        scaling.instances,
        groups,
        activities,
        job,
        now,
    )
    name = environment["computeEnvironmentName"]
    return [replace(finding, environment=name) for finding in findings]


def _fitting(
    types: list[InstanceType] | Unavailable, job: JobRequirements | None
) -> list[InstanceType] | Unavailable:
    """Return the types that the job fits on, or all if there is none, which `check_sizes` says."""
    if isinstance(types, Unavailable):
        return types
    return [kind for kind in types if kind.fits(job)] or types


def _check_quotas(
    session: AwsSession, environment: Reply, types: list[InstanceType] | Unavailable
) -> list[Finding]:
    if isinstance(types, Unavailable):
        return run_check("quota", quotas.check_quota, types)
    spot = quotas.is_spot(environment)
    most = environment.get("computeResources", {}).get("maxvCpus")
    findings: list[Finding] = []
    for kind, instances in quotas.types_by_kind(types, spot).items():
        quota = quotas.find_quota(session, kind, spot)
        findings += run_check("quota", quotas.check_quota, quota, instances, most)
    return downgrade_if_any_passes(findings, "quota")


def _check_network(
    session: AwsSession, environment: Reply, types: list[InstanceType] | Unavailable
) -> list[Finding]:
    network = find_network(session, environment)
    zones = zones_by_type(session, environment)
    findings = run_check("zones", network_checks.check_zones, types, zones, network.subnets)
    findings += run_check(
        "subnets",
        network_checks.check_subnets,
        network.subnets,
        network.route_tables,
        network.endpoints,
        network.gives_public_addresses,
    )
    findings += run_check(
        "security groups", network_checks.check_security_groups, network.security_groups
    )
    if named := environment.get("computeResources", {}).get("launchTemplate"):
        findings += run_check(
            "launch template", network_checks.check_template, network.template, named
        )
    return findings


def _check_roles(session: AwsSession, environment: Reply) -> list[Finding]:
    arn = str(environment.get("computeResources", {}).get("instanceRole", ""))
    profile = roles.find_profile(session, arn)
    findings = run_check("instance role", roles.check_profile, arn, profile)
    found: Sequence[roles.Role | Unavailable | None] = getattr(profile, "roles", ())
    for role in found:
        findings += run_check(
            "instance role", roles.check_role, role, arn, roles.EC2, roles.INSTANCE_POLICY
        )
    service = str(environment.get("serviceRole") or roles.LINKED_ROLE)
    role = roles.find_role(session, service)
    if roles.LINKED_ROLE in service:
        return findings + run_check("service role", roles.check_linked_role, role)
    return findings + run_check(
        "service role", roles.check_role, role, service, roles.BATCH, roles.SERVICE_POLICY
    )
