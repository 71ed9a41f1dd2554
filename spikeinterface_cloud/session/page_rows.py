"""What the page of a session says of each stream, clock and line, from their records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pandas as pd

from spikeinterface_cloud.errors import EXIT_CODES
from spikeinterface_cloud.report.colors import LABELS, label_style
from spikeinterface_cloud.report.plot import LegendEntry, legend
from spikeinterface_cloud.results.layout import REPORT
from spikeinterface_cloud.runtime.logging import format_seconds
from spikeinterface_cloud.session.clock import SessionClock, StreamClock

NO_LABEL = "unlabeled"

#: of a cost
NOT_KNOWN = "not known"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledUnits:
    """The units of a sorter with one label."""

    n_units: int
    color: str
    entry: LegendEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterRow:
    """One sorter of one stream."""

    sorter: str
    outcome: str
    n_units: int
    labels: Sequence[LabeledUnits] = ()
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamRow:
    """One stream, side by side with the others."""

    stream: str
    #: as in `run.json`, or `missing`
    status: str
    #: relative to the page; None where there are no results
    report: str | None = None
    probe: str = ""
    n_channels: str = ""
    recorded: str = ""
    seconds: str = ""
    cost: str = ""
    sorters: Sequence[SorterRow] = ()
    #: why it did not succeed
    error: str | None = None
    #: what the exit code means, and what to do
    advice: str | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockRow:
    """The clock of one stream beside the reference."""

    stream: str
    status: str
    drift: str = ""
    offset: str = ""
    pulses: str = ""
    residual_median: str = ""
    residual_max: str = ""
    why: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LineRow:
    """The pulses of one line of one stream."""

    stream: str
    line: str
    n_pulses: int
    first: str
    last: str
    duration: str
    clock: str


Record = Mapping[str, Any]


def stream_row(stream: str, record: Record | str) -> StreamRow:
    """Return the row of a stream by its `run.json`, or why it has none and what to do."""
    if isinstance(record, str):
        return StreamRow(stream=stream, status="missing", error=record)
    recording = record.get("recording") or {}
    preprocessing = record.get("preprocessing") or {}
    cost = record.get("cost") or {}
    return StreamRow(
        stream=stream,
        status=str(record.get("status", "failed")),
        report=f"../{quote(stream)}/{REPORT}",
        probe=", ".join(recording.get("probes", [])),
        n_channels=str(recording.get("n_channels", "")),
        recorded=format_seconds(recording.get("duration_s")),
        seconds=format_seconds(cost.get("seconds")),
        cost=_cost(cost),
        sorters=[_sorter_row(run) for run in record.get("sorters", [])],
        error=record.get("error"),
        advice=_advice(record.get("exit_code")),
        notes=[*recording.get("notes", []), *preprocessing.get("notes", [])],
    )


def _cost(cost: Record) -> str:
    if cost.get("usd") is not None:
        return f"{cost['usd']:.2f} USD"
    if cost.get("usd_at_most") is not None:
        return f"at most {cost['usd_at_most']:.2f} USD"
    return NOT_KNOWN


def total_cost(records: Sequence[Record]) -> str:
    """Return what the jobs of all streams cost, as far as that is known.

    >>> total_cost([{"cost": {"usd": 1.0}}, {"cost": {"usd": None, "usd_at_most": 0.5}}])
    'at most 1.50 USD'
    """
    costs = [record.get("cost") or {} for record in records]
    if costs and all(cost.get("usd") is not None for cost in costs):
        return _cost({"usd": sum(cost["usd"] for cost in costs)})
    limits = [
        cost.get("usd") if cost.get("usd_at_most") is None else cost["usd_at_most"]
        for cost in costs
    ]
    if costs and None not in limits:
        return _cost({"usd_at_most": sum(limits)})
    return NOT_KNOWN


def _advice(exit_code: int | None) -> str | None:
    if not exit_code:
        return None
    known = EXIT_CODES.get(exit_code)
    if known is None:
        return f"Exit code {exit_code}."
    return f"Exit code {exit_code}: {known.meaning}. To do: {known.remedy}."


def _sorter_row(run: Record) -> SorterRow:
    n_units = int(run.get("n_units", 0))
    labels = dict(run.get("labels") or {})
    unlabeled = n_units - sum(labels.values())
    shown = {label: labels[label] for label in [*LABELS, *labels] if labels.get(label)}
    if unlabeled > 0:
        shown[NO_LABEL] = unlabeled
    return SorterRow(
        sorter=str(run["sorter"]),
        outcome=str(run["outcome"]),
        n_units=n_units,
        labels=[
            LabeledUnits(
                n_units=number,
                color=label_style(label)[0],
                entry=legend(f"{number} {label}", label_style(label)),
            )
            for label, number in shown.items()
        ],
        reason=run.get("reason"),
    )


def clock_rows(clock: SessionClock) -> list[ClockRow]:
    """Return a row for each stream."""
    return [_clock_row(stream, each) for stream, each in clock.streams.items()]


def _clock_row(stream: str, clock: StreamClock) -> ClockRow:
    counted_pulses = clock.status != "reference" and clock.n_pulses
    return ClockRow(
        stream=stream,
        status=clock.status,
        drift=_number(clock.drift_ppm, "+.2f"),
        offset=_number(clock.offset_s, "+.4f"),
        pulses=f"{clock.n_used:,} of {clock.n_pulses:,}" if counted_pulses else "",
        residual_median=_number(clock.residual_ms_median, ".3f"),
        residual_max=_number(clock.residual_ms_max, ".3f"),
        why=clock.why,
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def line_rows(events: pd.DataFrame) -> list[LineRow]:
    """Return a row for each line with pulses, by the rows of `events.csv`."""
    return [
        LineRow(
            stream=str(stream),
            line=str(line),
            n_pulses=len(pulses),
            first=f"{pulses['time_s'].min():.3f}",
            last=f"{pulses['time_s'].max():.3f}",
            duration=_duration(pulses["duration_s"].median()),
            clock=str(clock),
        )
        for (stream, line, clock), pulses in events.groupby(["stream", "line", "clock"], sort=False)
    ]


def _duration(seconds: float) -> str:
    return "" if pd.isna(seconds) else f"{1000 * seconds:.2f}"
