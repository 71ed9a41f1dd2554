"""Renew prices.json from AWS: the hardware and on-demand prices of the instance types it lists.

The prices of CodeBuild's compute types are renewed, too.

    python -m tools.update_prices [--region us-east-1] ...

To add an instance type, add its name with an empty object to `instance_types` first. Requires
`pricing:GetProducts` and `ec2:DescribeInstanceTypes`. Regions that are not given keep their prices.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3

from spikeinterface_cloud.prices import FILE

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeInfoTypeDef
    from mypy_boto3_pricing import PricingClient
    from mypy_boto3_pricing.type_defs import FilterTypeDef

SOURCE = (
    "AWS's price list (GetProducts): on demand, Linux, shared tenancy; without tax, discounts, "
    "disks and transfer"
)

#: the Price List API has endpoints in few regions; this one knows the prices of all
PRICING_REGION = "us-east-1"

#: what makes a product the plain on-demand instance
FILTERS = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "licenseModel": "No License required",
}


def usd_per_hour(pricing: PricingClient, instance_type: str, region: str) -> float:
    """Return the on-demand price of an instance type.

    Raises
    ------
    ValueError
        AWS lists no price, or several different ones.
    """
    wanted = {**FILTERS, "instanceType": instance_type, "regionCode": region}
    filters: list[FilterTypeDef] = [
        {"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()
    ]
    reply = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)
    prices = {price for product in reply["PriceList"] for price in prices_of(json.loads(product))}
    return _only(prices, f"{instance_type} in {region}")


def usd_per_minute(pricing: PricingClient, compute_type: str, region: str) -> float:
    """Return the price of a minute of CodeBuild on Linux.

    Raises
    ------
    ValueError
        AWS lists no price, or several different ones.
    """
    pages = pricing.get_paginator("get_products").paginate(
        ServiceCode="CodeBuild",
        Filters=[{"Type": "TERM_MATCH", "Field": "regionCode", "Value": region}],
    )
    # like USE1-Build-Min:Linux:g1.medium for BUILD_GENERAL1_MEDIUM
    wanted = f"Build-Min:Linux:g1.{compute_type.rpartition('_')[2].lower()}"
    prices = {
        price
        for page in pages
        for product in map(json.loads, page["PriceList"])
        if product["product"]["attributes"].get("usagetype", "").endswith(wanted)
        for price in prices_of(product, "minutes")
    }
    return _only(prices, f"{compute_type} in {region}")


def _only(prices: Collection[float], what: str) -> float:
    if len(prices) != 1:
        raise ValueError(f"{what}: AWS lists the prices {sorted(prices)}")
    return next(iter(prices))


def prices_of(product: Mapping[str, Any], unit: str = "Hrs") -> Iterable[float]:
    """Yield the on-demand prices in USD per unit of a product of the price list."""
    for offer in product["terms"].get("OnDemand", {}).values():
        for dimension in offer["priceDimensions"].values():
            if dimension["unit"].lower() == unit.lower():
                yield float(dimension["pricePerUnit"]["USD"])


def hardware(described: InstanceTypeInfoTypeDef) -> dict[str, Any]:
    """Return the fields of `InstanceSpec`, without name and price, from EC2's description."""
    gpus = described.get("GpuInfo", {}).get("Gpus", [])
    disks = described.get("InstanceStorageInfo", {}).get("Disks", [])
    volumes = described["EbsInfo"]["EbsOptimizedInfo"]
    bandwidth = described["NetworkInfo"]["NetworkCards"][0]["BaselineBandwidthInGbps"]
    return {
        "vcpus": described["VCpuInfo"]["DefaultVCpus"],
        "memory_gib": described["MemoryInfo"]["SizeInMiB"] // 1024,
        "gpu": gpus[0]["Name"] if gpus else None,
        "n_gpus": sum(gpu["Count"] for gpu in gpus),
        "nvme_gb": sum(disk["SizeInGB"] * disk["Count"] for disk in disks),
        "network_gbps": round(bandwidth, 3),
        "ebs_mb_s": volumes["BaselineThroughputInMBps"],
        "ebs_burst_mb_s": volumes["MaximumThroughputInMBps"],
    }


def updated_table(
    table: Mapping[str, Any], ec2: EC2Client, pricing: PricingClient, regions: Iterable[str]
) -> dict[str, Any]:
    """Return the table with today's hardware and the prices of these regions."""
    pages = ec2.get_paginator("describe_instance_types").paginate(
        Filters=[{"Name": "instance-type", "Values": list(table["instance_types"])}]
    )
    described = {kind["InstanceType"]: kind for page in pages for kind in page["InstanceTypes"]}
    return {
        "as_of": datetime.now(UTC).date().isoformat(),
        "source": SOURCE,
        "build_usd_per_minute": {
            name: {
                **prices,
                **{region: usd_per_minute(pricing, name, region) for region in regions},
            }
            for name, prices in table["build_usd_per_minute"].items()
        },
        "instance_types": {
            name: {
                **hardware(described[name]),
                "usd_per_hour": {
                    **spec.get("usd_per_hour", {}),
                    **{region: usd_per_hour(pricing, name, region) for region in regions},
                },
            }
            for name, spec in table["instance_types"].items()
        },
    }


def file_text(table: Mapping[str, Any]) -> str:
    """Return the text of the file, with one line for each instance type."""
    specs = table["instance_types"].items()
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(spec)}" for name, spec in specs)
    return (
        f'{{\n "as_of": {json.dumps(table["as_of"])},\n "source": {json.dumps(table["source"])},\n'
        f' "build_usd_per_minute": {json.dumps(table["build_usd_per_minute"])},\n'
        f' "instance_types": {{\n{rows}\n }}\n}}\n'
    )


def main() -> None:
    """Renew the file."""
    parser = argparse.ArgumentParser(description="Renew prices.json from AWS.")
    parser.add_argument("--region", action="append", help="a region to price; several are allowed")
    regions = parser.parse_args().region or [PRICING_REGION]
    ec2 = boto3.client("ec2", region_name=PRICING_REGION)
    pricing = boto3.client("pricing", region_name=PRICING_REGION)
    table = json.loads(FILE.read_text(encoding="utf-8"))
    FILE.write_text(file_text(updated_table(table, ec2, pricing, regions)), encoding="utf-8")


if __name__ == "__main__":
    main()
