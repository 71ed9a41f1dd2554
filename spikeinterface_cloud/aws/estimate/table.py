"""Estimates as a table for people, and as values for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from textwrap import indent
from typing import Any

from spikeinterface_cloud.aws.estimate.cost import Estimate, EstimateRequest, result_storage
from spikeinterface_cloud.aws.estimate.interval import Interval, total
from spikeinterface_cloud.aws.estimate.price_list import PriceList
from spikeinterface_cloud.aws.estimate.rates import SPOT_PART_OF_ON_DEMAND
from spikeinterface_cloud.aws.table import table

HEADERS = ("instance", "GPU", "hours", "USD on demand", "USD on Spot", "")

IMPOSSIBLE = "cannot run it"


def estimate_text(
    estimates: Sequence[Estimate], request: EstimateRequest, prices: PriceList
) -> str:
    """Return the table, the parts of the cheapest possible job, and the source of the figures."""
    lines = [_title(request), "", table([_row(each) for each in estimates], HEADERS)]
    if possible := [each for each in estimates if each.possible]:
        lines += ["", _parts(possible[0])]
    lines += ["", *_remarks(estimates, request, prices)]
    return "\n".join(lines)


def estimate_values(
    estimates: Sequence[Estimate], request: EstimateRequest, prices: PriceList
) -> dict[str, Any]:
    """Return the values of `--json`: all of the text, and the parts of the job on every type."""
    size_gb, usd_per_month = result_storage(request)
    return {
        "recordings": [
            {
                "label": workload.label,
                "fetchedGb": _rounded(workload.fetched_gb),
                "samplesGb": _interval_values(workload.samples_gb),
                "seconds": _interval_values(workload.duration_s),
                "channels": workload.channels,
                "samplingRateHz": workload.sampling_rate_hz,
            }
            for workload in request.workloads
        ],
        "sorters": list(request.sorters),
        "scratch": request.scratch,
        "prices": {
            "region": prices.region,
            "asOf": None if prices.as_of is None else prices.as_of.isoformat(),
            "source": prices.source,
            "notes": list(prices.notes),
        },
        "results": {
            "gb": _interval_values(size_gb),
            "usdPerMonth": _interval_values(usd_per_month),
        },
        "instances": [_estimate_values(each, prices) for each in estimates],
    }


def _title(request: EstimateRequest) -> str:
    first = request.workloads[0]
    n_recordings = len(request.workloads)
    what = first.label if n_recordings == 1 else f"{n_recordings:,} recordings"
    fetched_gb = sum(each.fetched_gb for each in request.workloads)
    hours = total(each.duration_s for each in request.workloads) / 3600
    return (
        f"{what}: {_number(fetched_gb)} GB, {_format(hours)} hours of {first.channels:,} channels "
        f"at {first.sampling_rate_hz / 1000:g} kHz; sorted with {', '.join(request.sorters)}"
    )


def _row(estimate: Estimate) -> tuple[str, ...]:
    instance = estimate.instance
    gpu = instance.gpu or "-"
    if not estimate.possible:
        why = f"{IMPOSSIBLE}: {'; '.join(estimate.obstacles)}"
        return instance.name, gpu, "-", "-", "-", why
    return (
        instance.name,
        gpu,
        _format(estimate.hours),
        _format(estimate.on_demand_usd, _usd),
        _format(estimate.spot_usd, _usd),
        "; ".join(estimate.remarks),
    )


def _parts(estimate: Estimate) -> str:
    rows = [
        (
            part.name,
            _format(part.seconds / 60),
            f"{part.rate.origin}, {part.rate.as_of}: {part.rate.source}",
        )
        for part in estimate.parts
    ]
    title = f"on {estimate.instance.name}, in minutes, with the source of the figure:"
    return f"{title}\n{indent(table(rows), '  ')}"


def _remarks(
    estimates: Sequence[Estimate], request: EstimateRequest, prices: PriceList
) -> Iterator[str]:
    size_gb, usd_per_month = result_storage(request)
    as_of = f" ({prices.as_of})" if prices.as_of else ""
    yield "In brackets: the range from the best to the worst case."
    yield f"Prices per hour in {prices.region}: {prices.source}{as_of}."
    if any(each.instance.name not in prices.spot for each in estimates):
        part = _format(SPOT_PART_OF_ON_DEMAND.value)
        yield f"Spot is assumed to cost {part} of that, unless --prices gives a Spot price."
    yield (
        f"The results, {_format(size_gb)} GB, cost {_format(usd_per_month, _usd)} USD per month on "
        "S3. Volumes are included; attempts that Spot interrupts, tax, and transfer between "
        "regions are not."
    )
    if len(request.workloads) > 1:
        yield "Each recording is a job with its own instance; the hours are their sum."
    yield from (f"{note[:1].upper()}{note[1:]}." for note in prices.notes)


def _estimate_values(estimate: Estimate, prices: PriceList) -> dict[str, Any]:
    name = estimate.instance.name
    return {
        "instanceType": name,
        "gpu": estimate.instance.gpu,
        "possible": estimate.possible,
        "obstacles": list(estimate.obstacles),
        "remarks": list(estimate.remarks),
        "hours": _interval_values(estimate.hours),
        "longestJobHours": _interval_values(estimate.longest_hours),
        "onDemandUsd": _interval_values(estimate.on_demand_usd),
        "spotUsd": _interval_values(estimate.spot_usd),
        "onDemandUsdPerHour": prices.on_demand[name],
        "spotUsdPerHour": _interval_values(prices.spot_usd_per_hour(name)),
        "parts": [
            {
                "name": part.name,
                "seconds": _interval_values(part.seconds),
                "rate": {
                    "value": _interval_values(part.rate.value),
                    "unit": part.rate.unit,
                    "origin": part.rate.origin,
                    "asOf": part.rate.as_of.isoformat(),
                    "source": part.rate.source,
                },
            }
            for part in estimate.parts
        ],
    }


def _interval_values(interval: Interval) -> dict[str, float]:
    return {name: _rounded(figure) for name, figure in asdict(interval).items()}


def _rounded(figure: float) -> float:
    return float(f"{figure:.4g}")


def _number(figure: float) -> str:
    """Write a number with two or three digits, as no more are known.

    >>> _number(0.0321), _number(1.46), _number(12.34), _number(1234.5)
    ('0.03', '1.5', '12', '1,234')
    """
    if figure < 1:
        return f"{figure:.2f}"
    return f"{figure:.1f}" if figure < 10 else f"{figure:,.0f}"


def _usd(figure: float) -> str:
    return f"{figure:.2f}" if figure < 100 else f"{figure:,.0f}"


def _format(interval: Interval, write: Callable[[float], str] = _number) -> str:
    """Write a figure with its range in brackets, if it has one."""
    if interval.low == interval.high:
        return write(interval.likely)
    return f"{write(interval.likely)} ({write(interval.low)}-{write(interval.high)})"
