"""Whether a job can run on an instance, and what stands against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from spikeinterface_cloud.aws.estimate.instances import Instance
from spikeinterface_cloud.aws.estimate.interval import Interval, exactly, total
from spikeinterface_cloud.aws.estimate.rates import (
    BASE_MEMORY_GIB,
    MEMORY,
    MEMORY_OF_INSTANCE,
    NEED_GPU,
)
from spikeinterface_cloud.aws.estimate.workload import Recorded

Scratch = Literal["nvme", "ebs"]

#: what is fetched, and what is written besides, by what there is of samples: together the 2.3 times
#: that the job asks for before it fetches anything (preflight.py)
FETCHED_FACTOR = 1.0
WRITTEN_FACTOR = 1.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How a job and an instance go together."""

    #: why it cannot run there; empty where it can
    obstacles: tuple[str, ...]
    #: what may go wrong all the same, and what is paid for without use
    remarks: tuple[str, ...]


def fit(
    instance: Instance, recordings: Sequence[Recorded], sorters: Sequence[str], scratch: Scratch
) -> Fit:
    """Hold the recordings and sorters against what the instance has.

    Parameters
    ----------
    scratch
        `nvme`: the instance's own disks, where it has any; `ebs`: a volume as large as needed
    """
    obstacles = (
        *_missing_gpu(instance, sorters),
        *_small_disk(instance, recordings, scratch),
        *_small_memory(instance, recordings, sorters),
    )
    return Fit(obstacles=obstacles, remarks=tuple(_remarks(instance, recordings, sorters)))


def scratch_gb(recorded: Recorded) -> float:
    """The space on scratch that the job of a recording needs."""
    return recorded.fetched_gb * FETCHED_FACTOR + recorded.samples_gb.likely * WRITTEN_FACTOR


def has_nvme_scratch(instance: Instance, scratch: Scratch) -> bool:
    """Whether the job works on the instance's own disks, rather than on an EBS volume."""
    return scratch == "nvme" and instance.nvme_gb > 0


def memory_gib(recorded: Recorded, sorters: Sequence[str]) -> Interval:
    """The memory that the job of a recording needs: of all its parts the largest."""
    needed = Interval(0, 0, 0)
    for part in ("analysis", *sorters):
        if part in MEMORY:
            fixed, per_gb = MEMORY[part]
            needed = needed.at_least(fixed.value + per_gb.value * recorded.samples_gb)
    return total([exactly(BASE_MEMORY_GIB), needed])


def _missing_gpu(instance: Instance, sorters: Sequence[str]) -> Iterator[str]:
    needy = [name for name in sorters if name in NEED_GPU]
    if needy and instance.gpu is None:
        yield f"{' and '.join(needy)} {'needs' if len(needy) == 1 else 'need'} a GPU"


def _small_disk(
    instance: Instance, recordings: Sequence[Recorded], scratch: Scratch
) -> Iterator[str]:
    if not has_nvme_scratch(instance, scratch):
        return  # a volume is made as large as it has to be
    too_large = [each for each in recordings if scratch_gb(each) > instance.nvme_gb]
    if too_large:
        most = max(map(scratch_gb, too_large))
        yield (
            f"disk of {instance.nvme_gb} GB, {most:,.0f} GB needed (--scratch ebs)"
            f"{_how_many(too_large, recordings)}"
        )


def _small_memory(
    instance: Instance, recordings: Sequence[Recorded], sorters: Sequence[str]
) -> Iterator[str]:
    usable = instance.memory_gib * MEMORY_OF_INSTANCE
    needed = [memory_gib(each, sorters) for each in recordings]
    too_large = [each for each in needed if each.low > usable]
    if too_large:
        least = min(each.low for each in too_large)
        yield (
            f"memory of {instance.memory_gib} GiB, {least:.0f} GiB needed at the least"
            f"{_how_many(too_large, recordings)}"
        )


def _remarks(
    instance: Instance, recordings: Sequence[Recorded], sorters: Sequence[str]
) -> Iterator[str]:
    usable = instance.memory_gib * MEMORY_OF_INSTANCE
    most = max(memory_gib(each, sorters).high for each in recordings)
    if most > usable:
        yield f"memory may be short (up to {most:.0f} of {instance.memory_gib} GiB)"
    if not any(name in NEED_GPU for name in sorters):
        if instance.n_gpus:
            yield "its GPU is paid for without use"
    elif instance.n_gpus > 1:
        yield f"one of its {instance.n_gpus} GPUs is used"


def _how_many(some: Sequence[object], every: Sequence[object]) -> str:
    return "" if len(every) == 1 else f", for {len(some):,} of {len(every):,} recordings"
