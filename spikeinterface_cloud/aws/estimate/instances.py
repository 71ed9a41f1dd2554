"""What each instance type of the price table is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

#: when the figures were taken from AWS's own description of the types (DescribeInstanceTypes), in
#: the copy of it that moto 5.2.5 carries; a test compares them
AS_OF = date(2026, 11, 25)


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance type; the fields in the order of the table below."""

    name: str
    vcpus: int
    memory_gib: int
    #: the model of the GPU; None without one
    gpu: str | None
    n_gpus: int
    #: of all disks of its own together, in GB; 0 without one
    nvme_gb: int
    #: that it has at all times, in Gbit/s; bursts are faster
    network_gbps: float
    #: to its EBS volumes at all times, and for at least half an hour a day, in MB/s
    ebs_mb_s: float
    ebs_burst_mb_s: float


_TABLE = (
    Instance("g4dn.xlarge", 4, 16, "T4", 1, 125, 5, 118.75, 437.5),
    Instance("g4dn.2xlarge", 8, 32, "T4", 1, 225, 10, 143.75, 437.5),
    Instance("g4dn.4xlarge", 16, 64, "T4", 1, 225, 20, 593.75, 593.75),
    Instance("g4dn.8xlarge", 32, 128, "T4", 1, 900, 50, 1187.5, 1187.5),
    Instance("g4dn.12xlarge", 48, 192, "T4", 4, 900, 50, 1187.5, 1187.5),
    Instance("g4dn.16xlarge", 64, 256, "T4", 1, 900, 50, 1187.5, 1187.5),
    Instance("g5.xlarge", 4, 16, "A10G", 1, 250, 2.5, 87.5, 437.5),
    Instance("g5.2xlarge", 8, 32, "A10G", 1, 450, 5, 106.25, 437.5),
    Instance("g5.4xlarge", 16, 64, "A10G", 1, 600, 10, 593.75, 593.75),
    Instance("g5.8xlarge", 32, 128, "A10G", 1, 900, 25, 2000, 2000),
    Instance("g5.12xlarge", 48, 192, "A10G", 4, 3800, 40, 2000, 2000),
    Instance("g5.16xlarge", 64, 256, "A10G", 1, 1900, 25, 2000, 2000),
    Instance("g6.xlarge", 4, 16, "L4", 1, 250, 2.5, 125, 625),
    Instance("g6.2xlarge", 8, 32, "L4", 1, 450, 5, 250, 625),
    Instance("g6.4xlarge", 16, 64, "L4", 1, 600, 10, 1000, 1000),
    Instance("g6.8xlarge", 32, 128, "L4", 1, 900, 25, 2000, 2000),
    Instance("g6.12xlarge", 48, 192, "L4", 4, 3760, 40, 2500, 2500),
    Instance("g6.16xlarge", 64, 256, "L4", 1, 1880, 25, 2500, 2500),
    Instance("g6e.xlarge", 4, 32, "L40S", 1, 250, 2.5, 125, 625),
    Instance("g6e.2xlarge", 8, 64, "L40S", 1, 450, 5, 250, 625),
    Instance("g6e.4xlarge", 16, 128, "L40S", 1, 600, 20, 1000, 1000),
    Instance("g6e.8xlarge", 32, 256, "L40S", 1, 900, 25, 2000, 2000),
    Instance("m5.xlarge", 4, 16, None, 0, 0, 1.25, 143.75, 593.75),
    Instance("m5.2xlarge", 8, 32, None, 0, 0, 2.5, 287.5, 593.75),
    Instance("m5.4xlarge", 16, 64, None, 0, 0, 5, 593.75, 593.75),
    Instance("m5.8xlarge", 32, 128, None, 0, 0, 10, 850, 850),
    Instance("m6i.xlarge", 4, 16, None, 0, 0, 1.562, 156.25, 1250),
    Instance("m6i.2xlarge", 8, 32, None, 0, 0, 3.125, 312.5, 1250),
    Instance("m6i.4xlarge", 16, 64, None, 0, 0, 6.25, 625, 1250),
    Instance("m6i.8xlarge", 32, 128, None, 0, 0, 12.5, 1250, 1250),
    Instance("m5d.2xlarge", 8, 32, None, 0, 300, 2.5, 287.5, 593.75),
    Instance("m5d.4xlarge", 16, 64, None, 0, 600, 5, 593.75, 593.75),
    Instance("m6id.2xlarge", 8, 32, None, 0, 474, 3.125, 312.5, 1250),
    Instance("m6id.4xlarge", 16, 64, None, 0, 950, 6.25, 625, 1250),
    Instance("c5.xlarge", 4, 8, None, 0, 0, 1.25, 143.75, 593.75),
    Instance("c5.2xlarge", 8, 16, None, 0, 0, 2.5, 287.5, 593.75),
    Instance("c5.4xlarge", 16, 32, None, 0, 0, 5, 593.75, 593.75),
    Instance("c6i.xlarge", 4, 8, None, 0, 0, 1.562, 156.25, 1250),
    Instance("c6i.2xlarge", 8, 16, None, 0, 0, 3.125, 312.5, 1250),
    Instance("c6i.4xlarge", 16, 32, None, 0, 0, 6.25, 625, 1250),
    Instance("c6i.8xlarge", 32, 64, None, 0, 0, 12.5, 1250, 1250),
    Instance("r5.xlarge", 4, 32, None, 0, 0, 1.25, 143.75, 593.75),
    Instance("r5.2xlarge", 8, 64, None, 0, 0, 2.5, 287.5, 593.75),
    Instance("r5.4xlarge", 16, 128, None, 0, 0, 5, 593.75, 593.75),
    Instance("r6i.xlarge", 4, 32, None, 0, 0, 1.562, 156.25, 1250),
    Instance("r6i.2xlarge", 8, 64, None, 0, 0, 3.125, 312.5, 1250),
    Instance("r6i.4xlarge", 16, 128, None, 0, 0, 6.25, 625, 1250),
    Instance("r6i.8xlarge", 32, 256, None, 0, 0, 12.5, 1250, 1250),
)

INSTANCES: Mapping[str, Instance] = {instance.name: instance for instance in _TABLE}
