"""`run.json` is complete or not there, and a failed sorter is the job's failure."""

import json
from pathlib import Path

import numpy as np
import pytest

from spikeinterface_cloud.errors import SortingError
from spikeinterface_cloud.log import Step
from spikeinterface_cloud.run_record import RunRecord
from spikeinterface_cloud.sorting import SorterRun


def record(*runs: SorterRun) -> RunRecord:
    return RunRecord(settings={"SORTERS": "simple"}, run_identifier="test", sorters=list(runs))


def test_what_is_written(tmp_path: Path) -> None:
    filled = record(SorterRun(sorter="simple", outcome="sorted", n_units=3, parameters={}))
    filled.recording = {"gain_to_uv": np.float64(0.2), "ids": np.arange(2)}
    filled.steps.append(Step(name="fetch", seconds=1.5, size_bytes=10))
    filled.write(tmp_path / "run.json")
    read = json.loads((tmp_path / "run.json").read_text())
    assert read["schema_version"] == 1
    assert read["recording"] == {"gain_to_uv": 0.2, "ids": [0, 1]}
    assert read["steps"] == [{"name": "fetch", "seconds": 1.5, "size_bytes": 10}]
    assert read["sorters"][0]["n_units"] == 3
    assert read["versions"]["spikeinterface"]
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_every_failed_sorter_is_named() -> None:
    failed = [
        SorterRun(sorter=name, outcome="failed", reason=f"{name} broke", parameters={})
        for name in ("simple", "lupin")
    ]
    good = SorterRun(sorter="kilosort4", outcome="sorted", parameters={})
    with pytest.raises(SortingError, match="2 of 3 sorters failed") as raised:
        record(failed[0], good, failed[1]).raise_for_failures()
    assert "simple broke" in str(raised.value)
    assert "lupin broke" in str(raised.value)


def test_a_sorter_that_found_nothing_did_not_fail() -> None:
    record(SorterRun(sorter="simple", outcome="no_units", parameters={})).raise_for_failures()
