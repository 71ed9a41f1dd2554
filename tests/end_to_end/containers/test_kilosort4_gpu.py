"""Kilosort4 in the GPU image, on a CUDA device: what it finds, how fast, and in how much memory."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.containers.conftest import make
from tests.end_to_end.containers.containers import CLIENT, Finished, run_container

pytestmark = [
    pytest.mark.integration,
    pytest.mark.sorting,
    pytest.mark.docker,
    pytest.mark.gpu,
    pytest.mark.timeout(3600),
]

IMAGE = "spikeinterface-cloud-tests"

#: two minutes of a probe with 64 contacts, as many units as an experiment finds there
RECORDING = {"durations": [120.0], "num_channels": 64, "num_units": 30, "seed": 1}

#: sorted without this program, and measured without the imports
BARE = f"""
import json, time
import spikeinterface as si, spikeinterface.sorters as ss, torch, kilosort
recording, _ = si.generate_ground_truth_recording(**json.loads('{json.dumps(RECORDING)}'))
recording = recording.astype("int16").save(folder="/scratch/recording", n_jobs=4)
torch.zeros(1, device="cuda")
started = time.perf_counter()
ss.run_sorter("kilosort4", recording, folder="/scratch/sorted", torch_device="cuda")
print(time.perf_counter() - started)
"""

#: what the program may take longer than Kilosort4 alone: it starts a process that imports torch
OVERHEAD_S = 30.0


@pytest.fixture(scope="module")
def gpu_image(engine: str) -> str:
    """The GPU image, where the engine gives a container a device; else a skip."""
    if (
        "nvidia"
        not in subprocess.run(
            [CLIENT, "info", "--format", "{{json .Runtimes}}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    ):
        pytest.skip("the engine has no NVIDIA runtime")
    make("image-gpu", f"IMAGE={IMAGE}")
    return f"{IMAGE}:gpu"


@pytest.fixture(scope="module")
def sorted_run(gpu_image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The `run.json` of a job that sorted the recording."""
    results: Path = tmp_path_factory.mktemp("gpu")
    finished = on_gpu(gpu_image, f"--volume={results}:/results")
    assert finished.exit_code == 0, finished.log
    record: dict[str, Any] = json.loads((results / "run.json").read_text())
    return record


def on_gpu(image: str, *options: str, command: tuple[str, ...] = ()) -> Finished:
    variables = {
        "TEST_WITH_TOY_RECORDING": "yes",
        "READ_RECORDING_KWARGS": json.dumps(RECORDING),
        "SORTERS": "kilosort4",
    }
    return run_container(
        image,
        *command,
        variables=variables,
        options=["--gpus", "all", "--shm-size", "1g", *options],
    )


def test_the_true_units_are_found(sorted_run: dict[str, Any]) -> None:
    accuracy = sorted_run["ground_truth"]["kilosort4"]
    assert accuracy["n_found"] >= 0.8 * RECORDING["num_units"]  # type: ignore[operator]


def test_the_record_has_the_device_and_the_memory(sorted_run: dict[str, Any]) -> None:
    [run] = sorted_run["sorters"]
    assert sorted_run["machine"]["gpu"]["memory_bytes"] > run["peak_gpu_memory_bytes"] > 10 * 2**20


def test_it_is_about_as_fast_as_kilosort4_alone(sorted_run: dict[str, Any], gpu_image: str) -> None:
    bare = on_gpu(gpu_image, command=("python", "-c", BARE))
    assert bare.exit_code == 0, bare.log
    bare_s = float(bare.output.split()[-1])
    [step] = [s for s in sorted_run["steps"] if s["name"] == "sort with kilosort4"]
    assert step["seconds"] < 1.1 * bare_s + OVERHEAD_S


def test_without_a_device_the_check_refuses(gpu_image: str) -> None:
    variables = {"TEST_WITH_TOY_RECORDING": "yes", "SORTERS": "kilosort4"}
    options = ["--env", "NVIDIA_VISIBLE_DEVICES=void"]
    done = run_container(
        gpu_image, "python", "run_script.py", "--check", variables=variables, options=options
    )
    assert done.exit_code == os.EX_UNAVAILABLE
    assert "no CUDA device here, as there is no NVIDIA driver" in done.output
