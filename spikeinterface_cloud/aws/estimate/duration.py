"""The duration of each part of a job on an instance type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spikeinterface_cloud.aws.estimate import rates
from spikeinterface_cloud.aws.estimate.fit import Scratch, has_nvme_scratch
from spikeinterface_cloud.aws.estimate.interval import Interval, exactly
from spikeinterface_cloud.aws.estimate.rates import Rate
from spikeinterface_cloud.aws.estimate.workload import Workload
from spikeinterface_cloud.prices import InstanceSpec

MB_PER_GB = 1000.0

#: Gbit/s to MB/s
MB_S_PER_GBPS = 125.0

#: how often each part of the job reads or writes all samples
PASSES = {"preprocess": 2, "sort": 3, "analyze": 2}


@dataclass(frozen=True, slots=True)
class PartTime:
    """The duration of one part of a job."""

    #: like `fetch`, or `sort with kilosort4`
    name: str
    seconds: Interval
    #: the decisive figure; the instance's network and disks may slow the part down further
    rate: Rate


def job_times(
    instance: InstanceSpec, workload: Workload, sorters: Sequence[str], scratch: Scratch
) -> list[PartTime]:
    """Return the parts of one recording's job in their order, separately for each sorter."""
    speeds = _Speeds.of(instance, scratch)
    samples = workload.samples_gb
    fetched_mb = exactly(workload.fetched_gb * MB_PER_GB)
    fetch_s = (fetched_mb / speeds.network_mb_s).at_least(fetched_mb / speeds.disk_mb_s)
    publish_s = rates.RESULTS.value * samples * MB_PER_GB / speeds.network_mb_s
    start = rates.START_S["gpu" if instance.gpu else "cpu"]
    parts = [
        PartTime("start", start.value, start),
        PartTime("fetch", fetch_s, rates.TRANSFER),
        speeds.on_cpu("preprocess", rates.PREPROCESSING, samples, PASSES["preprocess"]),
    ]
    for sorter in sorters:
        parts += [
            _sorting(speeds, samples, sorter),
            speeds.on_cpu(f"analyze {sorter}", rates.ANALYSIS, samples, PASSES["analyze"]),
            PartTime(f"publish {sorter}", publish_s, rates.RESULTS),
        ]
    return parts


@dataclass(frozen=True, kw_only=True, slots=True)
class _Speeds:
    """The speeds of an instance type."""

    gpu: str | None
    busy_cpus: Interval
    network_mb_s: Interval
    disk_mb_s: Interval

    @classmethod
    def of(cls, instance: InstanceSpec, scratch: Scratch) -> _Speeds:
        on_nvme = has_nvme_scratch(instance, scratch)
        return cls(
            gpu=instance.gpu,
            busy_cpus=rates.CPU_USE.value * instance.vcpus,
            network_mb_s=rates.TRANSFER.value.at_most(instance.network_gbps * MB_S_PER_GBPS),
            disk_mb_s=rates.NVME.value if on_nvme else _volume_mb_s(instance),
        )

    def on_cpu(
        self, name: str, figures: tuple[Rate, Rate], samples: Interval, passes: int
    ) -> PartTime:
        """Return a part that computes on all CPUs, and takes at least as long as reading."""
        fixed, per_gb = figures
        computing = (fixed.value + per_gb.value * samples) / self.busy_cpus
        seconds = computing.at_least(self.reading(samples, passes))
        return PartTime(name, seconds, per_gb)

    def reading(self, samples: Interval, passes: int) -> Interval:
        """Return the time to read all samples so many times."""
        return samples * (passes * MB_PER_GB) / self.disk_mb_s


def _volume_mb_s(instance: InstanceSpec) -> Interval:
    volume, sustained = rates.EBS.value, instance.ebs_mb_s
    return Interval(
        min(volume.low, sustained),
        min(volume.likely, sustained),
        min(volume.high, instance.ebs_burst_mb_s),
    )


def _sorting(speeds: _Speeds, samples: Interval, sorter: str) -> PartTime:
    name = f"sort with {sorter}"
    if sorter in rates.CPU_SORTERS:
        return speeds.on_cpu(name, rates.CPU_SORTERS[sorter], samples, PASSES["sort"])
    # without a GPU the job cannot run, which `fit` says; the slowest GPU stands for it here
    rate = rates.KILOSORT4[speeds.gpu or rates.SLOWEST_GPU]
    computing = rates.KILOSORT4_FIXED.value + rate.value * samples
    seconds = computing.at_least(speeds.reading(samples, PASSES["sort"]))
    return PartTime(name, seconds, rate)
