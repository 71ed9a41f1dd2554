"""`run.json` follows its schema, is complete or not there, and tells a failure as one."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from spikeinterface_cloud.errors import SortingError
from spikeinterface_cloud.recording.summary import RecordingSummary
from spikeinterface_cloud.results.cost import Cost
from spikeinterface_cloud.results.outcomes import SorterRun, SorterTry
from spikeinterface_cloud.results.run_record import RunRecord, versions
from spikeinterface_cloud.results.run_schema import (
    SCHEMA_VERSION,
    CostEntry,
    GpuEntry,
    InstanceEntry,
    MachineEntry,
    RecordingEntry,
    RunJson,
    SorterEntry,
    StepEntry,
    TryEntry,
    json_schema,
)
from spikeinterface_cloud.runtime.cuda import Gpu
from spikeinterface_cloud.runtime.ec2_metadata import Instance
from spikeinterface_cloud.runtime.host import describe_machine
from spikeinterface_cloud.runtime.logging import Step

ROOT = Path(__file__).parents[3]
SCHEMA_FILE = "spikeinterface_cloud/results/run.schema.json"

STARTED = datetime(2026, 1, 1, tzinfo=UTC)

SPOT = Instance(
    instance_type="g4dn.2xlarge",
    region="us-east-1",
    availability_zone="us-east-1a",
    life_cycle="spot",
    identifier="i-0abc",
)


def record(*runs: SorterRun) -> RunRecord:
    return RunRecord(settings={"SORTERS": "simple"}, run_identifier="test", sorters=list(runs))


def full_record() -> RunRecord:
    """A record with something in every field."""
    sorted_run = SorterRun(
        sorter="kilosort4",
        outcome="sorted",
        n_units=3,
        parameters={"Th_universal": np.float64(9.0), "bad_channels": np.arange(2)},
        peak_gpu_memory_bytes=2**30,
        tries=[
            SorterTry(
                parameters={},
                by_group=False,
                seconds=2.0,
                reason="torch.OutOfMemoryError: CUDA out of memory",
                peak_memory_bytes=2**31,
                peak_gpu_memory_bytes=2**30,
            )
        ],
    )
    filled = record(sorted_run, SorterRun(sorter="simple", outcome="no_units", parameters={}))
    filled.manifest = {"url": "s3://lab/jobs.jsonl", "index": 2}
    filled.started, filled.ended = STARTED, STARTED + timedelta(hours=2)
    filled.status, filled.exit_code = "succeeded", 0
    filled.source = {"location": "simulated"}
    facts = RecordingSummary(
        n_channels=4,
        sampling_frequency_hz=30000.0,
        duration_s=10.0,
        n_segments=1,
        segment_durations_s=[10.0],
        dtype="int16",
        size_bytes=2_400_000,
        gain_to_uv=(2.34, 2.34),
        start_time_s=0.0,
        stream_name=None,
        has_probe=True,
        probes=["imec Neuropixels 1.0"],
        n_shanks=1,
        groups={"0": 4},
    )
    filled.recording = {**dataclasses.asdict(facts), "notes": ["a note"]}
    filled.preprocessing = {
        "steps": [{"name": "phase_shift", "params": {"margin_ms": np.float32(40.0)}}],
        "bad_channels": {"AP3": "dead"},
        "channel_checks": {
            "AP3": {"label": "dead", "method": "noise level", "value": np.float64(0.02)}
        },
        "notes": ["a note"],
    }
    filled.ground_truth = {"kilosort4": {"mean_accuracy": 0.9, "n_true_units": 4, "n_found": 3}}
    filled.n_consensus_units = 0
    filled.steps.append(Step(name="fetch", seconds=1.5, size_bytes=10))
    filled.machine = describe_machine()
    filled.instance = SPOT
    filled.peak_memory_bytes = 2**31
    return filled


def written(filled: RunRecord, folder: Path) -> dict[str, Any]:
    """What `run.json` holds, checked against the schema."""
    filled.write(folder / "run.json")
    text = (folder / "run.json").read_text()
    RunJson.model_validate_json(text)
    content: dict[str, Any] = json.loads(text)
    return content


def test_full_record_follows_the_schema(tmp_path: Path) -> None:
    read = written(full_record(), tmp_path)
    assert read["schema_version"] == SCHEMA_VERSION
    assert read["started"] == "2026-01-01T00:00:00Z"
    assert read["recording"]["gain_to_uv"] == [2.34, 2.34]
    assert read["preprocessing"]["steps"][0]["params"] == {"margin_ms": 40.0}
    assert read["steps"] == [{"name": "fetch", "seconds": 1.5, "size_bytes": 10}]
    assert read["sorters"][0]["parameters"] == {"Th_universal": 9.0, "bad_channels": [0, 1]}
    assert read["peak_gpu_memory_bytes"] == 2**30
    assert [each["seconds"] for each in read["sorters"][0]["tries"]] == [2.0]
    assert read["sorters"][1]["tries"] == []
    assert read["versions"]["spikeinterface"]
    assert read["instance"]["instance_type"] == "g4dn.2xlarge"
    assert read["cost"]["seconds"] == 7200.0
    assert read["cost"]["usd"] is None
    assert read["cost"]["usd_at_most"] == 1.504
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_record_of_a_job_that_failed_at_once_follows_the_schema(tmp_path: Path) -> None:
    read = written(record(), tmp_path)
    assert read["status"] == "failed"
    assert read["recording"] is read["source"] is read["preprocessing"] is read["instance"] is None
    assert read["peak_gpu_memory_bytes"] is None
    assert read["cost"]["reason"] == "the job ended before it could be asked for"


def test_record_that_breaks_its_schema_is_still_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = record()
    broken.recording = {"channels": 4}
    broken.write(tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text())["recording"] == {"channels": 4}
    assert "run.json does not follow its schema" in caplog.text


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        (SorterEntry, SorterRun),
        (TryEntry, SorterTry),
        (StepEntry, Step),
        (GpuEntry, Gpu),
        (InstanceEntry, Instance),
        (CostEntry, Cost),
    ],
)
def test_schema_has_every_field_that_is_written(entry: type[BaseModel], source: type[Any]) -> None:
    assert set(entry.model_fields) == {field.name for field in dataclasses.fields(source)}


def test_schema_has_every_figure_of_the_recording_and_the_machine() -> None:
    facts = {field.name for field in dataclasses.fields(RecordingSummary)}
    assert set(RecordingEntry.model_fields) == facts | {"notes", "joined"}
    assert set(MachineEntry.model_fields) == set(describe_machine())


def test_versions_name_what_sorters_compute_with() -> None:
    computed_with = {"spikeinterface", "numpy", "scipy", "scikit-learn", "numba", "hdbscan", "h5py"}
    assert computed_with <= versions().keys()


def test_schema_has_every_field_of_the_record() -> None:
    own = {field.name for field in dataclasses.fields(RunRecord)}
    derived = {"schema_version", "versions", "cost", "peak_gpu_memory_bytes"}
    assert set(RunJson.model_fields) == own | derived


def test_schema_describes_every_field() -> None:
    schema = RunJson.model_json_schema()
    objects = {"RunJson": schema, **schema["$defs"]}
    for name, entry in objects.items():
        assert entry["description"], name
        assert entry["additionalProperties"] is False, name
        for field, properties in entry["properties"].items():
            assert "description" in properties, f"{name}.{field}"


def test_schema_in_the_repository_is_current() -> None:
    assert (ROOT / SCHEMA_FILE).read_text() == json_schema(), (
        f"run python -m spikeinterface_cloud.results.run_schema > {SCHEMA_FILE}"
    )


def test_error_names_every_failed_sorter() -> None:
    failed = [
        SorterRun(sorter=name, outcome="failed", reason=f"{name} broke", parameters={})
        for name in ("simple", "lupin")
    ]
    good = SorterRun(sorter="kilosort4", outcome="sorted", parameters={})
    with pytest.raises(SortingError, match="2 of 3 sorters failed") as raised:
        record(failed[0], good, failed[1]).raise_for_failures()
    assert "simple broke" in str(raised.value)
    assert "lupin broke" in str(raised.value)


def test_sorter_without_units_is_no_failure() -> None:
    record(SorterRun(sorter="simple", outcome="no_units", parameters={})).raise_for_failures()
