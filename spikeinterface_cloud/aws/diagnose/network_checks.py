"""Checks whether the instances of a compute environment reach ECS, the image and the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto

from spikeinterface_cloud.aws.diagnose.finding import Finding, Reply, failed, ok, warning
from spikeinterface_cloud.aws.diagnose.instance_types import InstanceType, names_of
from spikeinterface_cloud.aws.diagnose.network import ANYWHERE

#: the services that an instance in a subnet without internet access needs
NEEDED_ENDPOINTS = ("ecs", "ecs-agent", "ecs-telemetry", "ecr.api", "ecr.dkr", "logs", "s3")


class DefaultRoute(Enum):
    """The target of a subnet's default route."""

    INTERNET_GATEWAY = auto()
    NAT = auto()
    OTHER = auto()
    GONE = auto()
    NONE = auto()


def check_zones(
    types: Sequence[InstanceType],
    zones: Mapping[str, frozenset[str]],
    subnets: Sequence[Reply] | None,
) -> Iterator[Finding]:
    """Check whether a subnet is in a zone that offers an instance type that the job fits on."""
    if subnets is None or not types:
        return  # other checks report it
    ours = {str(subnet["AvailabilityZone"]) for subnet in subnets}
    having = sorted({zone for instance in types for zone in zones.get(instance.name, ())})
    served = sorted(ours.intersection(having))
    if not served:
        yield failed(
            f"{names_of(types)} is available in {', '.join(having) or 'no zone'}, but the subnets "
            f"are in {', '.join(sorted(ours))}",
            "add a subnet in one of those zones to the compute environment, or another type",
        )
    elif len(served) < len(ours):
        without = ", ".join(sorted(ours.difference(served)))
        yield ok(f"{names_of(types)} is available in {', '.join(served)}; not in {without}")
    else:
        yield ok(f"{names_of(types)} is available in {', '.join(served)}")


def check_subnets(
    subnets: Sequence[Reply] | None,
    route_tables: Sequence[Reply],
    endpoints: Sequence[Reply],
    gives_public_addresses: bool,
) -> Iterator[Finding]:
    """Check whether each subnet has free addresses and a default route."""
    if not subnets:
        yield failed(
            "a subnet of the compute environment does not exist",
            "name existing subnets in the compute environment",
        )
        return
    for subnet in subnets:
        free = int(subnet.get("AvailableIpAddressCount", 1))
        if free < 1:
            yield failed(
                f"{subnet['SubnetId']} has no free address",
                "terminate unused instances, or add a larger subnet",
            )
            continue
        public = bool(subnet.get("MapPublicIpOnLaunch")) or gives_public_addresses
        yield _check_default_route(subnet, route_tables, endpoints, public)


def check_security_groups(groups: Sequence[Reply] | None) -> Iterator[Finding]:
    """Check whether the instances may send requests."""
    if groups is None:
        yield failed(
            "a security group of the compute environment does not exist",
            "name existing security groups in the compute environment",
        )
        return
    rules = [rule for group in groups for rule in group.get("IpPermissionsEgress", ())]
    names = ", ".join(str(group["GroupId"]) for group in groups)
    lets_https = [rule for rule in rules if _covers_https(rule)]
    if not groups:
        yield ok("the launch template names them")
    elif not lets_https:
        yield failed(
            f"{names} allows no outbound requests to port 443: no instance reaches ECS",
            "allow TCP 443 to 0.0.0.0/0 outbound",
            f"aws ec2 authorize-security-group-egress --group-id {groups[0]['GroupId']} "
            "--protocol tcp --port 443 --cidr 0.0.0.0/0",
        )
    elif not any(_leads_anywhere(rule) for rule in lets_https):
        yield warning(
            f"{names} allows outbound requests to port 443 of some addresses only",
            "make sure that they include ECS, ECR, CloudWatch Logs, S3 and, for its data, DANDI",
        )
    else:
        yield ok(f"{names} allows outbound requests")


def check_template(template: Reply | None, named: Mapping[str, str]) -> Iterator[Finding]:
    """Check whether the launch template of a compute environment exists."""
    name = named.get("launchTemplateId") or named.get("launchTemplateName")
    version = named.get("version") or "$Default"
    if template is None:
        yield failed(
            f"there is no launch template {name} with version {version}",
            "create it, or name another one in the compute environment",
        )
    else:
        yield ok(f"{name}, version {version}")


def _check_default_route(
    subnet: Reply, route_tables: Sequence[Reply], endpoints: Sequence[Reply], public: bool
) -> Finding:
    name = str(subnet["SubnetId"])
    here = _endpoints_of(subnet, endpoints)
    way = default_route(subnet, route_tables)
    if way is DefaultRoute.INTERNET_GATEWAY and public:
        return ok(f"{name} leads to an internet gateway, and its instances get public addresses")
    if way is DefaultRoute.INTERNET_GATEWAY:
        return failed(
            f"{name} leads to an internet gateway, but its instances get no public address: "
            "they never reach ECS",
            "let the subnet assign public addresses, or route it through a NAT gateway",
            f"aws ec2 modify-subnet-attribute --subnet-id {name} --map-public-ip-on-launch",
        )
    if way is DefaultRoute.NAT:
        if "s3" in here:
            return ok(f"{name} leads to a NAT gateway, and to an endpoint for S3")
        return warning(
            f"{name} leads to a NAT gateway, which is billed per GB, and has no endpoint for S3",
            "create a gateway endpoint for S3, which is free",
        )
    if way is DefaultRoute.OTHER:
        return warning(
            f"{name} leads to a gateway that cannot be checked further",
            "make sure that it reaches ECS, ECR, CloudWatch Logs and S3",
        )
    missing = [service for service in NEEDED_ENDPOINTS if service not in here]
    if not missing:
        return ok(f"{name} leads only to the endpoints of AWS; DANDI cannot be reached")
    gone = (
        ", because the target of its default route no longer exists"
        if way is DefaultRoute.GONE
        else ""
    )
    return failed(
        f"{name} has no internet access{gone}, and its VPC has no endpoint for "
        f"{', '.join(missing)}: its instances never reach ECS",
        "add a route to a NAT gateway, or to an internet gateway with public addresses",
    )


def default_route(subnet: Reply, route_tables: Sequence[Reply]) -> DefaultRoute:
    """Return the target of the default route, by the subnet's or the VPC's main table."""
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
    """Return the services that the subnet's VPC has endpoints for, like `ecr.api`."""
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
