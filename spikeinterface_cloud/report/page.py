"""Write `report.html`."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeinterface_cloud.report.agreement import AgreementMatrix, read_agreement
from spikeinterface_cloud.report.drift_between import JoinedRow, joined_rows
from spikeinterface_cloud.report.plot import Figure
from spikeinterface_cloud.report.recording import drift_figures, recorded_figures
from spikeinterface_cloud.report.render import write_html
from spikeinterface_cloud.report.sample import RecordingSample
from spikeinterface_cloud.report.sorter import SorterSection, sorter_section, unread_section
from spikeinterface_cloud.results.layout import COMPARISON, REPORT
from spikeinterface_cloud.results.run_record import RunRecord, versions
from spikeinterface_cloud.runtime.logging import counted, format_bytes, format_seconds

logger = logging.getLogger(__name__)


#: names and texts, shown as a list of both
Facts = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The data of the template."""

    title: str
    record: RunRecord
    tiles: Facts
    recording: Facts
    notes: list[str]
    recorded: list[Figure]
    drift: list[Figure]
    joined: list[JoinedRow]
    sections: list[SorterSection]
    agreement: AgreementMatrix | None
    longest_step_s: float
    resources: Facts
    versions: Facts
    preprocessing: str
    #: label, method and value by channel
    channel_checks: Mapping[str, Mapping[str, Any]]
    #: JSON by sorter
    parameters: Facts

    @property
    def status(self) -> str:
        """How the job ended."""
        return self.record.status

    @property
    def error(self) -> str | None:
        """Why it did not succeed."""
        return self.record.error


def write_report(
    folder: Path, record: RunRecord, sorters: Sequence[str], sample: RecordingSample | None
) -> Path:
    """Write the report of a results folder, with as much as there is, and return its one file.

    Parameters
    ----------
    sorters
        the requested sorters, whether they ran or not
    sample
        of the recording; None where the job ended before it was taken
    """
    page = Page(
        title=record.run_identifier or str(record.source.get("location", "Spike sorting")),
        record=record,
        tiles=_tiles(record),
        recording=_recording_facts(record),
        notes=[*record.recording.get("notes", []), *record.preprocessing.get("notes", [])],
        recorded=recorded_figures(sample),
        drift=drift_figures(sample),
        joined=joined_rows(record.recording.get("joined", ())),
        sections=_sections(folder, record, sorters),
        agreement=read_agreement(
            folder / COMPARISON, {run.sorter: run.n_units for run in record.sorters}
        ),
        longest_step_s=max((step.seconds or 0.0 for step in record.steps), default=0.0) or 1.0,
        resources=_resource_facts(record),
        versions=dict(versions()),
        preprocessing=_json(record.preprocessing.get("steps")),
        channel_checks=record.preprocessing.get("channel_checks", {}),
        parameters={
            f"{run.sorter} {run.version or ''}".strip(): _json(run.parameters) or "its defaults"
            for run in record.sorters
        },
    )
    return write_html(folder / REPORT, "report.html", page)


def _sections(folder: Path, record: RunRecord, sorters: Sequence[str]) -> list[SorterSection]:
    """Return the sections of the sorters; results are not read if the job was interrupted."""
    runs = {run.sorter: run for run in record.sorters}
    if record.status == "interrupted":
        return [unread_section(name, runs.get(name)) for name in sorters]
    return [
        sorter_section(folder / name, name, runs.get(name), record.ground_truth.get(name))
        for name in sorters
    ]


def _tiles(record: RunRecord) -> Facts:
    recording = record.recording
    tiles = {}
    if recording:
        tiles["channels"] = str(recording["n_channels"])
        tiles["recorded"] = format_seconds(recording["duration_s"])
    for run in record.sorters:
        tiles[run.sorter] = "failed" if run.outcome == "failed" else counted(run.n_units, "unit")
    if record.n_consensus_units is not None:
        tiles["found by two or more"] = counted(record.n_consensus_units, "unit")
    tiles["job"] = format_seconds(record.cost.seconds)
    if record.cost.usd is not None:
        tiles["cost"] = f"{record.cost.usd:.2f} USD"
    return tiles


def _recording_facts(record: RunRecord) -> Facts:
    recording = record.recording
    facts: dict[str, Any] = {"source": record.source.get("location", "not found")}
    if recording:
        facts |= {
            "stream": recording["stream_name"],
            "channels": recording["n_channels"],
            "sampling rate": f"{recording['sampling_frequency_hz']:g} Hz",
            "duration": format_seconds(recording["duration_s"]),
            "segments": recording["n_segments"],
            "samples": recording["dtype"],
            "gain": _gain(recording["gain_to_uv"]),
            "probe": ", ".join(recording["probes"]) or "none",
            "shanks": recording["n_shanks"],
        }
    return {name: str(text) for name, text in facts.items() if text}


def _gain(gain_to_uv: tuple[float, float] | None) -> str:
    if gain_to_uv is None:
        return "not known: amplitudes are counts"
    lowest, highest = gain_to_uv
    same = lowest == highest
    return f"{lowest:.4g} µV a step" if same else f"{lowest:.4g} to {highest:.4g} µV a step"


def _resource_facts(record: RunRecord) -> Facts:
    machine = record.machine
    facts = {
        "started": f"{record.started:%Y-%m-%d %H:%M:%S} UTC",
        "wall-clock time": format_seconds(record.cost.seconds),
        "cost": str(record.cost),
        "CPUs": str(machine.get("cpus", "not known")),
        "memory of the machine": _size(machine.get("memory_bytes")),
        "GPU": _gpu(machine.get("gpu")),
        "peak memory, sorters aside": _size(record.peak_memory_bytes),
    }
    for run in record.sorters:
        name = f"peak memory of {run.sorter}"
        facts[name] = _size(run.peak_memory_bytes)
        if run.peak_gpu_memory_bytes is not None:
            facts[f"{name} on the GPU"] = format_bytes(run.peak_gpu_memory_bytes)
    return facts


def _size(size_bytes: int | None) -> str:
    return "not known" if size_bytes is None else format_bytes(size_bytes)


def _gpu(gpu: Mapping[str, Any] | None) -> str:
    return f"{gpu['name']}, {_size(gpu['memory_bytes'])}" if gpu else "none"


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str) if value else ""
