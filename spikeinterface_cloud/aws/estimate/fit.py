"""Whether a job can run on an instance type, and the obstacles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from spikeinterface_cloud.aws.estimate.interval import Interval
from spikeinterface_cloud.aws.estimate.rates import MEMORY_OF_INSTANCE
from spikeinterface_cloud.aws.estimate.workload import GB, Workload
from spikeinterface_cloud.aws.infra.template import default_number
from spikeinterface_cloud.config.catalog.snapshot import needs_gpu
from spikeinterface_cloud.prices import InstanceSpec
from spikeinterface_cloud.runtime.disk import WRITTEN_FACTOR
from spikeinterface_cloud.runtime.host import BASE_MEMORY_BYTES, WORKER_MEMORY_BYTES
from spikeinterface_cloud.runtime.memory_estimate import (
    ERROR_FACTOR,
    SAMPLE_BYTES,
    extent_of_recording,
    job_bytes,
)

#: where the job works: on the instance store disks if there are any, or on a volume as large as
#: needed
Scratch = Literal["nvme", "ebs"]

GIB = 1024**3


def fit(
    instance: InstanceSpec, workloads: Sequence[Workload], sorters: Sequence[str], scratch: Scratch
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the obstacles and remarks of `Estimate`."""
    usable = usable_memory_gib(instance)
    needed = [memory_gib(instance, each, sorters) for each in workloads]
    on_gpu = [name for name in sorters if needs_gpu(name, {})]
    obstacles = (
        *_missing_gpu(instance, on_gpu),
        *_small_disk(instance, workloads, scratch),
        *_small_memory(instance, needed, usable),
    )
    remarks: list[str] = []
    most = max(each.high for each in needed)
    if most > usable:
        remarks.append(f"memory may be short (up to {most:.0f} of {instance.memory_gib} GiB)")
    remarks += _memory_to_request(instance, workloads, sorters, usable, on_gpu=bool(on_gpu))
    if instance.n_gpus and not on_gpu:
        remarks.append("its GPU is paid for but not used")
    elif instance.n_gpus > 1:
        remarks.append(f"one of its {instance.n_gpus} GPUs is used")
    return obstacles, tuple(remarks)


def timeout_remarks(job_hours: Sequence[Interval]) -> tuple[str, ...]:
    """Return the remark on jobs that may take longer than an attempt of the stack's jobs."""
    most = max(each.high for each in job_hours)
    limit = default_number("JobTimeoutSeconds") / 3600
    if most <= limit:
        return ()
    hours = math.ceil(most)
    return (f"may take {hours:,} h, but ends after {limit:g} h: submit with --timeout {hours}h",)


def scratch_gb(workload: Workload) -> float:
    """Return the scratch space that the job of a recording needs."""
    return workload.fetched_gb + workload.samples_gb.likely * WRITTEN_FACTOR


def has_nvme_scratch(instance: InstanceSpec, scratch: Scratch) -> bool:
    """Return whether the job works on instance store disks rather than on an EBS volume."""
    return scratch == "nvme" and instance.nvme_gb > 0


def usable_memory_gib(instance: InstanceSpec) -> float:
    """Return the memory that a job gets on this instance type."""
    return instance.memory_gib * MEMORY_OF_INSTANCE


def memory_gib(instance: InstanceSpec, workload: Workload, sorters: Sequence[str]) -> Interval:
    """Return the memory that the job needs: it refuses to run below `low`, and warns below `high`.

    These are the job's own bounds (`runtime/memory_estimate.py`).
    """
    return _memory_gib(workload, sorters, instance.vcpus, usable_memory_gib(instance))


def _memory_gib(
    workload: Workload, sorters: Sequence[str], vcpus: int, usable_gib: float
) -> Interval:
    spare = usable_gib * GIB - BASE_MEMORY_BYTES
    n_workers = max(1, min(vcpus, int(spare // WORKER_MEMORY_BYTES)))
    channels, rate_hz = workload.channels, workload.sampling_rate_hz

    def needed(samples_gb: float) -> float:
        duration_s = samples_gb * GB / (channels * rate_hz * SAMPLE_BYTES)
        extent = extent_of_recording(channels, duration_s, rate_hz)
        return job_bytes(sorters, extent, n_workers) / GIB

    samples = workload.samples_gb
    return Interval(
        needed(samples.low) / ERROR_FACTOR, needed(samples.likely), needed(samples.high)
    )


def _missing_gpu(instance: InstanceSpec, on_gpu: Sequence[str]) -> Iterator[str]:
    if on_gpu and instance.gpu is None:
        yield f"{' and '.join(on_gpu)} {'needs' if len(on_gpu) == 1 else 'need'} a GPU"


def _small_disk(
    instance: InstanceSpec, workloads: Sequence[Workload], scratch: Scratch
) -> Iterator[str]:
    if not has_nvme_scratch(instance, scratch):
        return  # a volume is as large as it has to be
    too_large = [size for size in map(scratch_gb, workloads) if size > instance.nvme_gb]
    if too_large:
        yield (
            f"disk of {instance.nvme_gb} GB, {max(too_large):,.0f} GB needed (--scratch ebs)"
            f"{_count(too_large, workloads)}"
        )


def _small_memory(
    instance: InstanceSpec, needed: Sequence[Interval], usable: float
) -> Iterator[str]:
    too_large = [each.low for each in needed if each.low > usable]
    if too_large:
        yield (
            f"memory of {instance.memory_gib} GiB ({usable:.1f} usable), at least "
            f"{min(too_large):.1f} GiB needed{_count(too_large, needed)}"
        )


def _memory_to_request(
    instance: InstanceSpec,
    workloads: Sequence[Workload],
    sorters: Sequence[str],
    usable_gib: float,
    *,
    on_gpu: bool,
) -> Iterator[str]:
    """Yield the memory to request where the stack's jobs get less of the instance's than needed."""
    kind = "Job" if on_gpu else "CpuJob"
    vcpus = min(instance.vcpus, default_number(f"{kind}Vcpus"))
    default_gib = default_number(f"{kind}MemoryMiB") / 1024
    most = max(_memory_gib(each, sorters, vcpus, default_gib).high for each in workloads)
    request = min(math.ceil(most), int(usable_gib))
    if most > default_gib and request > default_gib:
        yield (
            f"may need {most:.0f} GiB, but gets {default_gib:.0f} GiB: submit with "
            f"--memory {request}GiB"
        )


def _count(part: Sequence[object], every: Sequence[object]) -> str:
    return "" if len(every) == 1 else f", for {len(part):,} of {len(every):,} recordings"
