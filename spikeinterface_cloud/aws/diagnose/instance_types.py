"""The instance types that a compute environment may start, as EC2 describes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.diagnose.finding import Reply
from spikeinterface_cloud.aws.diagnose.query import fact, query_pages
from spikeinterface_cloud.aws.diagnose.request import JobRequirements
from spikeinterface_cloud.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

#: the families behind Batch's own choices (API reference, `instanceTypes`)
BUNDLES: Mapping[str, Sequence[str]] = {
    "optimal": ("m6i", "c6i", "r6i", "c7i"),
    "default_x86_64": ("m6i", "c6i", "r6i", "c7i"),
    "default_arm64": ("m6g", "c6g", "r6g", "c7g"),
}

#: the part of an instance's memory that the system and the ECS agent leave to jobs. An instance of
#: 512 GiB has registered 0.969 of it, smaller ones less; requests should stay below the first part
SAFE_PART = 0.92
MOST_PART = 0.97


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceType:
    """An EC2 instance type."""

    name: str
    vcpus: int
    #: including what AWS keeps for itself
    memory_mib: int
    gpus: int
    #: like `x86_64`
    architectures: tuple[str, ...]
    #: the memory that a running instance of this type has registered for jobs; None if none runs
    registered_mib: int | None = None

    @property
    def safe_mib(self) -> int:
        """The memory that a job can rely on."""
        return self.registered_mib or int(self.memory_mib * SAFE_PART)

    @property
    def most_mib(self) -> int:
        """The memory above which a job cannot fit."""
        return self.registered_mib or int(self.memory_mib * MOST_PART)

    def fits(self, request: JobRequirements | None) -> bool:
        """Return whether a job may fit; without a job every type fits."""
        return request is None or (
            self.vcpus >= request.vcpus
            and self.gpus >= request.gpus
            and self.most_mib >= request.memory_mib
        )


@fact
def find_instance_types(session: AwsSession, environment: Reply) -> list[InstanceType]:
    """Return the types that a compute environment may start, with all sizes of a family."""
    ec2: EC2Client = session.client("ec2")
    replies = query_pages(
        ec2, "describe_instance_types", "InstanceTypes", Filters=_filters(environment)
    )
    return sorted(map(_type, replies), key=lambda kind: (kind.vcpus, kind.memory_mib, kind.name))


@fact
def zones_by_type(session: AwsSession, environment: Reply) -> dict[str, frozenset[str]]:
    """Return the availability zones that offer each type."""
    ec2: EC2Client = session.client("ec2")
    offers = query_pages(
        ec2,
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=_filters(environment),
    )
    names = {offer["InstanceType"] for offer in offers}
    return {
        name: frozenset(offer["Location"] for offer in offers if offer["InstanceType"] == name)
        for name in names
    }


def type_patterns(names: Iterable[str]) -> list[str]:
    """Return EC2's patterns for the `instanceTypes` of a compute environment.

    >>> type_patterns(["g4dn", "g5.xlarge"])
    ['g4dn.*', 'g5.xlarge']
    """
    families = [family for name in names for family in BUNDLES.get(name, (name,))]
    return [name if "." in name else f"{name}.*" for name in families]


def family_of(instance_type: str) -> str:
    """Return the letters of a type's family.

    >>> family_of("g4dn.2xlarge"), family_of("p5.48xlarge")
    ('g', 'p')
    """
    match = re.match(r"[a-z]+", instance_type)
    return match[0] if match else instance_type


def names_of(types: Iterable[InstanceType], most: int = 6) -> str:
    """Return the names of the types, abbreviated if there are many."""
    names = [instance.name for instance in types]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def _filters(environment: Reply) -> list[dict[str, object]]:
    listed = environment.get("computeResources", {}).get("instanceTypes", ())
    return [{"Name": "instance-type", "Values": type_patterns(listed)}]


def _type(reply: Reply) -> InstanceType:
    gpus = reply.get("GpuInfo", {}).get("Gpus", ())
    return InstanceType(
        name=reply["InstanceType"],
        vcpus=reply["VCpuInfo"]["DefaultVCpus"],
        memory_mib=reply["MemoryInfo"]["SizeInMiB"],
        gpus=sum(gpu.get("Count", 0) for gpu in gpus),
        architectures=tuple(reply.get("ProcessorInfo", {}).get("SupportedArchitectures", ())),
    )
