"""Whether the machines of a compute environment reach what they need: ECS, the image, the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import Finding, failed, ok, warning
from spikeinterface_cloud.aws.diagnose.instance_types import MachineType, names_of
from spikeinterface_cloud.aws.diagnose.network import ANYWHERE

#: the services without which a machine in a subnet without a way out runs no job
NEEDED_ENDPOINTS = ("ecs", "ecs-agent", "ecs-telemetry", "ecr.api", "ecr.dkr", "logs", "s3")

Reply = Mapping[str, Any]


class DefaultRoute(Enum):
    """Where the default route of a subnet leads."""

    INTERNET_GATEWAY = auto()
    NAT = auto()
    OTHER = auto()
    GONE = auto()
    NONE = auto()


def judge_zones(
    types: Sequence[MachineType],
    zones: Mapping[str, frozenset[str]],
    subnets: Sequence[Reply] | None,
) -> Iterator[Finding]:
    """Whether a subnet lies in a zone that has a machine the job fits on."""
    if subnets is None or not types:
        return  # said elsewhere
    ours = {str(subnet["AvailabilityZone"]) for subnet in subnets}
    having = sorted({zone for machine in types for zone in zones.get(machine.name, ())})
    served = sorted(ours.intersection(having))
    if not served:
        yield failed(
            f"{names_of(types)} is to be had in {', '.join(having) or 'no zone'}, and the subnets "
            f"lie in {', '.join(sorted(ours))}",
            "add a subnet in one of those zones to the compute environment, or another type",
        )
    elif len(served) < len(ours):
        without = ", ".join(sorted(ours.difference(served)))
        yield ok(f"{names_of(types)} is to be had in {', '.join(served)}; not in {without}")
    else:
        yield ok(f"{names_of(types)} is to be had in {', '.join(served)}")


def judge_subnets(
    subnets: Sequence[Reply] | None,
    route_tables: Sequence[Reply],
    endpoints: Sequence[Reply],
    gives_public_addresses: bool,
) -> Iterator[Finding]:
    """Whether each subnet has free addresses and a way out."""
    if not subnets:
        yield failed(
            "a subnet of the compute environment does not exist",
            "give the compute environment subnets that exist",
        )
        return
    for subnet in subnets:
        free = int(subnet.get("AvailableIpAddressCount", 1))
        if free < 1:
            yield failed(
                f"{subnet['SubnetId']} has no free address",
                "end machines that nobody needs, or add a larger subnet",
            )
            continue
        public = bool(subnet.get("MapPublicIpOnLaunch")) or gives_public_addresses
        yield _judge_way_out(subnet, route_tables, endpoints, public)


def judge_security_groups(groups: Sequence[Reply] | None) -> Iterator[Finding]:
    """Whether the machines may send requests."""
    if groups is None:
        yield failed(
            "a security group of the compute environment does not exist",
            "give the compute environment security groups that exist",
        )
        return
    rules = [rule for group in groups for rule in group.get("IpPermissionsEgress", ())]
    names = ", ".join(str(group["GroupId"]) for group in groups)
    lets_https = [rule for rule in rules if _covers_https(rule)]
    if not groups:
        yield ok("the launch template names them")
    elif not lets_https:
        yield failed(
            f"{names} lets no request out to port 443, so that no machine reaches ECS",
            "allow TCP 443 to 0.0.0.0/0 outbound",
            f"aws ec2 authorize-security-group-egress --group-id {groups[0]['GroupId']} "
            "--protocol tcp --port 443 --cidr 0.0.0.0/0",
        )
    elif not any(_leads_anywhere(rule) for rule in lets_https):
        yield warning(
            f"{names} lets requests to port 443 out to some addresses only",
            "ECS, ECR, CloudWatch Logs, S3 and, for its data, DANDI have to be among them",
        )
    else:
        yield ok(f"{names} lets requests out")


def judge_template(template: Reply | None, named: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the launch template of a compute environment is there."""
    name = named.get("launchTemplateId") or named.get("launchTemplateName")
    version = named.get("version") or "$Default"
    if template is None:
        yield failed(
            f"there is no launch template {name} with a version {version}",
            "make it anew, or name another in the compute environment",
        )
    else:
        yield ok(f"{name}, version {version}")


def _judge_way_out(
    subnet: Reply, route_tables: Sequence[Reply], endpoints: Sequence[Reply], public: bool
) -> Finding:
    name = str(subnet["SubnetId"])
    here = _endpoints_of(subnet, endpoints)
    way = way_out(subnet, route_tables)
    if way is DefaultRoute.INTERNET_GATEWAY and public:
        return ok(f"{name} leads out through an internet gateway, and its machines get addresses")
    if way is DefaultRoute.INTERNET_GATEWAY:
        return failed(
            f"{name} leads out through an internet gateway, and its machines get no public "
            "address: they never reach ECS",
            "let the subnet give public addresses, or lead it out through a NAT gateway",
            f"aws ec2 modify-subnet-attribute --subnet-id {name} --map-public-ip-on-launch",
        )
    if way is DefaultRoute.NAT:
        if "s3" in here:
            return ok(f"{name} leads out through NAT, and to S3 through an endpoint")
        return warning(
            f"{name} leads out through NAT, which is paid by the GB, and has no endpoint for S3",
            "make a gateway endpoint for S3, which is free of charge",
        )
    if way is DefaultRoute.OTHER:
        return warning(
            f"{name} leads out through a gateway that cannot be looked beyond",
            "make sure that ECS, ECR, CloudWatch Logs and S3 are reached through it",
        )
    missing = [service for service in NEEDED_ENDPOINTS if service not in here]
    if not missing:
        return ok(f"{name} leads nowhere but to the endpoints of AWS; DANDI is out of reach")
    gone = ", as the target of its default route is gone" if way is DefaultRoute.GONE else ""
    return failed(
        f"{name} leads nowhere{gone}, and its VPC has no endpoint for {', '.join(missing)}: its "
        "machines never reach ECS",
        "give it a route to a NAT gateway, or an internet gateway and public addresses",
    )


def way_out(subnet: Reply, route_tables: Sequence[Reply]) -> DefaultRoute:
    """Where the default route of a subnet leads: its own table's, or the main one's of its VPC."""
    table = _table_of(subnet, route_tables)
    routes = [
        route
        for route in (table or {}).get("Routes", ())
        if route.get("DestinationCidrBlock") == ANYWHERE[0]
    ]
    if not routes:
        return DefaultRoute.NONE
    [route, *_] = routes
    if route.get("State") == "blackhole":
        return DefaultRoute.GONE
    if str(route.get("GatewayId", "")).startswith("igw-"):
        return DefaultRoute.INTERNET_GATEWAY
    return DefaultRoute.NAT if route.get("NatGatewayId") else DefaultRoute.OTHER


def _table_of(subnet: Reply, route_tables: Sequence[Reply]) -> Reply | None:
    main = None
    for table in route_tables:
        for association in table.get("Associations", ()):
            if association.get("SubnetId") == subnet["SubnetId"]:
                return table
            if association.get("Main") and table.get("VpcId") == subnet["VpcId"]:
                main = table
    return main


def _endpoints_of(subnet: Reply, endpoints: Sequence[Reply]) -> set[str]:
    """The services that the subnet's VPC has endpoints for, like `ecr.api`."""
    here = [
        endpoint
        for endpoint in endpoints
        if endpoint.get("VpcId") == subnet["VpcId"]
        and str(endpoint.get("State", "available")).lower() == "available"
    ]
    # com.amazonaws.REGION.SERVICE
    return {".".join(str(endpoint["ServiceName"]).split(".")[3:]) for endpoint in here}


def _covers_https(rule: Reply) -> bool:
    if str(rule.get("IpProtocol")) == "-1":
        return True
    if str(rule.get("IpProtocol")) not in ("tcp", "6"):
        return False
    return int(rule.get("FromPort", 0)) <= 443 <= int(rule.get("ToPort", 65535))


def _leads_anywhere(rule: Reply) -> bool:
    addresses = [entry.get("CidrIp") for entry in rule.get("IpRanges", ())]
    addresses += [entry.get("CidrIpv6") for entry in rule.get("Ipv6Ranges", ())]
    return any(address in ANYWHERE for address in addresses)
