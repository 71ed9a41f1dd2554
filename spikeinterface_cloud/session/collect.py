"""What is gathered of a session, in order: its clocks, events, NWB file and page."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from spikeinterface_cloud.config.event_lines import thresholds
from spikeinterface_cloud.errors import (
    RecordingError,
    SettingsError,
    SortingError,
    SourceError,
)
from spikeinterface_cloud.recording.sync.pulses import StreamLines
from spikeinterface_cloud.recording.sync.sync_line import SyncLine
from spikeinterface_cloud.results.layout import CLOCK_FILE, EVENTS_FILE, SESSION_PAGE, UNITS
from spikeinterface_cloud.results.tree import ResultsTree
from spikeinterface_cloud.session.clock import SessionClock, StreamClock
from spikeinterface_cloud.session.events import Events, read_events, write_events
from spikeinterface_cloud.session.line_files import fetch_line_files, has_ttl_events
from spikeinterface_cloud.session.nwb import StreamUnits, write_session_nwb
from spikeinterface_cloud.session.page import write_page
from spikeinterface_cloud.session.results import StreamResult
from spikeinterface_cloud.session.stream_clocks import align_streams, auxiliary_lines
from spikeinterface_cloud.session.streams import Session

logger = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Gathered:
    """What was gathered so far."""

    session: Session
    streams: list[StreamResult]
    #: where the results of the streams are
    tree: ResultsTree
    #: where what is gathered goes
    folder: Path
    scratch: Path
    clock: SessionClock | None = None
    events: Events | None = None
    #: beside `session.json`
    files: list[Path] = field(default_factory=list)
    #: what could not be gathered, though it was asked for
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))


def collect(gathered: Gathered) -> None:
    """Align the clocks, and write the events, the NWB file and the page."""
    if ignored := gathered.session.ignored:
        gathered.notes.append(f"taken for LFP, and not sorted: {', '.join(ignored)}")
    lines, sync = _read_lines(gathered)
    _align(gathered, sync)
    if lines:
        file = gathered.folder / EVENTS_FILE
        unaligned = SessionClock(reference=None, streams={})
        gathered.events = write_events(file, lines, gathered.clock or unaligned)
        gathered.files.append(file)
    if "nwb" in gathered.session.settings.exports:
        _write_nwb(gathered)
    _write_page(gathered)


def _read_lines(gathered: Gathered) -> tuple[dict[str, StreamLines], dict[str, SyncLine]]:
    """Fetch the streams that were not sorted, and read the lines and the sync line of each.

    The TTL events of sorted streams of Open Ephys are read as well.
    """
    settings, auxiliary = gathered.session.settings, gathered.session.auxiliary
    limits = thresholds(settings.events)
    lines: dict[str, StreamLines] = {}
    try:
        path = fetch_line_files(settings, auxiliary, gathered.scratch / "lines")
    except (RecordingError, SettingsError, SourceError) as error:
        _note(gathered, "the streams that are not sorted", error)
        return {}, {}
    if path is None:
        return {}, {}
    sync = auxiliary_lines(path, settings.reader, auxiliary, settings.clock_line, limits)
    with_ttl = gathered.session.streams if has_ttl_events(settings) else ()
    for stream in (*auxiliary, *with_ttl):
        try:
            lines |= read_events(path, settings.reader, {stream.folder: stream}, limits)
        except (RecordingError, SettingsError, SourceError) as error:
            _note(gathered, stream.folder, error)
    return lines, sync


def _note(gathered: Gathered, what: str, error: Exception) -> None:
    """Say in the record what could not be read; settings that name what is not there fail."""
    wrong = gathered.failures if isinstance(error, SettingsError) else gathered.notes
    wrong.append(f"{what} could not be read: {' '.join(str(error).split())}")
    logger.warning("%s", wrong[-1])


def _align(gathered: Gathered, sync: Mapping[str, SyncLine]) -> None:
    session = gathered.session
    if session.reference is None:
        return
    of_session = {each.stream.folder for each in gathered.streams if each.record is not None}

    def read(name: str) -> bytes | None:
        return gathered.tree.read(name) if name.partition("/")[0] in of_session else None

    gathered.clock = align_streams(session.streams, read, sync, session.reference)
    file = gathered.folder / CLOCK_FILE
    gathered.clock.write(file)
    gathered.files.append(file)


def _write_nwb(gathered: Gathered) -> None:
    """Write the units of all streams to one file; say in the record if that fails."""
    missing: dict[str, str] = {}
    for result in gathered.streams:
        missing |= _missing_units(result)
    try:
        file = write_session_nwb(
            gathered.folder / UNITS,
            {each.stream.folder: _units_of(each, gathered) for each in gathered.streams},
            reference=gathered.clock.reference if gathered.clock else None,
            missing=missing,
            events=gathered.events.table if gathered.events else None,
        )
    except (RecordingError, SortingError, SourceError) as error:
        gathered.failures.append(f"{UNITS}: {' '.join(str(error).split())}")
        logger.error("%s", gathered.failures[-1])
        return
    if file is not None:
        gathered.files.append(file)


def _units_of(result: StreamResult, gathered: Gathered) -> StreamUnits:
    folder = result.stream.folder
    exports = result.record.exports if result.record is not None else []
    files = {
        each.sorter: gathered.tree.fetch(f"{folder}/{each.path}", gathered.scratch)
        for each in exports
        if each.export == "nwb" and not each.error
    }
    clocks = gathered.clock.streams if gathered.clock else {}
    clock = clocks.get(folder, StreamClock(status="own", why="no clock was chosen"))
    return StreamUnits(files=files, clock=clock)


def _missing_units(result: StreamResult) -> dict[str, str]:
    """Return why the units of a stream, or of one of its sorters, are not in the file."""
    folder, record = result.stream.folder, result.record
    if record is None or not record.sorters:
        return {folder: result.error or result.status}
    missing = {
        f"{folder}/{run.sorter}": run.reason or run.outcome
        for run in record.sorters
        if run.outcome == "failed"
    }
    return missing | {
        f"{folder}/{each.sorter}": each.error
        for each in record.exports
        if each.export == "nwb" and each.error
    }


def _write_page(gathered: Gathered) -> None:
    settings = gathered.session.settings
    records = {
        result.stream.folder: (
            result.record.model_dump(mode="json") if result.record else str(result.missing)
        )
        for result in gathered.streams
    }
    table: pd.DataFrame | None = gathered.events.table if gathered.events else None
    file = write_page(
        gathered.folder / SESSION_PAGE,
        title=settings.run_identifier or str(settings.source),
        records=records,
        clock=gathered.clock,
        events=table,
        notes=gathered.notes,
        failures=gathered.failures,
        files=[each.name for each in gathered.files],
    )
    gathered.files.append(file)


def describe_clock(clock: StreamClock) -> dict[str, object]:
    """Return the entry of `session.json`: all but the mapping."""
    fields = asdict(clock)
    for name in ("own_s", "reference_s", "jumps"):
        del fields[name]
    return {**fields, "n_jumps": len(clock.jumps)}
