"""How long each part of a job takes on an instance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spikeinterface_cloud.aws.estimate import rates
from spikeinterface_cloud.aws.estimate.fit import Scratch, has_nvme_scratch
from spikeinterface_cloud.aws.estimate.instances import Instance
from spikeinterface_cloud.aws.estimate.interval import Interval, exactly
from spikeinterface_cloud.aws.estimate.rates import Rate
from spikeinterface_cloud.aws.estimate.workload import Recorded

MB_PER_GB = 1000.0

#: Gbit/s to MB/s
MB_S_PER_GBPS = 125.0

#: how often each part of the job reads or writes all samples
PASSES = {"preprocess": 2, "sort": 3, "analyze": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class PartTime:
    """What one part of a job takes."""

    #: like `fetch`, or `sort with kilosort4`
    name: str
    seconds: Interval
    #: what decides it; the instance's network and disks may hold it back further
    rate: Rate


def job_times(
    instance: Instance, recorded: Recorded, sorters: Sequence[str], scratch: Scratch
) -> tuple[PartTime, ...]:
    """The parts of the job of one recording, each sorter's on their own, in their order."""
    return tuple(_parts(instance, recorded, sorters, scratch))


def _parts(
    instance: Instance, recorded: Recorded, sorters: Sequence[str], scratch: Scratch
) -> Iterator[PartTime]:
    machine = _Machine.of(instance, scratch)
    start = rates.START_S["gpu" if instance.gpu else "cpu"]
    yield PartTime(name="start", seconds=start.value, rate=start)
    fetching = exactly(recorded.fetched_gb * MB_PER_GB)
    yield PartTime(
        name="fetch",
        seconds=(fetching / machine.network_mb_s).at_least(fetching / machine.disk_mb_s),
        rate=rates.TRANSFER,
    )
    samples = recorded.samples_gb
    yield machine.on_cpu("preprocess", rates.PREPROCESSING, samples, PASSES["preprocess"])
    for sorter in sorters:
        yield _sorting(machine, samples, sorter)
        yield machine.on_cpu(f"analyze {sorter}", rates.ANALYSIS, samples, PASSES["analyze"])
        results = rates.RESULTS.value * samples * MB_PER_GB
        yield PartTime(
            name=f"publish {sorter}", seconds=results / machine.network_mb_s, rate=rates.RESULTS
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Machine:
    """What an instance gives to a job."""

    gpu: str | None
    busy_cpus: Interval
    network_mb_s: Interval
    disk_mb_s: Interval

    @classmethod
    def of(cls, instance: Instance, scratch: Scratch) -> _Machine:
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
        """A part that computes on all CPUs, and is not done before its samples have been read."""
        fixed, per_gb = figures
        computing = (fixed.value + per_gb.value * samples) / self.busy_cpus
        seconds = computing.at_least(self.reading(samples, passes))
        return PartTime(name=name, seconds=seconds, rate=per_gb)

    def reading(self, samples: Interval, passes: int) -> Interval:
        """The time for reading all samples so often."""
        return samples * (passes * MB_PER_GB) / self.disk_mb_s


def _volume_mb_s(instance: Instance) -> Interval:
    volume, always = rates.EBS.value, instance.ebs_mb_s
    return Interval(
        min(volume.low, always),
        min(volume.likely, always),
        min(volume.high, instance.ebs_burst_mb_s),
    )


def _sorting(machine: _Machine, samples: Interval, sorter: str) -> PartTime:
    name = f"sort with {sorter}"
    if sorter not in rates.NEED_GPU:
        return machine.on_cpu(name, rates.CPU_SORTERS[sorter], samples, PASSES["sort"])
    # without a GPU the job cannot run, which is told apart: here it is as on the slowest one
    rate = rates.KILOSORT4[machine.gpu or rates.SLOWEST_GPU]
    computing = rates.KILOSORT4_FIXED.value + rate.value * samples
    seconds = computing.at_least(machine.reading(samples, PASSES["sort"]))
    return PartTime(name=name, seconds=seconds, rate=rate)
