"""How fast each part of a job goes, as far as anybody has measured it, with source, date and error.

Sizes are of 16-bit samples, uncompressed: 1 GB (10^9 bytes) is 43.4 s of 384 channels at 30 kHz.
Of a published range the ends are kept; what is `likely` between them is their geometric mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from spikeinterface_cloud.aws.estimate.interval import Interval

Origin = Literal["measured here", "published by others", "assumed"]

#: what Neuropixels probes record, and the published speeds are of
REFERENCE_CHANNELS = 384
REFERENCE_HZ = 30_000.0
SAMPLE_BYTES = 2

#: seconds of such a recording in 1 GB
REFERENCE_S_PER_GB = 1e9 / (REFERENCE_CHANNELS * REFERENCE_HZ * SAMPLE_BYTES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """One figure of the model."""

    value: Interval
    #: what `value` counts, like `CPU seconds per GB`
    unit: str
    origin: Origin
    #: when it was measured, read or assumed
    as_of: date
    #: where it comes from, and what is not known of it
    source: str


def _of_recorded_time(low: float, likely: float, high: float) -> Interval:
    """Seconds per GB, from multiples of the recorded time of 384 channels at 30 kHz."""
    return Interval(low, likely, high) * REFERENCE_S_PER_GB


#: from the request for an instance to the first line of the job: the instance starts, joins its
#: cluster, and pulls and unpacks the image
START_S: Mapping[str, Rate] = {
    "gpu": Rate(
        value=Interval(120, 240, 600),
        unit="s",
        origin="assumed",
        as_of=date(2026, 11, 25),
        source="not measured on AWS; an image of several GB, which an instance pulls once",
    ),
    "cpu": Rate(
        value=Interval(60, 150, 300),
        unit="s",
        origin="assumed",
        as_of=date(2026, 11, 25),
        source="not measured on AWS; an image below 1 GB",
    ),
}

#: fetching and publishing; never more than the instance's network and disk
TRANSFER = Rate(
    value=Interval(80, 200, 360),
    unit="MB/s",
    origin="assumed",
    as_of=date(2026, 11, 25),
    source="at the most our fetch over loopback, on two busy cores (benchmarks/README.md); what S3 "
    "gives to an instance was not measured",
)

#: of every vCPU, how much works for the job while CPU is what it waits for
CPU_USE = Rate(
    value=Interval(0.4, 0.6, 0.9),
    unit="busy CPUs per vCPU",
    origin="assumed",
    as_of=date(2026, 11, 25),
    source="two vCPUs are one core, and some parts of a job have one thread",
)

#: CPU seconds of a fixed part and per GB: bad channels, the phase shift, and writing
PREPROCESSING = (
    Rate(
        value=Interval(1, 2, 5),
        unit="CPU s",
        origin="measured here",
        as_of=date(2026, 11, 25),
        source="384 channels, 10 and 20 s, on two overloaded cores",
    ),
    Rate(
        value=Interval(20, 41, 85),
        unit="CPU s per GB",
        origin="measured here",
        as_of=date(2026, 11, 25),
        source="384 channels, 10 and 20 s, on two overloaded cores: with a phase shift, at the "
        "least without one, at the most with a filter and a reference besides",
    ),
)

#: what Kilosort4 takes for the shortest recording
KILOSORT4_FIXED = Rate(
    value=Interval(20, 40, 60),
    unit="s",
    origin="published by others",
    as_of=date(2026, 11, 22),
    source="bounded by a run of 101 s on 28.5 min of 16 channels (AIND's pipeline, dandi-compute "
    "001697, 000943)",
)

#: multiples of the recorded time, which the speeds of all cards are made from
_ON_UNNAMED_CARDS = (0.84, 1.45, 2.5)

#: Kilosort4 by the model of the GPU
KILOSORT4: Mapping[str, Rate] = {
    "T4": Rate(
        value=_of_recorded_time(*_ON_UNNAMED_CARDS),
        unit="s per GB",
        origin="published by others",
        as_of=date(2026, 11, 22),
        source="0.84 to 2.5 times the recorded time, on cards that are not named: a user's 5:25 "
        "for 6:26 (spikeinterface #2625), and what maintainers expect (2 to 3 h for 1.5 to 2 h, "
        "Kilosort #737; 2 to 2.5 times, spikeinterface #3914)",
    ),
    "A10G": Rate(
        value=_of_recorded_time(*_ON_UNNAMED_CARDS) / Interval(1.4, 1.7, 2.0),
        unit="s per GB",
        origin="assumed",
        as_of=date(2026, 11, 25),
        source="no run on this card is published: 1.4 to 2 times as fast as a T4, which has "
        "half of its memory bandwidth",
    ),
    "L4": Rate(
        value=_of_recorded_time(*_ON_UNNAMED_CARDS) / Interval(1.1, 1.4, 1.8),
        unit="s per GB",
        origin="assumed",
        as_of=date(2026, 11, 25),
        source="no run on this card is published: 1.1 to 1.8 times as fast as a T4, of whose "
        "memory bandwidth it has as much, and four times the arithmetic",
    ),
    "L40S": Rate(
        value=_of_recorded_time(*_ON_UNNAMED_CARDS) / Interval(2.0, 2.5, 3.2),
        unit="s per GB",
        origin="assumed",
        as_of=date(2026, 11, 25),
        source="no run on this card is published: 2 to 3.2 times as fast as a T4, of whose memory "
        "bandwidth it has 2.7 times as much",
    ),
}
SLOWEST_GPU = "T4"

#: sorters that cannot do without a GPU, or are not run without one unless a parameter says so
NEED_GPU = frozenset({"kilosort4"})


def _cpu_sorter(
    fixed: Interval, per_gb: Interval, origin: Origin, source: str
) -> tuple[Rate, Rate]:
    """CPU seconds of a fixed part, and per GB."""
    as_of = date(2026, 11, 25)
    return (
        Rate(value=fixed, unit="CPU s", origin=origin, as_of=as_of, source=source),
        Rate(value=per_gb, unit="CPU s per GB", origin=origin, as_of=as_of, source=source),
    )


_ON_64_CHANNELS = (
    "60 s of 64 simulated channels on two overloaded cores; half to three times as much per GB, as "
    "neither longer recordings nor more channels were measured"
)

#: by sorter; of what was measured in all, 20 s are taken to be the fixed part
CPU_SORTERS: Mapping[str, tuple[Rate, Rate]] = {
    "spykingcircus2": _cpu_sorter(
        Interval(10, 20, 40), Interval(116, 232, 700), "measured here", _ON_64_CHANNELS
    ),
    "tridesclous2": _cpu_sorter(
        Interval(10, 20, 40), Interval(196, 392, 1180), "measured here", _ON_64_CHANNELS
    ),
    "lupin": _cpu_sorter(
        Interval(10, 20, 60),
        Interval(116, 392, 1180),
        "assumed",
        "as much as spykingcircus2 at the least and tridesclous2 at the most; not measured",
    ),
    "simple": _cpu_sorter(
        Interval(10, 20, 40),
        Interval(58, 232, 700),
        "assumed",
        "as much as spykingcircus2, or a quarter of it; not measured",
    ),
}

#: those that an estimate can be made for
KNOWN_SORTERS = (*sorted(NEED_GPU), *CPU_SORTERS)

#: CPU seconds of the analysis of one sorting: a fixed part, and per GB
ANALYSIS = (
    Rate(
        value=Interval(20, 40, 80),
        unit="CPU s",
        origin="measured here",
        as_of=date(2026, 11, 22),
        source="benchmarks/README.md: 64 channels with 60 units, without the principal components "
        "that one thread computes now",
    ),
    Rate(
        value=Interval(60, 91, 200),
        unit="CPU s per GB",
        origin="measured here",
        as_of=date(2026, 11, 22),
        source="benchmarks/README.md: 21 s of CPU a further minute of 64 channels; up to twice as "
        "much, as more channels and units were not measured",
    ),
)

#: what one sorter's results take, which is published and kept
RESULTS = Rate(
    value=Interval(0.01, 0.03, 0.1),
    unit="GB per GB",
    origin="assumed",
    as_of=date(2026, 11, 25),
    source="a waveform of 500 spikes on 22 channels of each of 400 units, and 48 bytes a spike",
)

NVME = Rate(
    value=Interval(400, 700, 1500),
    unit="MB/s",
    origin="assumed",
    as_of=date(2026, 11, 25),
    source="an instance's own disks; not measured",
)

#: never more than the instance's link to its volumes
EBS = Rate(
    value=Interval(125, 125, 250),
    unit="MB/s",
    origin="published by others",
    as_of=date(2026, 11, 22),
    source="AWS: a gp3 volume for which no more is paid; at the most a gp2 volume of 334 GB",
)

#: of the samples of a file whose format allows compression, by the bytes of the file
COMPRESSION = Rate(
    value=Interval(1, 1.5, 3),
    unit="GB of samples per GB",
    origin="assumed",
    as_of=date(2026, 11, 25),
    source="some files are not compressed, and lossless compression of such recordings to less "
    "than a third is rare",
)

#: what every job holds in memory besides its largest part, in GiB
BASE_MEMORY_GIB = 2.0

#: the largest parts: a fixed one in GiB, and GiB per GB
MEMORY: Mapping[str, tuple[Rate, Rate]] = {
    "analysis": (
        Rate(
            value=Interval(1, 2.8, 4),
            unit="GiB",
            origin="measured here",
            as_of=date(2026, 11, 22),
            source="benchmarks/README.md: the first minute of 384 channels with 400 units, up "
            "to the principal components",
        ),
        Rate(
            value=Interval(0.016, 0.024, 0.05),
            unit="GiB per GB",
            origin="measured here",
            as_of=date(2026, 11, 25),
            source="benchmarks/README.md: the spikes of an hour hold 1.3 GiB; the rest is assumed",
        ),
    ),
    "kilosort4": (
        Rate(
            value=Interval(3, 4, 6),
            unit="GiB",
            origin="assumed",
            as_of=date(2026, 11, 25),
            source="torch, CUDA and some batches",
        ),
        Rate(
            value=Interval(0.04, 0.1, 0.28),
            unit="GiB per GB",
            origin="published by others",
            as_of=date(2026, 11, 22),
            source="at the most 300 GB for 13 hours (Kilosort's docs/hardware.rst); at the least "
            "the features of 14 million spikes an hour",
        ),
    ),
}

#: of an instance's memory, what a job can have: the agent and the system keep the rest
MEMORY_OF_INSTANCE = 0.92

#: of the price on demand, what Spot asks
SPOT_PART_OF_ON_DEMAND = Rate(
    value=Interval(0.3, 0.5, 1.0),
    unit="of the on-demand price",
    origin="assumed",
    as_of=date(2026, 11, 25),
    source="it changes by the hour and the zone, and is never above on demand; no price of Spot is "
    "in the table",
)

#: of every instance, for the system and its images
ROOT_VOLUME_GB = 100.0
