"""The availability zones that offer the instance types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.infra.template import ZONES
from spikeinterface_cloud.aws_errors import AwsError, translate_stack_errors

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

#: the template needs two or three subnets
FEWEST = 2


def choose_zones(ec2: EC2Client, types: Sequence[str]) -> Mapping[str, str]:
    """Return the zones that offer most of these types, as the template's parameters.

    Raises AwsError (the region offers a type in no zone, offers them in fewer than two, or AWS does
    not answer).
    """
    offered = _offers(ec2, types)
    region = ec2.meta.region_name
    offered_types = {kind for kinds in offered.values() for kind in kinds}
    if missing := sorted(set(types) - offered_types):
        raise AwsError(
            f"{region} does not offer {', '.join(missing)}; choose others with "
            "--parameter GpuInstanceTypes=... and --parameter CpuInstanceTypes=..., or "
            "another --region"
        )
    counts = Counter({zone: len(kinds) for zone, kinds in offered.items()})
    best = sorted(sorted(counts), key=lambda zone: -counts[zone])[: len(ZONES)]
    if len(best) < FEWEST:
        raise AwsError(
            f"{region} offers these instance types in {', '.join(best)} only, but the stack needs "
            "two zones; choose another --region, or give --parameter VpcId=... and "
            "--parameter SubnetIds=..."
        )
    return dict(zip(ZONES, [*sorted(best), *[""] * len(ZONES)], strict=False))


def _offers(ec2: EC2Client, types: Sequence[str]) -> dict[str, set[str]]:
    """Return the types that each zone offers."""
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": list(types)}],
    )
    found: dict[str, set[str]] = {}
    with translate_stack_errors("list the zones that offer the instance types"):
        for page in pages:
            for offer in page["InstanceTypeOfferings"]:
                found.setdefault(offer["Location"], set()).add(offer["InstanceType"])
    return found
