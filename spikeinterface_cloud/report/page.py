"""Write `report.html`."""

import base64
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spikeinterface_cloud.report.agreement import AgreementMatrix, read_agreement
from spikeinterface_cloud.report.plot import Figure
from spikeinterface_cloud.report.recording import drift_figures, recorded_figures
from spikeinterface_cloud.report.resources import (
    Fact,
    StepLine,
    count_units,
    resource_facts,
    step_lines,
)
from spikeinterface_cloud.report.sample import RecordingSample
from spikeinterface_cloud.report.sorter import SorterSection, sorter_section, unread_section
from spikeinterface_cloud.results.layout import COMPARISON, REPORT
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.results.run_record import RunRecord, versions
from spikeinterface_cloud.runtime.logging import format_seconds

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The data of the template."""

    title: str
    record: RunRecord
    tiles: list[Fact]
    recording: list[Fact]
    notes: list[str]
    recorded: list[Figure]
    drift: list[Figure]
    sections: list[SorterSection]
    agreement: AgreementMatrix | None
    steps: list[StepLine]
    resources: list[Fact]
    settings: list[Fact]
    versions: list[Fact]
    preprocessing: str
    #: label, method and value by channel
    channel_checks: Mapping[str, Mapping[str, Any]]
    parameters: list[Fact]


def write_report(
    folder: Path, record: RunRecord, sorters: Sequence[str], sample: RecordingSample | None
) -> Path:
    """Write the report of a results folder.

    Parameters
    ----------
    folder
        the results folder, with as much of the sorters' results as there is
    record
        as it will be in `run.json`
    sorters
        the requested sorters, whether they ran or not
    sample
        of the recording; None where the job ended before it was taken

    Returns
    -------
    Path
        the page, one file that needs no other
    """
    page = Page(
        title=record.run_identifier or str(record.source.get("location", "Spike sorting")),
        record=record,
        tiles=_tiles(record),
        recording=_recording_facts(record),
        notes=_notes(record),
        recorded=recorded_figures(sample),
        drift=drift_figures(sample),
        sections=_sections(folder, record, sorters),
        agreement=read_agreement(
            folder / COMPARISON, {run.sorter: run.n_units for run in record.sorters}
        ),
        steps=step_lines(record.steps),
        resources=resource_facts(record),
        settings=_facts(record.settings),
        versions=_facts(versions()),
        preprocessing=_json(record.preprocessing.get("steps")),
        channel_checks=record.preprocessing.get("channel_checks", {}),
        parameters=[_parameters(run.sorter, run.version, run.parameters) for run in record.sorters],
    )
    file = folder / REPORT
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.write_text(_render(page), encoding="utf-8")
    return unfinished.replace(file)


def _sections(folder: Path, record: RunRecord, sorters: Sequence[str]) -> list[SorterSection]:
    """Return the sections of the sorters; results are not read if the job was interrupted."""
    runs = {run.sorter: run for run in record.sorters}
    if record.status == "interrupted":
        return [unread_section(name, runs.get(name)) for name in sorters]
    return [
        sorter_section(folder / name, name, runs.get(name), record.ground_truth.get(name))
        for name in sorters
    ]


def _render(page: Page) -> str:
    loader = PackageLoader("spikeinterface_cloud.report", "template")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = loader.get_source(environment, "script.js")[0].strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html").render(
        page=page,
        style=Markup(loader.get_source(environment, "style.css")[0]),  # noqa: S704 -- ours
        script=Markup(script),  # noqa: S704 -- ours
        script_digest=digest,
        count_units=count_units,
    )


def _tiles(record: RunRecord) -> list[Fact]:
    recording = record.recording
    tiles = []
    if recording:
        tiles = [
            Fact(name="channels", text=str(recording["n_channels"])),
            Fact(name="recorded", text=format_seconds(recording["duration_s"])),
        ]
    tiles += [Fact(name=run.sorter, text=_found(run)) for run in record.sorters]
    if record.n_consensus_units is not None:
        tiles.append(Fact(name="found by two or more", text=count_units(record.n_consensus_units)))
    tiles.append(Fact(name="job", text=format_seconds(record.cost.seconds)))
    if record.cost.usd is not None:
        tiles.append(Fact(name="cost", text=f"{record.cost.usd:.2f} USD"))
    return tiles


def _found(run: SorterRun) -> str:
    return "failed" if run.outcome == "failed" else count_units(run.n_units)


def _recording_facts(record: RunRecord) -> list[Fact]:
    recording = record.recording
    facts = [Fact(name="source", text=str(record.source.get("location", "not found")))]
    if not recording:
        return facts
    gain = recording["gain_to_uv"]
    shown: dict[str, Any] = {
        "stream": recording["stream_name"],
        "channels": recording["n_channels"],
        "sampling rate": f"{recording['sampling_frequency_hz']:g} Hz",
        "duration": format_seconds(recording["duration_s"]),
        "segments": recording["n_segments"],
        "samples": recording["dtype"],
        "gain": "not known: amplitudes are counts" if gain is None else _range(gain),
        "probe": ", ".join(recording["probes"]) or "none",
        "shanks": recording["n_shanks"],
    }
    return facts + [Fact(name=name, text=str(text)) for name, text in shown.items() if text]


def _range(gain: tuple[float, float]) -> str:
    lowest, highest = gain
    same = lowest == highest
    return f"{lowest:.4g} µV a step" if same else f"{lowest:.4g} to {highest:.4g} µV a step"


def _facts(mapping: Mapping[str, str]) -> list[Fact]:
    return [Fact(name=name, text=str(text)) for name, text in mapping.items()]


def _parameters(sorter: str, version: str | None, parameters: Mapping[str, Any]) -> Fact:
    name = f"{sorter} {version}" if version else sorter
    return Fact(name=name, text=_json(parameters) or "its defaults")


def _notes(record: RunRecord) -> list[str]:
    found = [*record.recording.get("notes", []), *record.preprocessing.get("notes", [])]
    return [str(note) for note in found]


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str) if value else ""
