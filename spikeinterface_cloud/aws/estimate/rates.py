"""The speed of each part of a job, with the source, date and error of each figure.

Sizes are those of uncompressed 16-bit samples: 1 GB (10^9 bytes) is 43.4 s of 384 channels at
30 kHz. Of a published range the ends are kept; `likely` is their geometric mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from spikeinterface_cloud.aws.estimate.interval import Interval
from spikeinterface_cloud.runtime.memory_estimate import (
    PROBE_CHANNELS,
    SAMPLE_BYTES,
    SAMPLE_RATE_HZ,
)

Origin = Literal["measured here", "published by others", "assumed"]

#: seconds of a Neuropixels recording in 1 GB; the published speeds are for such recordings
PROBE_S_PER_GB = 1e9 / (PROBE_CHANNELS * SAMPLE_RATE_HZ * SAMPLE_BYTES)

NOVEMBER_22 = date(2026, 11, 22)
NOVEMBER_25 = date(2026, 11, 25)


@dataclass(frozen=True, slots=True)
class Rate:
    """One figure of the model."""

    value: Interval
    #: of `value`, like `CPU s per GB`
    unit: str
    origin: Origin
    #: when it was measured, read or assumed
    as_of: date
    #: where it comes from, and its limits
    source: str


#: from the request for an instance to the first line of the job: the instance starts, joins its
#: cluster, and pulls and unpacks the image
START_S: Mapping[str, Rate] = {
    "gpu": Rate(
        Interval(120, 240, 600), "s", "assumed", NOVEMBER_25,
        "not measured on AWS; an image of several GB, which each instance pulls once",
    ),
    "cpu": Rate(
        Interval(60, 150, 300), "s", "assumed", NOVEMBER_25,
        "not measured on AWS; an image below 1 GB",
    ),
}  # fmt: skip

#: download and publishing; bounded by the instance's network and disk
TRANSFER = Rate(
    Interval(80, 200, 360), "MB/s", "assumed", NOVEMBER_25,
    "at most our download over loopback, on two busy cores (benchmarks/README.md); the speed of "
    "S3 to an instance was not measured",
)  # fmt: skip

#: the part of every vCPU that works for the job while the job waits for CPU
CPU_USE = Rate(
    Interval(0.4, 0.6, 0.9), "busy CPUs per vCPU", "assumed", NOVEMBER_25,
    "two vCPUs are one core, and some parts of a job have one thread",
)  # fmt: skip

#: CPU seconds, fixed and per GB: bad channels, the phase shift, and writing
PREPROCESSING = (
    Rate(
        Interval(1, 2, 5), "CPU s", "measured here", NOVEMBER_25,
        "384 channels, 10 and 20 s, on two overloaded cores",
    ),
    Rate(
        Interval(20, 41, 85), "CPU s per GB", "measured here", NOVEMBER_25,
        "384 channels, 10 and 20 s, on two overloaded cores: with a phase shift; at least without "
        "one, at most with a filter and a reference as well",
    ),
)  # fmt: skip

#: Kilosort4's time for the shortest recording
KILOSORT4_FIXED = Rate(
    Interval(20, 40, 60), "s", "published by others", NOVEMBER_22,
    "bounded by a run of 101 s on 28.5 min of 16 channels (AIND's pipeline, dandi-compute 001697, "
    "000943)",
)  # fmt: skip

#: s per GB, from multiples of the recorded time on GPUs that are not named
_ON_UNNAMED_GPUS = Interval(0.84, 1.45, 2.5) * PROBE_S_PER_GB


def _faster_than_t4(speedup: Interval, reason: str) -> Rate:
    """Return Kilosort4's rate on a GPU for which no run is published."""
    source = (
        f"no run on this GPU is published: {speedup.low:g} to {speedup.high:g} times as fast as a "
        f"T4, {reason}"
    )
    return Rate(_ON_UNNAMED_GPUS / speedup, "s per GB", "assumed", NOVEMBER_25, source)


#: Kilosort4 by the model of the GPU
KILOSORT4: Mapping[str, Rate] = {
    "T4": Rate(
        _ON_UNNAMED_GPUS, "s per GB", "published by others", NOVEMBER_22,
        "0.84 to 2.5 times the recorded time, on GPUs that are not named: a user's 5:25 for 6:26 "
        "(spikeinterface #2625), and maintainers' expectations (2 to 3 h for 1.5 to 2 h, Kilosort "
        "#737; 2 to 2.5 times, spikeinterface #3914)",
    ),
    "A10G": _faster_than_t4(Interval(1.4, 1.7, 2.0), "with twice its memory bandwidth"),
    "L4": _faster_than_t4(
        Interval(1.1, 1.4, 1.8), "with the same memory bandwidth and four times the arithmetic"
    ),
    "L40S": _faster_than_t4(Interval(2.0, 2.5, 3.2), "with 2.7 times its memory bandwidth"),
}  # fmt: skip
SLOWEST_GPU = "T4"


def _cpu_sorter(
    fixed: Interval, per_gb: Interval, origin: Origin, source: str
) -> tuple[Rate, Rate]:
    return (
        Rate(fixed, "CPU s", origin, NOVEMBER_25, source),
        Rate(per_gb, "CPU s per GB", origin, NOVEMBER_25, source),
    )


_ON_64_CHANNELS = (
    "60 s of 64 simulated channels on two overloaded cores; half to three times as much per GB, "
    "because neither longer recordings nor more channels were measured"
)

#: CPU seconds by sorter, fixed and per GB; 20 s of the measured time are taken to be fixed
CPU_SORTERS: Mapping[str, tuple[Rate, Rate]] = {
    "spykingcircus2": _cpu_sorter(
        Interval(10, 20, 40), Interval(116, 232, 700), "measured here", _ON_64_CHANNELS
    ),
    "tridesclous2": _cpu_sorter(
        Interval(10, 20, 40), Interval(196, 392, 1180), "measured here", _ON_64_CHANNELS
    ),
    "lupin": _cpu_sorter(
        Interval(10, 20, 60), Interval(116, 392, 1180), "assumed",
        "at least as much as spykingcircus2, at most as much as tridesclous2; not measured",
    ),
    "simple": _cpu_sorter(
        Interval(10, 20, 40), Interval(58, 232, 700), "assumed",
        "as much as spykingcircus2, or a quarter of it; not measured",
    ),
}  # fmt: skip

#: the sorters that can be estimated
KNOWN_SORTERS = ("kilosort4", *CPU_SORTERS)

#: CPU seconds of the analysis of one sorting, fixed and per GB
ANALYSIS = (
    Rate(
        Interval(20, 40, 80), "CPU s", "measured here", NOVEMBER_22,
        "benchmarks/README.md: 64 channels with 60 units, without the principal components, which "
        "are now computed by one thread",
    ),
    Rate(
        Interval(60, 91, 200), "CPU s per GB", "measured here", NOVEMBER_22,
        "benchmarks/README.md: 21 s of CPU for each further minute of 64 channels; up to twice as "
        "much, because more channels and units were not measured",
    ),
)  # fmt: skip

#: the size of one sorter's results, which are published and kept
RESULTS = Rate(
    Interval(0.01, 0.03, 0.1), "GB per GB", "assumed", NOVEMBER_25,
    "a waveform of 500 spikes on 22 channels of each of 400 units, and 48 bytes a spike",
)  # fmt: skip

NVME = Rate(
    Interval(400, 700, 1500), "MB/s", "assumed", NOVEMBER_25,
    "instance store disks; not measured",
)  # fmt: skip

#: bounded by the instance's EBS bandwidth
EBS = Rate(
    Interval(125, 125, 250), "MB/s", "published by others", NOVEMBER_22,
    "AWS: a gp3 volume without extra throughput; at most a gp2 volume of 334 GB",
)  # fmt: skip

#: size of the samples by size of the file, for formats that allow compression
COMPRESSION = Rate(
    Interval(1, 1.5, 3), "GB of samples per GB", "assumed", NOVEMBER_25,
    "some files are not compressed, and lossless compression of such recordings to less than a "
    "third is rare",
)  # fmt: skip

#: the part of an instance's memory that a job gets; the system and the ECS agent take the rest
MEMORY_OF_INSTANCE = 0.92

#: the Spot price
SPOT_PART_OF_ON_DEMAND = Rate(
    Interval(0.3, 0.5, 1.0), "of the on-demand price", "assumed", NOVEMBER_25,
    "it changes by the hour and the zone, and never exceeds the on-demand price; the table has no "
    "Spot prices",
)  # fmt: skip

#: of every instance, for the operating system and its images
ROOT_VOLUME_GB = 100.0
