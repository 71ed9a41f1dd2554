"""Kilosort4 for real, on the CPU because the job says so, and on a simulated recording."""

import json
import os
from pathlib import Path

import pytest

from tests.support.job import Job, assert_succeeded, run_job
from tests.support.sorted_results import assert_complete

pytestmark = [pytest.mark.integration, pytest.mark.sorting, pytest.mark.kilosort]

#: ten seconds of three units close to 16 contacts, and apart from each other
CLEAR_UNITS = {
    "durations": [10.0],
    "num_channels": 16,
    "num_units": 3,
    "generate_unit_locations_kwargs": {
        "margin_um": 0,
        "minimum_z": 5,
        "maximum_z": 15,
        "minimum_distance": 45,
    },
}

#: so few spikes have to be clustered all of them, and show no drift
PARAMETERS = {"torch_device": "cpu", "do_correction": False, "cluster_downsampling": 1}


@pytest.fixture(scope="module")
def sorted_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job with Kilosort4; where it is missing this is a skip, except in CI."""
    if not os.environ.get("CI"):
        pytest.importorskip("kilosort", reason="Kilosort4 is not installed", exc_type=ImportError)
        pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    return run_job(
        tmp_path_factory.mktemp("kilosort4"),
        {
            "TEST_WITH_TOY_RECORDING": "yes",
            "READ_RECORDING_KWARGS": json.dumps(CLEAR_UNITS),
            "SORTERS": "kilosort4",
            "SORTERS_KWARGS": json.dumps({"kilosort4": PARAMETERS}),
            "CUDA_VISIBLE_DEVICES": "",
        },
    )


def test_kilosort4_sorts_on_the_cpu(sorted_job: Job) -> None:
    assert_succeeded(sorted_job)
    assert sorted_job.outcomes() == {"kilosort4": "sorted"}
    assert_complete(sorted_job.results, ["kilosort4"])


def test_the_true_units_are_found(sorted_job: Job) -> None:
    accuracy = sorted_job.record["ground_truth"]["kilosort4"]
    assert (accuracy["n_true_units"], accuracy["n_found"]) == (3, 3)
    assert accuracy["mean_accuracy"] > 0.9


def test_record_has_the_parameters(sorted_job: Job) -> None:
    [run] = sorted_job.record["sorters"]
    assert run["parameters"] == PARAMETERS
    assert run["version"]
    assert run["peak_gpu_memory_bytes"] is None


def test_sorter_log_is_kept(sorted_job: Job) -> None:
    log: Path = sorted_job.results / "kilosort4" / "kilosort4.log"
    assert "Total runtime" in log.read_text()
