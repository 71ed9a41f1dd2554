"""Kilosort4 for real, on the CPU, in a job that may not have the memory that it first asks for.

The limit is on the address space of each process (`prlimit --as`): what does not fit ends with
torch's own error. With these parameters most of the memory goes into the detection of spikes, and
grows with the batch and with the square of the channels: one shank fits with batches of 15,000
samples and not with 60,000 (with 30,000 it ends just beyond), two shanks need 100 MiB more than
there are even with 15,000.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface as si
from probeinterface import Probe

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.job import Job, assert_succeeded, run_job
from tests.support.recordings import write_binary_folder
from tests.support.sorted_results import assert_complete, n_true_units_found

pytestmark = [
    pytest.mark.integration,
    pytest.mark.sorting,
    pytest.mark.kilosort,
    UNSAVED_PROVENANCE,
]

MIB = 2**20

#: a fine grid of templates, each held against all others: much memory, and little time
PARAMETERS = {
    "torch_device": "cpu",
    "do_correction": False,
    "cluster_downsampling": 1,
    "dmin": 10,
    "dminx": 5.7,
    "nearest_templates": 1000,
    "nearest_chans": 6,
    "n_pcs": 3,
}

#: what each process may have
LIMIT_MIB = 1880

#: a job that takes longer hangs: Kilosort4 is started up to five times
TIMEOUT_S = 850

OUT_OF_MEMORY = "DefaultCPUAllocator: can't allocate memory"

#: of two shanks, far more than any unit reaches
SHANK_SPACING_UM = 300.0


def record_shanks(seeds: Sequence[int]) -> tuple[si.BaseRecording, si.BaseSorting]:
    """Three seconds of three clear units on each shank of 16 contacts, one shank a seed."""
    shanks = [
        si.generate_ground_truth_recording(
            durations=[3.0],
            sampling_frequency=30000.0,
            num_channels=16,
            num_units=3,
            generate_sorting_kwargs={"firing_rates": 40.0, "refractory_period_ms": 4.0},
            generate_unit_locations_kwargs={
                "margin_um": 0,
                "minimum_z": 5,
                "maximum_z": 15,
                "minimum_distance": 45,
            },
            seed=seed,
        )
        for seed in seeds
    ]
    n_channels = 16 * len(shanks)
    recording = si.aggregate_channels(
        [recording for recording, _ in shanks], renamed_channel_ids=range(n_channels)
    )
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(
        positions=np.vstack(
            [
                np.add(shank.get_channel_locations(), [SHANK_SPACING_UM * index, 0.0])
                for index, (shank, _) in enumerate(shanks)
            ]
        ),
        shapes="circle",
        shape_params={"radius": 5.0},
        shank_ids=np.repeat([str(index) for index in range(len(shanks))], 16),
    )
    probe.set_device_channel_indices(np.arange(n_channels))
    recording.set_probe(probe)
    truth = si.aggregate_units(
        [sorting for _, sorting in shanks], renamed_unit_ids=range(3 * len(shanks))
    )
    return recording, truth


def run_within_limit(
    folder: Path, recording: si.BaseRecording, parameters: Mapping[str, Any]
) -> Job:
    """A job with Kilosort4, no process of which may have more memory than the limit."""
    if not os.environ.get("CI"):
        pytest.importorskip("kilosort", reason="Kilosort4 is not installed", exc_type=ImportError)
        pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    return run_job(
        folder / "job",
        {
            "SOURCE_FOLDER": str(write_binary_folder(folder / "source", recording)),
            "DATA_TYPE": "binary",
            "PREPROCESSING": "none",
            "SORTERS": "kilosort4",
            "SORTERS_KWARGS": json.dumps({"kilosort4": parameters}),
            "N_JOBS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            # threads, and their heaps, take address space whether they use it or not
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
        },
        launcher=["prlimit", f"--as={LIMIT_MIB * MIB}"],
        timeout_s=TIMEOUT_S,
    )


def only_sorter(job: Job) -> dict[str, Any]:
    """What `run.json` says of the one sorter."""
    [run] = job.record["sorters"]
    return dict(run)


def test_a_smaller_batch_fits(tmp_path: Path) -> None:
    recording, truth = record_shanks([1])
    job = run_within_limit(tmp_path, recording, PARAMETERS)
    assert_succeeded(job)
    run = only_sorter(job)
    *failed, last = run["tries"]
    assert [each["parameters"] for each in failed[:2]] == [
        PARAMETERS,
        {**PARAMETERS, "clear_cache": True},
    ]
    assert all(OUT_OF_MEMORY in each["reason"] for each in failed)
    assert last["reason"] is None
    assert last["parameters"] == run["parameters"]
    assert run["parameters"]["batch_size"] in (30_000, 15_000)
    assert run["seconds"] == pytest.approx(sum(each["seconds"] for each in run["tries"]))
    assert all(each["peak_memory_bytes"] > 300 * MIB for each in run["tries"])
    told = [line for line in job.log.splitlines() if "trying again with" in line]
    assert len(told) == len(failed)
    assert "trying again with clear_cache=true" in told[0]
    assert (job.results / "kilosort4" / "try-1" / "kilosort4.log").is_file()
    assert_complete(job.results, ["kilosort4"])
    assert n_true_units_found(job.results, "kilosort4", truth) == 3


def test_each_shank_by_itself_fits(tmp_path: Path) -> None:
    """All that is left to a job that has its cache cleared and short batches of its own."""
    recording, truth = record_shanks([1, 2])
    given = {**PARAMETERS, "clear_cache": True, "batch_size": 15_000}
    job = run_within_limit(tmp_path, recording, given)
    assert_succeeded(job)
    run = only_sorter(job)
    whole, by_shank = run["tries"]
    assert whole["parameters"] == by_shank["parameters"] == run["parameters"] == given
    assert (whole["by_group"], by_shank["by_group"]) == (False, True)
    assert OUT_OF_MEMORY in whole["reason"]
    assert by_shank["reason"] is None
    assert "trying again with each of 2 groups by itself" in job.log
    assert_complete_groups(job.results)
    assert n_true_units_found(job.results, "kilosort4", truth) == 6


def assert_complete_groups(results: Path) -> None:
    """Every unit has an id of its own, and is of the group whose channels it is on."""
    assert (results / "kilosort4" / "group-1" / "kilosort4.log").is_file()
    sorting = si.load(results / "kilosort4" / "sorting")
    groups = sorting.get_property("group")
    assert len(set(sorting.unit_ids)) == len(sorting.unit_ids)
    assert set(groups) == {0, 1}
    analyzer = si.load_sorting_analyzer(results / "kilosort4" / "analyzer.zarr")
    locations = analyzer.get_extension("unit_locations").get_data()
    assert ((locations[:, 0] > SHANK_SPACING_UM / 2) == (groups == 1)).all()
