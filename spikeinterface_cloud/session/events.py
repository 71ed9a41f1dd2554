"""The events of a session: pulses on the lines of all its streams, on one clock."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spikeinterface_cloud.config.event_lines import Line, Threshold
from spikeinterface_cloud.recording.formats.session_streams import SessionStream
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.sync.digital_lines import read_lines
from spikeinterface_cloud.recording.sync.pulses import StreamLines
from spikeinterface_cloud.session.clock import SessionClock, StreamClock

logger = logging.getLogger(__name__)

#: to the microsecond, which is less than a sample
FORMATS = {"time_s": "%.6f", "duration_s": "%.6f", "own_time_s": "%.6f"}

COLUMNS = ("time_s", "duration_s", "stream", "line", "own_time_s", "clock")


@dataclass(frozen=True, kw_only=True, slots=True)
class Events:
    """The pulses of a session."""

    #: of `COLUMNS`: those on the reference clock first, in order of time
    table: pd.DataFrame
    #: lines that were left out, pulses without a start or an end, a sentence each
    notes: Sequence[str] = ()

    def describe(self) -> dict[str, Any]:
        """Return the entries of `session.json`."""
        counts = self.table.groupby(["stream", "line"], sort=False).size()
        per_line = [
            {"stream": stream, "line": line, "n": int(n)} for (stream, line), n in counts.items()
        ]
        return {"n": len(self.table), "lines": per_line, "notes": list(self.notes)}


def read_events(
    path: Path,
    data_type: str,
    streams: Mapping[str, SessionStream],
    thresholds: Mapping[Line, Threshold],
) -> dict[str, StreamLines]:
    """Read the lines of streams from their files.

    Parameters
    ----------
    path
        the folder of the session, with all files of these streams
    data_type
        the reader
    streams
        by the name that they have in the session's clock
    thresholds
        of the analog inputs that count as lines

    Raises
    ------
    SettingsError
        if EVENTS names an input that is not there, or a voltage that it cannot reach
    """
    found = {}
    for name, stream in streams.items():
        own = {line.line: each for line, each in thresholds.items() if stream.is_named(line.stream)}
        recording = open_recording(path, data_type, stream.kwargs)
        found[name] = read_lines(recording, own)
    return found


def write_events(file: Path, streams: Mapping[str, StreamLines], clock: SessionClock) -> Events:
    """Write the pulses of all lines to `file` as CSV, on the reference clock of the session.

    Those of a stream that is not aligned keep its own times, and `clock` names the stream.

    Parameters
    ----------
    streams
        the lines of each stream, by its name in `clock`
    """
    events = collect_events(streams, clock)
    for note in events.notes:
        logger.warning("events: %s", note)
    _as_text(events.table).to_csv(file, index=False)
    logger.info("events: %d pulses on %d lines", len(events.table), _n_lines(events.table))
    return events


def collect_events(streams: Mapping[str, StreamLines], clock: SessionClock) -> Events:
    """Return the pulses of all lines, on the reference clock where their stream is aligned."""
    tables, notes = [], []
    for stream, lines in streams.items():
        own = clock.streams.get(stream, StreamClock(status="own"))
        name = stream if own.status == "own" or clock.reference is None else clock.reference
        notes += [f"{stream}: {note}" for note in lines.notes]
        for line, edges in lines.lines.items():
            notes += [f"{stream}: {note}" for note in edges.notes()]
            pulses = edges.pulses
            begins_s = own.to_reference(pulses.rising_s)
            ends_s = own.to_reference(pulses.rising_s + pulses.duration_s)
            columns = {
                "time_s": begins_s,
                "duration_s": ends_s - begins_s,
                "stream": stream,
                "line": line,
                "own_time_s": pulses.rising_s,
                "clock": name,
            }
            tables.append(pd.DataFrame(columns, columns=list(COLUMNS)))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
    on_reference = table["clock"] == (clock.reference or "")
    order = table.assign(own=~on_reference, of=table["clock"].where(~on_reference, ""))
    order = order.sort_values(["own", "of", "time_s"], kind="stable")
    return Events(table=table.loc[order.index].reset_index(drop=True), notes=notes)


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with times as text; an unknown duration is empty."""
    texts = {
        name: ["" if np.isnan(value) else text % value for value in table[name].astype("float64")]
        for name, text in FORMATS.items()
    }
    return table.assign(**texts)


def _n_lines(table: pd.DataFrame) -> int:
    return len(table[["stream", "line"]].drop_duplicates())
