"""`session/units.nwb`: the units of all streams and sorters in one file, on one clock."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import h5py
import pandas as pd
from pynwb.event import DurationVectorData, EventsTable, TimestampVectorData

from spikeinterface_cloud.errors import RecordingError, SortingError
from spikeinterface_cloud.exports.nwb_file import make_nwbfile, write_nwbfile
from spikeinterface_cloud.exports.nwb_session import Session
from spikeinterface_cloud.exports.nwb_units import column
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.session.clock import StreamClock
from spikeinterface_cloud.session.nwb_electrodes import join_sessions, same_electrodes
from spikeinterface_cloud.session.nwb_read import SortedUnits, read_sorted_units
from spikeinterface_cloud.session.nwb_units import (
    fill_spike_times,
    have_same_waveforms,
    make_session_units,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamUnits:
    """The exported units of one stream."""

    #: `units.nwb` of each sorter that found units
    files: Mapping[str, Path]
    clock: StreamClock


def write_session_nwb(
    file: Path,
    streams: Mapping[str, StreamUnits],
    *,
    reference: str | None,
    missing: Mapping[str, str],
    events: pd.DataFrame | None = None,
) -> Path | None:
    """Write the file; None if no stream has units.

    Parameters
    ----------
    streams
        by their folders in the results of the session
    reference
        the stream whose clock the others were aligned to
    missing
        the reason, by what is not in the file: a stream, or `<stream>/<sorter>`
    events
        the rows of `events.csv`

    Raises
    ------
    RecordingError
        A file of a stream cannot be read.
    SortingError
        The files are not of the same session.
    UnavailableError
        The disk is full.
    """
    with ExitStack() as opened, room_for_results(file):
        sorted_units = [
            _open(opened, path, stream, sorter, units.clock)
            for stream, units in streams.items()
            for sorter, path in units.files.items()
        ]
        if not sorted_units:
            return None
        session, placed = join_sessions(_sessions(sorted_units))
        nwbfile = make_nwbfile(session, _programs(sorted_units))
        description = _describe(sorted_units, reference, missing)
        nwbfile.units = make_session_units(nwbfile, sorted_units, placed, reference, description)
        if events is not None and len(events):
            nwbfile.add_events_table(_events_table(events))
        write_nwbfile(nwbfile, session, file, lambda part: fill_spike_times(part, sorted_units))
    return file


def _open(
    opened: ExitStack, path: Path, stream: str, sorter: str, clock: StreamClock
) -> SortedUnits:
    try:
        return read_sorted_units(opened.enter_context(h5py.File(path, "r")), stream, sorter, clock)
    except Exception as error:  # a damaged file raises anything
        raise RecordingError(
            f"{path} cannot be read ({one_line(error)}); sort {stream} again with OVERWRITE=true"
        ) from error


def _sessions(sorted_units: Sequence[SortedUnits]) -> dict[str, Session]:
    """Return the session of each stream, which is the same in the files of all its sorters."""
    sessions: dict[str, Session] = {}
    for each in sorted_units:
        known = sessions.setdefault(each.stream, each.session)
        if not same_electrodes(known, each.session):
            raise SortingError(
                f"the sorters of {each.stream} were not given the same electrodes; sort it again "
                "with OVERWRITE=true"
            )
    return sessions


def _programs(sorted_units: Sequence[SortedUnits]) -> dict[str, str]:
    """Return the versions of the programs that made the files; several where they differ."""
    versions: dict[str, dict[str, None]] = {}
    for each in sorted_units:
        for program, version in each.programs.items():
            versions.setdefault(program, {})[version] = None
    return {program: ", ".join(found) for program, found in versions.items()}


def _describe(
    sorted_units: Sequence[SortedUnits], reference: str | None, missing: Mapping[str, str]
) -> str:
    clocks = {each.stream: each.clock for each in sorted_units}
    sentences = [f"{each.stream}/{each.sorter}: {each.description}" for each in sorted_units]
    if any(clock.status != "own" for clock in clocks.values()):
        sentences.append(f"Times are in seconds on the clock of {reference}")
    sentences += [
        f"{stream} is on its own clock: {clock.why}"
        for stream, clock in clocks.items()
        if clock.status == "own"
    ]
    if not have_same_waveforms(sorted_units):
        sentences.append(
            "Waveforms are in the files of the streams alone, as they differ in length or unit"
        )
    sentences += [f"Without {what}: {reason}" for what, reason in missing.items()]
    return " ".join(f"{sentence.rstrip('.')}." for sentence in sentences)


def _events_table(events: pd.DataFrame) -> EventsTable:
    ordered = events.sort_values("time_s", kind="stable")
    columns = [
        TimestampVectorData(
            name="timestamp",
            description="rising edge of the pulse, in seconds, on the clock that `clock` names",
            data=ordered["time_s"].to_numpy("float64"),
        ),
        DurationVectorData(
            name="duration",
            description="from the rising edge to the falling edge, in seconds; NaN: not known",
            data=ordered["duration_s"].to_numpy("float64"),
        ),
        column("stream", "the stream that recorded the line", list(ordered["stream"])),
        column("line", "the digital or analog line", list(ordered["line"])),
        column(
            "own_time",
            "the same edge on the clock of its stream, in seconds",
            ordered["own_time_s"].to_numpy("float64"),
        ),
        column("clock", "the stream on whose clock the time is", list(ordered["clock"])),
    ]
    return EventsTable(
        name="events",
        description="Pulses on the lines of the streams, as in events.csv.",
        columns=columns,
        colnames=[each.name for each in columns],
    )
