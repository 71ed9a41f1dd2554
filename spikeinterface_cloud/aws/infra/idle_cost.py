"""The monthly cost of the stack while no job runs, by the types of its resources.

The prices are AWS's list prices of us-east-1, without tax and free tiers; other regions ask up to
about half as much again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from spikeinterface_cloud.prices import (
    EBS_USD_PER_GB_MONTH,
    HOURS_PER_MONTH,
    S3_USD_PER_GB_MONTH,
)

#: when the figures were last compared
AS_OF = date(2026, 11, 22)

#: USD per month of each resource, used or not; 0 for types that are billed by use alone
USD_PER_MONTH: Mapping[str, float] = {
    "AWS::Batch::ComputeEnvironment": 0,  # with a minimum of 0 vCPUs, which a test checks
    "AWS::Batch::JobDefinition": 0,
    "AWS::Batch::JobQueue": 0,
    "AWS::Budgets::Budget": 0,  # without actions
    "AWS::CodeBuild::Project": 0,
    "AWS::EC2::InternetGateway": 0,
    "AWS::EC2::LaunchTemplate": 0,
    "AWS::EC2::Route": 0,
    "AWS::EC2::RouteTable": 0,
    "AWS::EC2::SecurityGroup": 0,
    "AWS::EC2::Subnet": 0,
    "AWS::EC2::SubnetRouteTableAssociation": 0,
    "AWS::EC2::VPC": 0,
    "AWS::EC2::VPCEndpoint": 0,  # a gateway, which a test checks
    "AWS::EC2::VPCGatewayAttachment": 0,
    "AWS::IAM::InstanceProfile": 0,
    "AWS::IAM::ManagedPolicy": 0,
    "AWS::IAM::Policy": 0,
    "AWS::IAM::Role": 0,
    "AWS::S3::BucketPolicy": 0,
    "AWS::EC2::NatGateway": 0.045 * HOURS_PER_MONTH,  # in templates that were changed
}

#: USD per GB-month of the stored data
USD_PER_GB_MONTH: Mapping[str, tuple[float, str]] = {
    "AWS::ECR::Repository": (0.10, "images"),
    "AWS::S3::Bucket": (S3_USD_PER_GB_MONTH, "results"),
    "AWS::Logs::LogGroup": (0.03, "logs"),
}

#: USD per hour of a running job, in addition to its instance
PUBLIC_ADDRESS_USD_PER_HOUR = 0.005


@dataclass(frozen=True, kw_only=True, slots=True)
class IdleCost:
    """The cost of resources while no job runs."""

    usd_per_month: float
    #: USD by resource type, without those that cost nothing
    charged: Mapping[str, float]
    #: USD per GB-month, by the kind of data
    usd_per_gb_month: Mapping[str, float]
    #: types that the table lacks
    unpriced: Sequence[str]
    n_resources: int


def idle_cost(kinds: Iterable[str]) -> IdleCost:
    """Return the cost of resources, given the type of each."""
    counts = Counter(kinds)
    charged = {
        kind: n * USD_PER_MONTH[kind] for kind, n in counts.items() if USD_PER_MONTH.get(kind)
    }
    return IdleCost(
        usd_per_month=sum(charged.values()),
        charged=charged,
        usd_per_gb_month={
            what: usd for kind, (usd, what) in USD_PER_GB_MONTH.items() if kind in counts
        },
        unpriced=sorted(kind for kind in counts if kind not in {*USD_PER_MONTH, *USD_PER_GB_MONTH}),
        n_resources=counts.total(),
    )


def describe_idle_cost(cost: IdleCost, root_volume_gib: float) -> list[str]:
    """Return the cost for people, as lines."""
    lines = [
        f"while no job runs: {cost.usd_per_month:.2f} USD per month for the {cost.n_resources} "
        f"resources (list prices of us-east-1, {AS_OF})"
    ]
    lines += [f"  {kind}: {usd:.2f} USD" for kind, usd in cost.charged.items()]
    if cost.usd_per_gb_month:
        each = ", ".join(f"{usd:g} of {what}" for what, usd in cost.usd_per_gb_month.items())
        lines.append(f"  plus storage, in USD per GB-month: {each}")
    if cost.unpriced:
        lines.append(f"  not in the price table: {', '.join(cost.unpriced)}")
    volume_usd = EBS_USD_PER_GB_MONTH * root_volume_gib / HOURS_PER_MONTH
    lines.append(
        "while a job runs, per hour: its instance, "
        f"{PUBLIC_ADDRESS_USD_PER_HOUR:g} USD for the instance's public address and "
        f"{volume_usd:.3f} for its volume of {root_volume_gib:g} GiB"
    )
    return lines
