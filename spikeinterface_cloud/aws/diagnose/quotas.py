"""EC2's quotas: the vCPUs of a kind of instance that the account may run at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Reply,
    failed,
    ok,
    warning,
)
from spikeinterface_cloud.aws.diagnose.instance_types import InstanceType, family_of
from spikeinterface_cloud.aws.diagnose.query import fact, query, query_optional
from spikeinterface_cloud.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_service_quotas import ServiceQuotasClient

STANDARD = "Standard"
GRAPHICS = "G and VT"
PARALLEL = "P"
PARALLEL_SPOT_5 = "P5"

#: the code of each quota, by kind of instance; On-Demand and Spot have separate quotas
ON_DEMAND_CODES = {STANDARD: "L-1216C47A", GRAPHICS: "L-DB2E81BA", PARALLEL: "L-417A185B"}
SPOT_CODES = {
    STANDARD: "L-34B43A08",
    GRAPHICS: "L-3819A6DF",
    PARALLEL: "L-7212CCBC",
    PARALLEL_SPOT_5: "L-C4BD4855",
}

#: the prefixes of all other families, which are of no use for sorting
OTHER_KINDS = frozenset({"dl", "f", "hpc", "inf", "mac", "trn", "u", "x"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """A quota of EC2 that applies to instances of a compute environment."""

    kind: str
    is_spot: bool
    code: str
    #: that the account may run at once
    vcpus: float
    region: str

    @property
    def market(self) -> str:
        """Spot or On-Demand."""
        return "Spot" if self.is_spot else "On-Demand"


def is_spot(environment: Reply) -> bool:
    """Return whether a compute environment starts Spot instances."""
    return str(environment.get("computeResources", {}).get("type", "")).upper() == "SPOT"


def kind_of(instance_type: str, spot: bool) -> str | None:
    """Return the kind of quota that applies to a type; None for types that are not checked.

    >>> kind_of("g4dn.2xlarge", True), kind_of("m6i.large", False), kind_of("p5.48xlarge", True)
    ('G and VT', 'Standard', 'P5')
    """
    family = family_of(instance_type)
    if family in ("g", "gr", "vt"):
        return GRAPHICS
    if family == "p":
        return PARALLEL_SPOT_5 if spot and instance_type.startswith("p5") else PARALLEL
    return None if family in OTHER_KINDS else STANDARD


def types_by_kind(types: Iterable[InstanceType], spot: bool) -> dict[str, list[InstanceType]]:
    """Group the instance types by the kind of quota that applies to them."""
    kinds: dict[str, list[InstanceType]] = {}
    for instance in types:
        kind = kind_of(instance.name, spot)
        if kind is not None:
            kinds.setdefault(kind, []).append(instance)
    return kinds


@fact
def find_quota(session: AwsSession, kind: str, spot: bool) -> Quota:
    """Return the quota of a kind; AWS's default if it was never raised."""
    client: ServiceQuotasClient = session.client("service-quotas")
    code = (SPOT_CODES if spot else ON_DEMAND_CODES)[kind]
    absent = ("NoSuchResourceException",)
    reply = query_optional(
        absent, client.get_service_quota, ServiceCode="ec2", QuotaCode=code
    ) or query(client.get_aws_default_service_quota, ServiceCode="ec2", QuotaCode=code)
    return Quota(
        kind=kind,
        is_spot=spot,
        code=code,
        vcpus=float(reply["Quota"]["Value"]),
        region=client.meta.region_name,
    )


def check_quota(
    quota: Quota, instances: list[InstanceType], max_vcpus: int | None
) -> Iterator[Finding]:
    """Check whether the quota allows the smallest type, and the environment's maximum of vCPUs."""
    smallest = min(instances, key=lambda instance: instance.vcpus)
    allowed = f"{quota.vcpus:g} vCPUs of {quota.market} {quota.kind} instances ({quota.code})"
    other = "On-Demand" if quota.is_spot else "Spot"
    wanted = max(smallest.vcpus, max_vcpus or 0)
    command = (
        "aws service-quotas request-service-quota-increase --service-code ec2 "
        f"--quota-code {quota.code} --desired-value {wanted} --region {quota.region}"
    )
    if quota.vcpus < smallest.vcpus:
        yield failed(
            f"{quota.region} allows this account {allowed}, but the smallest that the job fits on, "
            f"{smallest.name}, has {smallest.vcpus}",
            f"request an increase, which takes hours to days; {other} instances have a separate "
            "quota, so another queue may work in the meantime",
            command,
        )
    elif max_vcpus is not None and quota.vcpus < max_vcpus:
        yield warning(
            f"{quota.region} allows {allowed}, but the compute environment may grow to "
            f"{max_vcpus}: jobs above the quota wait",
            "request an increase if more jobs should run in parallel",
            command,
        )
    else:
        yield ok(allowed)
