"""`session.html`: the streams of a session side by side, their clocks and their events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spikeinterface_cloud.recording.messages import list_first
from spikeinterface_cloud.report.axis import spanning
from spikeinterface_cloud.report.colors import BLUE, GREEN, GREY, ORANGE, SKY_BLUE, VERMILLION
from spikeinterface_cloud.report.plot import Figure, Plot, legend
from spikeinterface_cloud.report.render import write_html
from spikeinterface_cloud.runtime.logging import counted, format_seconds
from spikeinterface_cloud.session.clock import SessionClock
from spikeinterface_cloud.session.page_rows import (
    NOT_KNOWN,
    ClockRow,
    LineRow,
    Record,
    StreamRow,
    clock_rows,
    line_rows,
    stream_row,
    total_cost,
)

#: of the lines of streams; more streams begin again, with another mark
STYLES = [
    (color, shape)
    for shape in ("circle", "square", "triangle")
    for color in (BLUE, VERMILLION, GREEN, ORANGE, SKY_BLUE, GREY)
]

NO_CLOCK = "No clock was chosen (CLOCK=none), so the times of each stream are on its own clock."


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionPage:
    """The data of the template."""

    title: str
    status: str
    error: str | None
    tiles: Mapping[str, str]
    streams: Sequence[StreamRow]
    #: the stream that the others were aligned to
    reference: str | None
    clocks: Sequence[ClockRow]
    #: why no clock was aligned
    no_clock: str | None
    figures: Sequence[Figure]
    lines: Sequence[LineRow]
    notes: Sequence[str]
    #: names of files beside the page
    files: Sequence[str]


def write_page(
    file: Path,
    *,
    title: str,
    records: Mapping[str, Record | str],
    clock: SessionClock | None,
    events: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    failures: Sequence[str] = (),
    files: Sequence[str] = (),
) -> Path:
    """Write the page of a session, and return its file.

    Parameters
    ----------
    records
        `run.json` of each stream, by its folder beside the page's, or why there is none
    events
        the rows of `events.csv`
    notes
        what you should know of the session as a whole, a sentence each
    failures
        what could not be gathered, and why
    files
        the names of the other results beside the page
    """
    streams = [stream_row(stream, record) for stream, record in records.items()]
    failed = [row.stream for row in streams if row.status != "succeeded"]
    page = SessionPage(
        title=title,
        status="failed" if failed or failures else "succeeded",
        error=_error(failed, len(streams), failures),
        tiles=_tiles(
            streams, [{} if isinstance(record, str) else record for record in records.values()]
        ),
        streams=streams,
        reference=clock.reference if clock else None,
        clocks=clock_rows(clock) if clock else [],
        no_clock=NO_CLOCK if clock is None or clock.reference is None else None,
        figures=_drift_figure(clock) if clock else [],
        lines=line_rows(events) if events is not None and len(events) else [],
        notes=notes,
        files=files,
    )
    return write_html(file, "session.html", page)


def _error(failed: Sequence[str], n_streams: int, failures: Sequence[str]) -> str | None:
    errors = list(failures)
    if failed:
        names = ", ".join(failed)
        errors.insert(
            0, f"{len(failed)} of {counted(n_streams, 'stream')} did not succeed: {names}"
        )
    return "; ".join(errors) or None


def _tiles(streams: Sequence[StreamRow], records: Sequence[Record]) -> dict[str, str]:
    tiles = {"streams": str(len(streams))}
    durations = [(record.get("recording") or {}).get("duration_s") for record in records]
    if known := [each for each in durations if each is not None]:
        tiles["recorded"] = format_seconds(max(known))
    n_units: dict[str, int] = {}
    for row in streams:
        for run in row.sorters:
            n_units[run.sorter] = n_units.get(run.sorter, 0) + run.n_units
    tiles |= {sorter: counted(number, "unit") for sorter, number in n_units.items()}
    seconds = [(record.get("cost") or {}).get("seconds") or 0.0 for record in records]
    tiles["jobs together"] = format_seconds(sum(seconds))
    unknown = [row.stream for row in streams if row.cost in ("", NOT_KNOWN)]
    if len(unknown) < len(streams):
        cost = f"{NOT_KNOWN} for {list_first(unknown)}" if unknown else total_cost(records)
        tiles["cost of the streams"] = cost
    return tiles


def _drift_figure(clock: SessionClock) -> list[Figure]:
    """Plot how far each clock has drifted from the reference since its start."""
    drifts = {
        stream: (each.own_s, each.reference_s - each.own_s)
        for stream, each in clock.streams.items()
        if each.status == "aligned" and len(each.own_s) > 1
    }
    if not drifts:
        return []
    lines = {
        stream: (own_s / 60.0, 1000.0 * (ahead_s - ahead_s[0]))
        for stream, (own_s, ahead_s) in drifts.items()
    }
    plot = Plot(
        spanning("time of the stream (minutes)", np.concatenate([x for x, _ in lines.values()])),
        spanning("reference ahead (ms)", np.concatenate([y for _, y in lines.values()])),
        height=260,
    )
    for (x, y), style in zip(lines.values(), STYLES, strict=False):
        plot.line(x, y, style[0], 1.5)
    return [
        Figure(
            title="Drift of the clocks",
            plot=plot.draw("Drift of the clock of each stream against the reference"),
            caption=f"How far {clock.reference} has advanced more than each stream since the "
            "stream's start.",
            legend=tuple(
                legend(stream, style) for stream, style in zip(lines, STYLES, strict=False)
            ),
        )
    ]
