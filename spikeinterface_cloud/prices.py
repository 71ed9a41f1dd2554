"""The EC2 instance types that jobs run on, and AWS's prices, with their date and source.

`prices.json` holds one line per instance type; `tools/update_prices.py` renews it from AWS. It has
not done so yet, because AWS could not be reached: the prices of the GPU instances come from public
copies of AWS's list; those of the m, c and r families were written from memory and agree with such
copies, except m5d and m6id, for which no copy was at hand. The hardware figures come from
DescribeInstanceTypes, in the copy that moto 5.2.5 carries.

On-demand prices only: the Spot price changes by the hour and the zone, and a job cannot read it.
`spikeinterface-cloud estimate --price` or `--prices` overrides the table.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")

#: USD per GB-month of a gp3 volume, and of S3's standard storage, in us-east-1
EBS_USD_PER_GB_MONTH = 0.08
S3_USD_PER_GB_MONTH = 0.023

HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceSpec:
    """The hardware and the on-demand price of one instance type."""

    name: str
    vcpus: int
    memory_gib: int
    #: the model of the GPU; None without one
    gpu: str | None
    n_gpus: int
    #: all instance store disks together, in GB; 0 without one
    nvme_gb: int
    #: sustained, in Gbit/s; bursts are faster
    network_gbps: float
    #: to EBS volumes, in MB/s: sustained, and for at least half an hour a day
    ebs_mb_s: float
    ebs_burst_mb_s: float
    #: on demand, by region
    usd_per_hour: Mapping[str, float]


_TABLE = json.loads(FILE.read_text(encoding="utf-8"))

#: the date and the source of the prices
AS_OF = date.fromisoformat(_TABLE["as_of"])
SOURCE: str = _TABLE["source"]

INSTANCE_SPECS: Mapping[str, InstanceSpec] = {
    name: InstanceSpec(name=name, **spec) for name, spec in _TABLE["instance_types"].items()
}


#: USD per minute of a build on Linux, by CodeBuild's compute type and region
BUILD_USD_PER_MINUTE: Mapping[str, Mapping[str, float]] = _TABLE["build_usd_per_minute"]


def build_usd_per_minute(compute_type: str, region: str) -> float | None:
    """Return the price of a minute of CodeBuild, or None if the table has none."""
    return BUILD_USD_PER_MINUTE.get(compute_type, {}).get(region)


def on_demand_usd_per_hour(instance_type: str, region: str) -> float | None:
    """Return the price of an hour, or None if the table has none."""
    spec = INSTANCE_SPECS.get(instance_type)
    return spec.usd_per_hour.get(region) if spec else None


def on_demand_prices(region: str) -> dict[str, float]:
    """Return USD per hour by instance type; empty for a region that the table lacks."""
    return {
        spec.name: spec.usd_per_hour[region]
        for spec in INSTANCE_SPECS.values()
        if region in spec.usd_per_hour
    }
