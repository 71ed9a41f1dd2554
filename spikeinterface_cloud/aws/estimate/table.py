"""Estimates as a table for people, and as values for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from spikeinterface_cloud.aws.estimate.cost import Estimate, Work, result_storage
from spikeinterface_cloud.aws.estimate.interval import Interval, total
from spikeinterface_cloud.aws.estimate.price_list import PriceList
from spikeinterface_cloud.aws.estimate.rates import SPOT_PART_OF_ON_DEMAND
from spikeinterface_cloud.aws.estimate.workload import Recorded

HEADS = ("instance", "GPU", "hours", "USD on demand", "USD on Spot", "")

IMPOSSIBLE = "cannot run it"


def estimate_text(estimates: Sequence[Estimate], work: Work, prices: PriceList) -> str:
    """The table, the parts of the cheapest possible job, and where the figures are from."""
    lines = [_title(work), "", *_aligned([HEADS, *map(_row, estimates)])]
    possible = [each for each in estimates if each.possible]
    if possible:
        lines += ["", *_parts(possible[0])]
    lines += ["", *_remarks(estimates, work, prices)]
    return "\n".join(lines)


def estimate_values(estimates: Sequence[Estimate], work: Work, prices: PriceList) -> dict[str, Any]:
    """What `--json` says: everything of the text, and the parts of the job on every instance."""
    size_gb, usd_a_month = result_storage(work)
    return {
        "recordings": [_recording_values(each) for each in work.recordings],
        "sorters": list(work.sorters),
        "scratch": work.scratch,
        "prices": {
            "region": prices.region,
            "asOf": None if prices.as_of is None else prices.as_of.isoformat(),
            "source": prices.source,
            "notes": list(prices.notes),
        },
        "results": {"gb": _span_values(size_gb), "usdAMonth": _span_values(usd_a_month)},
        "instances": [_estimate_values(each, prices) for each in estimates],
    }


def _title(work: Work) -> str:
    sorters = ", ".join(work.sorters)
    fetched_gb = sum(each.fetched_gb for each in work.recordings)
    first = work.recordings[0]
    of_channels = f"of {first.channels:,} channels at {first.sampling_rate_hz / 1000:g} kHz"
    hours = total(each.duration_s for each in work.recordings) / 3600
    n_recordings = len(work.recordings)
    what = first.label if n_recordings == 1 else f"{n_recordings:,} recordings"
    return (
        f"{what}: {_number(fetched_gb)} GB, {_shown(hours)} hours {of_channels}; sorted with "
        f"{sorters}"
    )


def _row(estimate: Estimate) -> tuple[str, ...]:
    instance = estimate.instance
    gpu = instance.gpu or "-"
    if not estimate.possible:
        return (
            instance.name, gpu, "-", "-", "-", f"{IMPOSSIBLE}: {'; '.join(estimate.fit.obstacles)}"
        )  # fmt: skip
    return (
        instance.name,
        gpu,
        _shown(estimate.hours),
        _shown(estimate.on_demand_usd, _usd),
        _shown(estimate.spot_usd, _usd),
        "; ".join(estimate.fit.remarks),
    )


def _parts(estimate: Estimate) -> Iterator[str]:
    yield f"on {estimate.instance.name}, in minutes, and where the figure is from:"
    yield from _aligned(
        [
            (
                f"  {part.name}",
                _shown(part.seconds / 60),
                f"{part.rate.origin}, {part.rate.as_of}: {part.rate.source}",
            )
            for part in estimate.parts
        ]
    )


def _remarks(estimates: Sequence[Estimate], work: Work, prices: PriceList) -> Iterator[str]:
    size_gb, usd_a_month = result_storage(work)
    of_prices = f"{prices.source}" + (f" ({prices.as_of})" if prices.as_of else "")
    yield "In brackets: from the least to the most, if everything goes well, or everything badly."
    yield f"Prices an hour in {prices.region}: {of_prices}."
    if any(each.instance.name not in prices.spot for each in estimates):
        part = _shown(SPOT_PART_OF_ON_DEMAND.value)
        yield f"Spot is taken to ask for {part} of that, where --prices gives no price of Spot."
    yield (
        f"The results, {_shown(size_gb)} GB, cost {_shown(usd_a_month, _usd)} USD a month on S3. "
        "Volumes are in; attempts that Spot breaks off, tax, and transfer between regions are not."
    )
    if len(work.recordings) > 1:
        yield "Each recording is a job with an instance of its own; the hours are those of all."
    yield from (f"{note[:1].upper()}{note[1:]}." for note in prices.notes)


def _recording_values(recorded: Recorded) -> dict[str, Any]:
    return {
        "label": recorded.label,
        "fetchedGb": _rounded(recorded.fetched_gb),
        "samplesGb": _span_values(recorded.samples_gb),
        "seconds": _span_values(recorded.duration_s),
        "channels": recorded.channels,
        "samplingRateHz": recorded.sampling_rate_hz,
    }


def _estimate_values(estimate: Estimate, prices: PriceList) -> dict[str, Any]:
    name = estimate.instance.name
    return {
        "instanceType": name,
        "gpu": estimate.instance.gpu,
        "possible": estimate.possible,
        "obstacles": list(estimate.fit.obstacles),
        "remarks": list(estimate.fit.remarks),
        "hours": _span_values(estimate.hours),
        "longestJobHours": _span_values(estimate.longest_hours),
        "onDemandUsd": _span_values(estimate.on_demand_usd),
        "spotUsd": _span_values(estimate.spot_usd),
        "onDemandUsdPerHour": prices.on_demand[name],
        "spotUsdAnHour": _span_values(prices.spot_usd_per_hour(name)),
        "parts": [
            {
                "name": part.name,
                "seconds": _span_values(part.seconds),
                "rate": {
                    "value": _span_values(part.rate.value),
                    "unit": part.rate.unit,
                    "origin": part.rate.origin,
                    "asOf": part.rate.as_of.isoformat(),
                    "source": part.rate.source,
                },
            }
            for part in estimate.parts
        ],
    }


def _span_values(span: Interval) -> dict[str, float]:
    return {
        "low": _rounded(span.low), "likely": _rounded(span.likely), "high": _rounded(span.high)
    }  # fmt: skip


def _rounded(figure: float) -> float:
    return float(f"{figure:.4g}")


def _number(figure: float) -> str:
    """A number of two or three digits, as no more are known.

    >>> _number(0.0321), _number(1.46), _number(12.34), _number(1234.5)
    ('0.03', '1.5', '12', '1,234')
    """
    if figure < 1:
        return f"{figure:.2f}"
    return f"{figure:.1f}" if figure < 10 else f"{figure:,.0f}"


def _usd(figure: float) -> str:
    return f"{figure:.2f}" if figure < 100 else f"{figure:,.0f}"


def _shown(span: Interval, write: Callable[[float], str] = _number) -> str:
    """A figure with its range in brackets, where it has one."""
    if span.low == span.high:
        return write(span.likely)
    return f"{write(span.likely)} ({write(span.low)}-{write(span.high)})"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
