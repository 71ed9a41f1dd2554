"""The machines that a compute environment may start, as EC2 describes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import Seen
from spikeinterface_cloud.aws.diagnose.query import ask_for
from spikeinterface_cloud.aws.diagnose.request import Request
from spikeinterface_cloud.aws.session import AwsSession

#: the families that Batch chooses from where it is left to it (API reference, `instanceTypes`)
BUNDLES: Mapping[str, Sequence[str]] = {
    "optimal": ("m6i", "c6i", "r6i", "c7i"),
    "default_x86_64": ("m6i", "c6i", "r6i", "c7i"),
    "default_arm64": ("m6g", "c6g", "r6g", "c7g"),
}

#: what the system and the agent of ECS leave of a machine's memory: a machine of 512 GiB was seen
#: to register 0.969 of it, smaller ones less; what is asked should stay below the first
SAFE_PART = 0.92
MOST_PART = 0.97


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineType:
    """An instance type of EC2."""

    name: str
    vcpus: int
    #: of the machine; AWS keeps some of it
    memory_mib: int
    gpus: int
    #: like `x86_64`
    architectures: tuple[str, ...]
    #: what a machine of this type was seen to have for jobs; None where none runs
    registered_mib: int | None = None

    @property
    def safe_mib(self) -> int:
        """The memory that a job can count on."""
        return self.registered_mib or int(self.memory_mib * SAFE_PART)

    @property
    def most_mib(self) -> int:
        """The memory beyond which a job cannot fit."""
        return self.registered_mib or int(self.memory_mib * MOST_PART)

    def fits(self, request: Request | None) -> bool:
        """Whether a job may fit on it; any type does where there is no job."""
        return request is None or (
            self.vcpus >= request.vcpus
            and self.gpus >= request.gpus
            and self.most_mib >= request.memory_mib
        )


def machine_types(session: AwsSession, environment: Mapping[str, Any]) -> Seen[list[MachineType]]:
    """The types that a compute environment may start; families are all their sizes."""
    filters = _filters(environment)
    pages = session.client("ec2").get_paginator("describe_instance_types").paginate
    replies = ask_for(
        "ec2:DescribeInstanceTypes",
        lambda: [
            entry for page in pages(Filters=filters) for entry in page.get("InstanceTypes", ())
        ],
    )
    return sorted(map(_type, replies), key=_size) if isinstance(replies, list) else replies


def zones_by_type(
    session: AwsSession, environment: Mapping[str, Any]
) -> Seen[dict[str, frozenset[str]]]:
    """The availability zones that have each type."""
    filters = _filters(environment)
    pages = session.client("ec2").get_paginator("describe_instance_type_offerings").paginate
    replies = ask_for(
        "ec2:DescribeInstanceTypeOfferings",
        lambda: [
            (offer["InstanceType"], offer["Location"])
            for page in pages(LocationType="availability-zone", Filters=filters)
            for offer in page.get("InstanceTypeOfferings", ())
        ],
    )
    if not isinstance(replies, list):
        return replies
    names = {name for name, _ in replies}
    return {name: frozenset(zone for of, zone in replies if of == name) for name in names}


def type_patterns(names: Iterable[str]) -> list[str]:
    """The patterns of EC2 for what a compute environment lists.

    >>> type_patterns(["g4dn", "g5.xlarge"])
    ['g4dn.*', 'g5.xlarge']
    """
    families = [family for name in names for family in BUNDLES.get(name, (name,))]
    return [name if "." in name else f"{name}.*" for name in families]


def family_of(machine_type: str) -> str:
    """The letters of a type's family.

    >>> family_of("g4dn.2xlarge"), family_of("p5.48xlarge")
    ('g', 'p')
    """
    match = re.match(r"[a-z]+", machine_type)
    return match[0] if match else machine_type


def names_of(types: Iterable[MachineType], most: int = 6) -> str:
    """The types' names, not too many of them."""
    names = [machine.name for machine in types]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _filters(environment: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = environment.get("computeResources", {}).get("instanceTypes", ())
    return [{"Name": "instance-type", "Values": type_patterns(listed)}]


def _type(reply: Mapping[str, Any]) -> MachineType:
    gpus = reply.get("GpuInfo", {}).get("Gpus", ())
    return MachineType(
        name=reply["InstanceType"],
        vcpus=reply["VCpuInfo"]["DefaultVCpus"],
        memory_mib=reply["MemoryInfo"]["SizeInMiB"],
        gpus=sum(gpu.get("Count", 0) for gpu in gpus),
        architectures=tuple(reply.get("ProcessorInfo", {}).get("SupportedArchitectures", ())),
    )


def _size(machine: MachineType) -> tuple[int, int, str]:
    return machine.vcpus, machine.memory_mib, machine.name
