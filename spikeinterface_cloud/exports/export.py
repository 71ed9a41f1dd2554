"""The exports of each sorter; one failure does not stop the others."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import spikeinterface as si

from spikeinterface_cloud import __version__
from spikeinterface_cloud.analysis.analyzer import load_analyzer
from spikeinterface_cloud.analysis.unit_labels import read_unit_table
from spikeinterface_cloud.errors import RecordingError, SettingsError, UnavailableError
from spikeinterface_cloud.exports.nwb_session import Session
from spikeinterface_cloud.exports.nwb_source import find_session, missing_for_archives
from spikeinterface_cloud.exports.phy import export_phy
from spikeinterface_cloud.recording.clock.clock import Clock, clock_of
from spikeinterface_cloud.recording.joined_recordings import JoinedPart
from spikeinterface_cloud.recording.messages import list_channels, one_line
from spikeinterface_cloud.results.layout import ANALYZER, LABELS, PHY, RECORDINGS, UNITS
from spikeinterface_cloud.results.outcomes import ExportRun
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.runtime.logging import format_bytes

logger = logging.getLogger(__name__)

_PROGRAMS = {"spikeinterface_cloud": __version__, "spikeinterface": si.__version__}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingPlan:
    """One of several recordings that were joined, with the metadata that its exports need."""

    number: int
    segments: range
    clock: Clock
    session: Session | None
    #: location and version of its source, as in `run.json`
    source: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportPlan:
    """The exports of each sorter, and the recording's metadata that they need."""

    formats: Sequence[str]
    #: the results folder, with a folder for each sorter
    results: Path
    #: of the recording as opened
    clock: Clock
    #: None if NWB is not exported
    session: Session | None = None
    #: location and version of the source, as in `run.json`
    source: Mapping[str, Any] = field(default_factory=dict)
    #: of recordings that were joined: each of them
    joined: Sequence[RecordingPlan] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorted:
    """A sorter that found units, and the recording that it read."""

    sorter: str
    version: str | None
    #: one segment in one binary file
    recording: si.BaseRecording
    #: the steps, in words, after which the waveforms were taken
    waveform_processing: str = ""
    #: the property of the channels whose groups were sorted by themselves; None: one sort
    split_by: str | None = None


def plan_exports(
    formats: Sequence[str],
    recording: si.BaseRecording,
    source: Mapping[str, Any],
    results: Path,
    parts: Sequence[JoinedPart] = (),
) -> ExportPlan:
    """Read what the exports need of the source.

    Parameters
    ----------
    formats
        `nwb`, `phy`
    source
        as in `run.json`
    parts
        the recordings that were joined, if there are several
    """
    is_nwb = "nwb" in formats
    joined = [
        RecordingPlan(
            number=part.number,
            segments=part.segments,
            clock=part.clock,
            session=_find_session(recording, part.opened) if is_nwb else None,
            source=its_source,
        )
        for part, its_source in zip(parts, source.get("joined", ()), strict=True)
    ]
    return ExportPlan(
        formats=formats,
        results=results,
        clock=clock_of(recording),
        session=_find_session(recording, recording) if is_nwb and not joined else None,
        source=source,
        joined=joined,
    )


def _find_session(recording: si.BaseRecording, opened: si.BaseRecording) -> Session:
    """Return the session of a recording; `opened` is that which its files hold."""
    session = find_session(recording, opened)
    _check_writable(session)
    if reason := why_not_for_archives(session):
        logger.warning("no archive will take units.nwb: %s", reason)
    return session


def _check_writable(session: Session) -> None:
    """Refuse a session that NWB cannot hold before the recording is sorted."""
    # imported here, as pynwb takes half a second, which a job that is refused would wait for
    from spikeinterface_cloud.exports.nwb_file import file_content, make_nwbfile

    try:
        file_content(make_nwbfile(session, _PROGRAMS), session)
    except Exception as error:  # pynwb raises anything
        raise RecordingError(
            f"EXPORTS=nwb: the source's session or electrodes cannot be written "
            f"({one_line(error)}); repair the file, or leave nwb out of EXPORTS"
        ) from error


def check_channels(plan: ExportPlan, processed: si.BaseRecording) -> None:
    """Refuse steps that make channels of their own, as NWB has an electrode for each.

    Raises
    ------
    SettingsError
        NWB is exported, and a processed channel is none of the source's electrodes.
    """
    sessions = [plan.session, *(part.session for part in plan.joined)]
    for session in filter(None, sessions):
        new = [name for name in processed.channel_ids if name not in session.electrodes.rows]
        if new:
            raise SettingsError(
                f"EXPORTS=nwb: PREPROCESSING has made channels that are no electrodes of the "
                f"source ({list_channels(new)}), and NWB has an electrode for each; remove the "
                "step that makes them, or leave nwb out of EXPORTS"
            )


def why_not_for_archives(session: Session) -> str | None:
    """Return why DANDI would refuse the units of this session, or None."""
    if session.not_for_archives is not None:
        return session.not_for_archives
    if missing := missing_for_archives(session):
        return f"the source lacks the subject's {', '.join(missing)}"
    if session.dates_without_zone:
        return f"{' and '.join(session.dates_without_zone)} of the source has no time zone"
    return None


def export(plan: ExportPlan, found: Sorted) -> list[ExportRun]:
    """Write every export of one sorter; failures but a full disk are part of the result."""
    runs = []
    for name in plan.formats:
        path = plan.results / found.sorter / _name_of(name, plan)
        run = ExportRun(sorter=found.sorter, export=name, path=f"{found.sorter}/{path.name}")
        started = time.monotonic()
        try:
            with room_for_results(path):
                _export(name, plan, found, path)
        except UnavailableError:
            _remove(path)
            raise
        except Exception as error:  # whatever a library raises, the other exports have to be made
            logger.exception("%s of %s failed", name, found.sorter)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            run = replace(run, error=reason)
            _remove(path)
        else:
            run = replace(run, size_bytes=sum(file.stat().st_size for file in _files(path)))
            logger.info("%s: %s", run.path, format_bytes(run.size_bytes))
        runs.append(replace(run, seconds=time.monotonic() - started))
    return runs


def _name_of(name: str, plan: ExportPlan) -> str:
    """Return where the export is in the results of the sorter."""
    if name == "phy":
        return PHY
    return RECORDINGS if plan.joined else UNITS


def _export(name: str, plan: ExportPlan, found: Sorted, path: Path) -> None:
    folder = plan.results / found.sorter
    analyzer = load_analyzer(folder / ANALYZER)
    labels = read_unit_table(folder / LABELS)
    if name == "phy":
        export_phy(analyzer, found.recording, labels, path, split_by=found.split_by)
        return
    assert plan.joined or plan.session is not None
    units = UnitsPlan(analyzer=analyzer, labels=labels)
    if not plan.joined:
        _export_nwb(plan, found, units, path)
    for each in plan.joined:
        own = replace(plan, clock=each.clock, session=each.session, source=each.source)
        its_units = replace(units, segments=each.segments)
        _export_nwb(own, found, its_units, path / str(each.number) / UNITS)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitsPlan:
    """The units of one NWB file."""

    analyzer: si.SortingAnalyzer
    labels: pd.DataFrame
    #: those with its spikes; None for all
    segments: range | None = None


def _export_nwb(plan: ExportPlan, found: Sorted, units: UnitsPlan, path: Path) -> None:
    # imported here, as pynwb takes half a second, which a job that is refused would wait for
    from spikeinterface_cloud.exports.nwb_file import make_nwbfile, write_nwbfile
    from spikeinterface_cloud.exports.nwb_units import UnitsSource, make_units

    assert plan.session is not None
    nwbfile = make_nwbfile(plan.session, _programs(found))
    nwbfile.units = make_units(
        nwbfile,
        UnitsSource(
            analyzer=units.analyzer,
            labels=units.labels,
            clock=plan.clock,
            electrode_rows=plan.session.electrodes.rows,
            description=_describe(plan, found),
            waveform_processing=found.waveform_processing,
            split_by=found.split_by,
            segments=units.segments,
        ),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nwbfile(nwbfile, plan.session, path)


def _programs(found: Sorted) -> dict[str, str]:
    return _PROGRAMS | {found.sorter: found.version or "unknown"}


def _describe(plan: ExportPlan, found: Sorted) -> str:
    version = f" {found.version}" if found.version else ""
    text = f"Units found by {found.sorter}{version}, run by SpikeInterface {si.__version__}."
    address = str(plan.source.get("location", ""))
    etag = plan.source.get("dandi_etag") or plan.source.get("etag")
    if "://" in address:
        text += f" Source: {address.partition('?')[0]}" + (f" (ETag {etag})." if etag else ".")
    if plan.joined:
        text += (
            f" {len(plan.joined)} recordings were sorted as one: waveforms, metrics and labels are "
            "of all of them, spike times of this one."
        )
    return text


def _files(path: Path) -> list[Path]:
    """Return the files of an export."""
    if path.name == RECORDINGS:
        return list(path.glob(f"*/{UNITS}"))
    files = path.rglob("*") if path.is_dir() else [path]
    return [file for file in files if file.is_file()]


def _remove(path: Path) -> None:
    """Remove an export, as half of it would be taken for the whole."""
    if path.name == PHY:
        shutil.rmtree(path, ignore_errors=True)
    for file in _files(path):
        file.unlink()
