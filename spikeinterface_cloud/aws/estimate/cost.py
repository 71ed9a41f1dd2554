"""What recordings cost on each instance type, and how long they take there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from spikeinterface_cloud.aws.estimate import rates
from spikeinterface_cloud.aws.estimate.duration import PartTime, job_times
from spikeinterface_cloud.aws.estimate.fit import Fit, Scratch, fit, has_nvme_scratch, scratch_gb
from spikeinterface_cloud.aws.estimate.instances import Instance
from spikeinterface_cloud.aws.estimate.interval import Interval, total
from spikeinterface_cloud.aws.estimate.price_list import PriceList
from spikeinterface_cloud.aws.estimate.workload import Recorded
from spikeinterface_cloud.prices import (
    EBS_USD_PER_GB_MONTH,
    HOURS_PER_MONTH,
    S3_USD_PER_GB_MONTH,
)

HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """All recordings on one instance type, each as a job with an instance of its own."""

    instance: Instance
    fit: Fit
    #: of all jobs together, part by part
    parts: tuple[PartTime, ...]
    #: of all jobs together
    hours: Interval
    #: of the job that takes longest
    longest_hours: Interval
    #: instances and their volumes
    on_demand_usd: Interval
    spot_usd: Interval

    @property
    def possible(self) -> bool:
        """Whether the jobs can run there."""
        return not self.fit.obstacles


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What is to be done, whatever it is done on."""

    recordings: tuple[Recorded, ...]
    sorters: tuple[str, ...]
    scratch: Scratch


def estimate(work: Work, instances: Iterable[Instance], prices: PriceList) -> list[Estimate]:
    """Estimate the work on each of the instance types: the cheapest first, the impossible last."""
    found = [_on(instance, work, prices) for instance in instances]
    return sorted(found, key=lambda each: (not each.possible, each.on_demand_usd.likely))


def result_storage(work: Work) -> tuple[Interval, Interval]:
    """The results of all sorters in GB, and what S3 asks for them in USD a month."""
    samples = total(each.samples_gb for each in work.recordings)
    size_gb = rates.RESULTS.value * samples * len(work.sorters)
    return size_gb, size_gb * S3_USD_PER_GB_MONTH


def _on(instance: Instance, work: Work, prices: PriceList) -> Estimate:
    jobs = [
        job_times(instance, recorded, work.sorters, work.scratch) for recorded in work.recordings
    ]
    of_each = [total(part.seconds for part in parts) / HOUR_S for parts in jobs]
    hours = total(of_each)
    volumes_usd = total(
        each * _volume_usd_per_hour(instance, recorded, work.scratch)
        for each, recorded in zip(of_each, work.recordings, strict=True)
    )
    return Estimate(
        instance=instance,
        fit=fit(instance, work.recordings, work.sorters, work.scratch),
        parts=tuple(_together(same) for same in zip(*jobs, strict=True)),
        hours=hours,
        longest_hours=max(of_each, key=lambda each: each.likely),
        on_demand_usd=hours * prices.on_demand[instance.name] + volumes_usd,
        spot_usd=hours * prices.spot_usd_per_hour(instance.name) + volumes_usd,
    )


def _together(same: Sequence[PartTime]) -> PartTime:
    """One part of all jobs."""
    return replace(same[0], seconds=total(part.seconds for part in same))


def _volume_usd_per_hour(instance: Instance, recorded: Recorded, scratch: Scratch) -> float:
    """What the instance's volumes cost while it runs: that of its system, and scratch if on one."""
    size_gb = rates.ROOT_VOLUME_GB
    if not has_nvme_scratch(instance, scratch):
        size_gb += scratch_gb(recorded)
    return size_gb * EBS_USD_PER_GB_MONTH / HOURS_PER_MONTH
