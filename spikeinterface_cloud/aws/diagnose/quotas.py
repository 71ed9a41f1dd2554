"""How many vCPUs of a kind of machine EC2 lets this account run at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Seen,
    Unavailable,
    failed,
    ok,
    warning,
)
from spikeinterface_cloud.aws.diagnose.instance_types import MachineType, family_of
from spikeinterface_cloud.aws.diagnose.query import ask
from spikeinterface_cloud.aws.session import AwsSession

STANDARD = "Standard"
GRAPHICS = "G and VT"
PARALLEL = "P"
PARALLEL_SPOT_5 = "P5"

#: the code of each quota, by kind of machine: On-Demand and Spot count apart
ON_DEMAND_CODES = {STANDARD: "L-1216C47A", GRAPHICS: "L-DB2E81BA", PARALLEL: "L-417A185B"}
SPOT_CODES = {
    STANDARD: "L-34B43A08",
    GRAPHICS: "L-3819A6DF",
    PARALLEL: "L-7212CCBC",
    PARALLEL_SPOT_5: "L-C4BD4855",
}

#: what the families of the other kinds begin with, none of which sorts recordings
OTHER_KINDS = frozenset({"dl", "f", "hpc", "inf", "mac", "trn", "u", "x"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """A quota of EC2 that the machines of a compute environment count in."""

    kind: str
    is_spot: bool
    code: str
    #: that the account may have at once
    vcpus: float
    region: str

    @property
    def market(self) -> str:
        """How the machines are bought."""
        return "Spot" if self.is_spot else "On-Demand"


def is_spot(environment: Mapping[str, Any]) -> bool:
    """Whether a compute environment starts Spot machines."""
    return str(environment.get("computeResources", {}).get("type", "")).upper() == "SPOT"


def kind_of(machine_type: str, spot: bool) -> str | None:
    """The kind that a type counts in; None for one that is not looked at.

    >>> kind_of("g4dn.2xlarge", True), kind_of("m6i.large", False), kind_of("p5.48xlarge", True)
    ('G and VT', 'Standard', 'P5')
    """
    family = family_of(machine_type)
    if family in ("g", "gr", "vt"):
        return GRAPHICS
    if family == "p":
        return PARALLEL_SPOT_5 if spot and machine_type.startswith("p5") else PARALLEL
    return None if family in OTHER_KINDS else STANDARD


def types_by_kind(types: Iterable[MachineType], spot: bool) -> dict[str, list[MachineType]]:
    """The machines that count in each quota."""
    kinds: dict[str, list[MachineType]] = {}
    for machine in types:
        kind = kind_of(machine.name, spot)
        if kind is not None:
            kinds.setdefault(kind, []).append(machine)
    return kinds


def look_up_quota(session: AwsSession, kind: str, spot: bool) -> Seen[Quota]:
    """The quota of a kind; where nobody has ever raised it, that of every new account."""
    client = session.client("service-quotas")
    code = (SPOT_CODES if spot else ON_DEMAND_CODES)[kind]
    wanted = {"ServiceCode": "ec2", "QuotaCode": code}
    reply = ask(
        "servicequotas:GetServiceQuota",
        lambda: client.get_service_quota(**wanted),
        absent=("NoSuchResourceException",),
    )
    if reply is None:
        reply = ask(
            "servicequotas:GetAWSDefaultServiceQuota",
            lambda: client.get_aws_default_service_quota(**wanted),
        )
    if reply is None or isinstance(reply, Unavailable):
        assert reply is not None
        return reply
    return Quota(
        kind=kind,
        is_spot=spot,
        code=code,
        vcpus=float(reply["Quota"]["Value"]),
        region=client.meta.region_name,
    )


def judge_quota(
    quota: Quota, machines: list[MachineType], max_vcpus: int | None
) -> Iterator[Finding]:
    """Whether the quota lets the smallest of the machines start, which are those of its kind.

    Parameters
    ----------
    max_vcpus
        what the compute environment may grow to
    """
    smallest = min(machines, key=lambda machine: machine.vcpus)
    allowed = f"{quota.vcpus:g} vCPUs of {quota.market} {quota.kind} machines ({quota.code})"
    other = "On-Demand" if quota.is_spot else "Spot"
    wanted = max(smallest.vcpus, max_vcpus or 0)
    command = (
        "aws service-quotas request-service-quota-increase --service-code ec2 "
        f"--quota-code {quota.code} --desired-value {wanted} --region {quota.region}"
    )
    if quota.vcpus < smallest.vcpus:
        yield failed(
            f"{quota.region} allows this account {allowed}, and the smallest that the job could "
            f"run on, {smallest.name}, has {smallest.vcpus}",
            f"ask AWS for more, which takes hours to days; {other} machines have a quota of "
            "their own, so another queue may do meanwhile",
            command,
        )
    elif max_vcpus is not None and quota.vcpus < max_vcpus:
        yield warning(
            f"{quota.region} allows {allowed}, and the compute environment may grow to "
            f"{max_vcpus}: what is above waits",
            "ask AWS for more if jobs are to run side by side",
            command,
        )
    else:
        yield ok(allowed)
