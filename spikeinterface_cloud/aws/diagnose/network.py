"""EC2's description of a compute environment's network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.diagnose.finding import Reply, Unavailable
from spikeinterface_cloud.aws.diagnose.query import fact, query_optional, query_pages
from spikeinterface_cloud.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

ANYWHERE = ("0.0.0.0/0", "::/0")

NO_SUBNET = ("InvalidSubnetID.NotFound",)
NO_GROUP = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
NO_TEMPLATE = (
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateId.VersionNotFound",
    "InvalidLaunchTemplateName.NotFoundException",
    "InvalidLaunchTemplateId.Malformed",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """The network of a compute environment; None for a part that does not exist."""

    subnets: Sequence[Reply] | Unavailable | None
    route_tables: Sequence[Reply] | Unavailable
    endpoints: Sequence[Reply] | Unavailable
    security_groups: Sequence[Reply] | Unavailable | None
    #: the data of the launch template, if one is named
    template: Reply | Unavailable | None

    @property
    def gives_public_addresses(self) -> bool:
        """Whether the launch template gives every instance a public address."""
        if self.template is None or isinstance(self.template, Unavailable):
            return False
        interfaces = self.template.get("NetworkInterfaces", ())
        return any(interface.get("AssociatePublicIpAddress") for interface in interfaces)


def find_network(session: AwsSession, environment: Reply) -> Network:
    """Query EC2 for the subnets, routes, endpoints, security groups and launch template."""
    resources = environment.get("computeResources", {})
    ec2: EC2Client = session.client("ec2")
    subnets = _subnets(ec2, list(resources.get("subnets", ())))
    vpcs = sorted({subnet["VpcId"] for subnet in subnets}) if isinstance(subnets, list) else []
    return Network(
        subnets=subnets,
        route_tables=_in_vpcs(ec2, "describe_route_tables", "RouteTables", vpcs),
        endpoints=_in_vpcs(ec2, "describe_vpc_endpoints", "VpcEndpoints", vpcs),
        security_groups=_security_groups(ec2, list(resources.get("securityGroupIds", ()))),
        template=_template(ec2, resources.get("launchTemplate")),
    )


@fact
def _in_vpcs(ec2: EC2Client, operation: str, key: str, vpcs: Sequence[str]) -> Sequence[Reply]:
    if not vpcs:
        return []
    return query_pages(ec2, operation, key, Filters=[{"Name": "vpc-id", "Values": vpcs}])


@fact
def _subnets(ec2: EC2Client, names: list[str]) -> Sequence[Reply] | None:
    if not names:
        return None
    reply = query_optional(NO_SUBNET, ec2.describe_subnets, SubnetIds=names)
    return reply["Subnets"] if reply else None


@fact
def _security_groups(ec2: EC2Client, names: list[str]) -> Sequence[Reply] | None:
    if not names:
        return []
    reply = query_optional(NO_GROUP, ec2.describe_security_groups, GroupIds=names)
    return reply["SecurityGroups"] if reply else None


@fact
def _template(ec2: EC2Client, named: Reply | None) -> Reply | None:
    """Return the launch template's data; None if there is no such template or version."""
    if named is None:
        return None
    name = (
        {"LaunchTemplateId": named["launchTemplateId"]}
        if named.get("launchTemplateId")
        else {"LaunchTemplateName": named.get("launchTemplateName", "")}
    )
    reply = query_optional(
        NO_TEMPLATE,
        ec2.describe_launch_template_versions,
        Versions=[named.get("version") or "$Default"],
        **name,
    )
    versions = reply["LaunchTemplateVersions"] if reply else []
    return versions[0].get("LaunchTemplateData", {}) if versions else None
