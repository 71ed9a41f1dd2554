"""What AWS asks for an hour of an instance, with the date and the source of the figures.

None was read off AWS's own pages, which could not be reached. Those of the GPU instances are from
public copies of AWS's list; those of the m, c and r families were written from memory, and then
found to agree with such copies, some of which may be copies of each other, but for m5d and m6id,
which no copy was at hand for. `submit_job.py estimate --price` or `--prices` overrides them for an
estimate.

On-demand only: the price of Spot changes by the hour and the zone, and a job cannot read it.
"""

from collections.abc import Mapping
from datetime import date

#: when the figures were last compared
AS_OF = date(2026, 11, 25)

SOURCE = (
    "AWS's on-demand list prices for Linux with shared tenancy, as several public copies of them "
    "agree; without tax, discounts, disks and transfer"
)

#: USD an hour, by region and instance type
ON_DEMAND_USD_PER_HOUR: Mapping[str, Mapping[str, float]] = {
    "us-east-1": {
        # NVIDIA T4
        "g4dn.xlarge": 0.526,
        "g4dn.2xlarge": 0.752,
        "g4dn.4xlarge": 1.204,
        "g4dn.8xlarge": 2.176,
        "g4dn.12xlarge": 3.912,
        "g4dn.16xlarge": 4.352,
        # NVIDIA A10G
        "g5.xlarge": 1.006,
        "g5.2xlarge": 1.212,
        "g5.4xlarge": 1.624,
        "g5.8xlarge": 2.448,
        "g5.12xlarge": 5.672,
        "g5.16xlarge": 4.096,
        # NVIDIA L4
        "g6.xlarge": 0.8048,
        "g6.2xlarge": 0.9776,
        "g6.4xlarge": 1.3232,
        "g6.8xlarge": 2.0144,
        "g6.12xlarge": 4.6016,
        "g6.16xlarge": 3.3968,
        # NVIDIA L40S
        "g6e.xlarge": 1.861,
        "g6e.2xlarge": 2.242,
        "g6e.4xlarge": 3.0042,
        "g6e.8xlarge": 4.5286,
        # no GPU: general purpose, compute, memory
        "m5.xlarge": 0.192,
        "m5.2xlarge": 0.384,
        "m5.4xlarge": 0.768,
        "m5.8xlarge": 1.536,
        "m6i.xlarge": 0.192,
        "m6i.2xlarge": 0.384,
        "m6i.4xlarge": 0.768,
        "m6i.8xlarge": 1.536,
        # the same with a disk of their own
        "m5d.2xlarge": 0.452,
        "m5d.4xlarge": 0.904,
        "m6id.2xlarge": 0.4746,
        "m6id.4xlarge": 0.9492,
        "c5.xlarge": 0.17,
        "c5.2xlarge": 0.34,
        "c5.4xlarge": 0.68,
        "c6i.xlarge": 0.17,
        "c6i.2xlarge": 0.34,
        "c6i.4xlarge": 0.68,
        "c6i.8xlarge": 1.36,
        "r5.xlarge": 0.252,
        "r5.2xlarge": 0.504,
        "r5.4xlarge": 1.008,
        "r6i.xlarge": 0.252,
        "r6i.2xlarge": 0.504,
        "r6i.4xlarge": 1.008,
        "r6i.8xlarge": 2.016,
    },
}

#: USD for a GB-month of a gp3 volume, and of S3's standard storage, in us-east-1
EBS_USD_PER_GB_MONTH = 0.08
S3_USD_PER_GB_MONTH = 0.023

HOURS_PER_MONTH = 730.0


def on_demand_usd_per_hour(instance_type: str, region: str) -> float | None:
    """The price of an hour; None where the table has none."""
    return ON_DEMAND_USD_PER_HOUR.get(region, {}).get(instance_type)
