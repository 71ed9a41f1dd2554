"""The cost and duration of jobs on each instance type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from spikeinterface_cloud.aws.estimate import rates
from spikeinterface_cloud.aws.estimate.duration import PartTime, job_times
from spikeinterface_cloud.aws.estimate.fit import (
    Scratch,
    fit,
    has_nvme_scratch,
    scratch_gb,
    timeout_remarks,
)
from spikeinterface_cloud.aws.estimate.interval import Interval, total
from spikeinterface_cloud.aws.estimate.price_list import PriceList
from spikeinterface_cloud.aws.estimate.workload import Workload
from spikeinterface_cloud.prices import (
    EBS_USD_PER_GB_MONTH,
    HOURS_PER_MONTH,
    S3_USD_PER_GB_MONTH,
    InstanceSpec,
)

HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """All recordings on one instance type, each as a job with its own instance."""

    instance: InstanceSpec
    #: why the jobs cannot run there; empty if they can
    obstacles: tuple[str, ...]
    #: what may still go wrong, and what is paid for without use
    remarks: tuple[str, ...]
    #: of all jobs together, part by part
    parts: tuple[PartTime, ...]
    #: of all jobs together
    hours: Interval
    #: of the longest job
    longest_hours: Interval
    #: instances and their volumes
    on_demand_usd: Interval
    spot_usd: Interval

    @property
    def possible(self) -> bool:
        """Whether the jobs can run there."""
        return not self.obstacles


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimateRequest:
    """The jobs to estimate: one for each recording, all with the same sorters."""

    workloads: tuple[Workload, ...]
    sorters: tuple[str, ...]
    scratch: Scratch


def estimate(
    request: EstimateRequest, instances: Iterable[InstanceSpec], prices: PriceList
) -> list[Estimate]:
    """Estimate the jobs on each instance type: the cheapest first, the impossible last."""
    estimates = [_on(instance, request, prices) for instance in instances]
    return sorted(estimates, key=lambda each: (not each.possible, each.on_demand_usd.likely))


def result_storage(request: EstimateRequest) -> tuple[Interval, Interval]:
    """Return the size of all results in GB, and their price on S3 in USD per month."""
    samples = total(each.samples_gb for each in request.workloads)
    size_gb = rates.RESULTS.value * samples * len(request.sorters)
    return size_gb, size_gb * S3_USD_PER_GB_MONTH


def _on(instance: InstanceSpec, request: EstimateRequest, prices: PriceList) -> Estimate:
    jobs = [
        job_times(instance, each, request.sorters, request.scratch) for each in request.workloads
    ]
    job_hours = [total(part.seconds for part in parts) / HOUR_S for parts in jobs]
    hours = total(job_hours)
    volumes_usd = total(
        each * _volume_usd_per_hour(instance, workload, request.scratch)
        for each, workload in zip(job_hours, request.workloads, strict=True)
    )
    obstacles, remarks = fit(instance, request.workloads, request.sorters, request.scratch)
    return Estimate(
        instance=instance,
        obstacles=obstacles,
        remarks=(*remarks, *timeout_remarks(job_hours)),
        parts=tuple(
            replace(same[0], seconds=total(part.seconds for part in same))
            for same in zip(*jobs, strict=True)
        ),
        hours=hours,
        longest_hours=max(job_hours, key=lambda each: each.likely),
        on_demand_usd=hours * prices.on_demand[instance.name] + volumes_usd,
        spot_usd=hours * prices.spot_usd_per_hour(instance.name) + volumes_usd,
    )


def _volume_usd_per_hour(instance: InstanceSpec, workload: Workload, scratch: Scratch) -> float:
    """Return the price of the instance's volumes: the root volume, and scratch if on EBS."""
    size_gb = rates.ROOT_VOLUME_GB
    if not has_nvme_scratch(instance, scratch):
        size_gb += scratch_gb(workload)
    return size_gb * EBS_USD_PER_GB_MONTH / HOURS_PER_MONTH
