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
from spikeinterface_cloud.errors import RecordingError, UnavailableError
from spikeinterface_cloud.exports.nwb_session import Session
from spikeinterface_cloud.exports.nwb_source import find_session, missing_for_archives
from spikeinterface_cloud.exports.phy import export_phy
from spikeinterface_cloud.recording.clock.clock import Clock, clock_of
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.results.layout import ANALYZER, LABELS, PHY, UNITS
from spikeinterface_cloud.results.outcomes import ExportRun
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.runtime.logging import format_bytes

logger = logging.getLogger(__name__)

_PROGRAMS = {"spikeinterface_cloud": __version__, "spikeinterface": si.__version__}


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
    formats: Sequence[str], recording: si.BaseRecording, source: Mapping[str, Any], results: Path
) -> ExportPlan:
    """Read what the exports (`nwb`, `phy`) need of the source; `source` is as in `run.json`."""
    session = find_session(recording) if "nwb" in formats else None
    if session is not None:
        _check_writable(session)
        if reason := why_not_for_archives(session):
            logger.warning("no archive will take units.nwb: %s", reason)
    return ExportPlan(
        formats=formats,
        results=results,
        clock=clock_of(recording),
        session=session,
        source=source,
    )


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
        path = plan.results / found.sorter / (UNITS if name == "nwb" else PHY)
        run = ExportRun(sorter=found.sorter, export=name, path=f"{found.sorter}/{path.name}")
        started = time.monotonic()
        try:
            with room_for_results(path):
                _export(name, plan, found, path)
        except UnavailableError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        except Exception as error:  # whatever a library raises, the other exports have to be made
            logger.exception("%s of %s failed", name, found.sorter)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            run = replace(run, error=reason)
            if path.is_dir():  # half of it would be taken for the whole
                shutil.rmtree(path)
        else:
            run = replace(run, size_bytes=_size_bytes(path))
            logger.info("%s: %s", run.path, format_bytes(run.size_bytes))
        runs.append(replace(run, seconds=time.monotonic() - started))
    return runs


def _export(name: str, plan: ExportPlan, found: Sorted, path: Path) -> None:
    folder = plan.results / found.sorter
    analyzer = load_analyzer(folder / ANALYZER)
    labels = read_unit_table(folder / LABELS)
    if name == "phy":
        export_phy(analyzer, found.recording, labels, path, split_by=found.split_by)
    else:
        _export_nwb(plan, found, analyzer, labels, path)


def _export_nwb(
    plan: ExportPlan, found: Sorted, analyzer: si.SortingAnalyzer, labels: pd.DataFrame, path: Path
) -> None:
    # imported here, as pynwb takes half a second, which a job that is refused would wait for
    from spikeinterface_cloud.exports.nwb_file import make_nwbfile, write_nwbfile
    from spikeinterface_cloud.exports.nwb_units import UnitsSource, make_units

    assert plan.session is not None
    nwbfile = make_nwbfile(plan.session, _programs(found))
    nwbfile.units = make_units(
        nwbfile,
        UnitsSource(
            analyzer=analyzer,
            labels=labels,
            clock=plan.clock,
            electrode_rows=plan.session.electrodes.rows,
            description=_describe(plan, found),
            waveform_processing=found.waveform_processing,
            split_by=found.split_by,
        ),
    )
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
    return text


def _size_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
