"""The subnets of a compute environment, and the ways that lead out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import Seen, Unavailable
from spikeinterface_cloud.aws.diagnose.query import ask, ask_for
from spikeinterface_cloud.aws.session import AwsSession

ANYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """What EC2 says of the network of a compute environment; None where it is not there."""

    subnets: Seen[list[Mapping[str, Any]] | None]
    route_tables: Seen[list[Mapping[str, Any]]]
    endpoints: Seen[list[Mapping[str, Any]]]
    security_groups: Seen[list[Mapping[str, Any]] | None]
    #: of the launch template, where there is one
    template: Seen[Mapping[str, Any] | None]
    has_template: bool

    @property
    def gives_public_addresses(self) -> bool:
        """Whether the launch template has every machine get a public address."""
        if self.template is None or isinstance(self.template, Unavailable):
            return False
        interfaces = self.template.get("NetworkInterfaces", ())
        return any(interface.get("AssociatePublicIpAddress") for interface in interfaces)


def look_at_network(session: AwsSession, environment: Mapping[str, Any]) -> Network:
    """Ask EC2 for the subnets, routes, endpoints, security groups and launch template."""
    resources = environment.get("computeResources", {})
    ec2 = session.client("ec2")
    named = list(resources.get("subnets", ()))
    subnets = (
        ask(
            "ec2:DescribeSubnets",
            lambda: list(ec2.describe_subnets(SubnetIds=named)["Subnets"]),
            absent=("InvalidSubnetID.NotFound",),
        )
        if named
        else None
    )
    in_vpc = [{"Name": "vpc-id", "Values": _vpcs(subnets)}]
    groups = list(resources.get("securityGroupIds", ()))
    return Network(
        subnets=subnets,
        route_tables=_listed(ec2, "route_tables", "RouteTables", in_vpc),
        endpoints=_listed(ec2, "vpc_endpoints", "VpcEndpoints", in_vpc),
        security_groups=ask(
            "ec2:DescribeSecurityGroups",
            lambda: list(ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]),
            absent=("InvalidGroup.NotFound", "InvalidGroupId.NotFound"),
        )
        if groups
        else [],
        template=_template(ec2, resources.get("launchTemplate")),
        has_template="launchTemplate" in resources,
    )


def _listed(
    ec2: Any, name: str, key: str, filters: list[dict[str, Any]]
) -> Seen[list[Mapping[str, Any]]]:
    """Every entry of a listing of EC2, of the VPCs that the filters name."""
    if not filters[0]["Values"]:
        return []
    pages = ec2.get_paginator(f"describe_{name}").paginate
    return ask_for(
        f"ec2:Describe{key}",
        lambda: [entry for page in pages(Filters=filters) for entry in page.get(key, ())],
    )


def _vpcs(subnets: Seen[list[Mapping[str, Any]] | None]) -> list[str]:
    known: Sequence[Mapping[str, Any]] = subnets if isinstance(subnets, list) else ()
    return sorted({subnet["VpcId"] for subnet in known})


def _template(ec2: Any, named: Mapping[str, str] | None) -> Seen[Mapping[str, Any] | None]:
    """The launch template's data; None where there is no such template or version."""
    if named is None:
        return None
    who = (
        {"LaunchTemplateId": named["launchTemplateId"]}
        if named.get("launchTemplateId")
        else {"LaunchTemplateName": named.get("launchTemplateName", "")}
    )
    version = named.get("version") or "$Default"
    reply = ask(
        "ec2:DescribeLaunchTemplateVersions",
        lambda: ec2.describe_launch_template_versions(**who, Versions=[version]),
        absent=(
            "InvalidLaunchTemplateId.NotFound",
            "InvalidLaunchTemplateId.VersionNotFound",
            "InvalidLaunchTemplateName.NotFoundException",
            "InvalidLaunchTemplateId.Malformed",
        ),
    )
    if reply is None or isinstance(reply, Unavailable):
        return reply
    versions = reply["LaunchTemplateVersions"]
    return dict(versions[0].get("LaunchTemplateData", {})) if versions else None
