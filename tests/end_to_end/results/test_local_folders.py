"""Recordings in mounted folders, of three formats; the results stay in the results folder."""

from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.job import ONE_WORKER, assert_refused, assert_succeeded, run_job
from tests.support.recordings import (
    write_binary_folder,
    write_open_ephys,
    write_probe,
    write_zarr_folder,
)
from tests.support.sorted_results import assert_complete, n_true_units_found

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its content."""
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_open_ephys_with_a_probe_file(tmp_path: Path, simulated: Simulated) -> None:
    session = write_open_ephys(tmp_path / "source", simulated.recording)
    write_probe(session / "probe.json", simulated.recording)
    before = contents(session)
    job = run_job(
        tmp_path / "job",
        ONE_WORKER
        | {
            "SOURCE_FOLDER": str(session),
            "DATA_TYPE": "openephys",
            "PROBE_FILE": "probe.json",
            "READ_RECORDING_KWARGS": '{"stream_name": "Record Node 101#Acquisition_Board-100'
            '.acquisition_board"}',
            "SORTERS": "simple",
        },
    )
    assert_succeeded(job)
    assert_complete(job.results, ["simple"])
    assert n_true_units_found(job.results, "simple", simulated.truth) == 3
    facts = job.record["recording"]
    assert facts["n_channels"] == 16, "the analog inputs were taken for contacts"
    assert facts["has_probe"]
    assert contents(session) == before


def test_open_ephys_without_a_probe(tmp_path: Path, simulated: Simulated) -> None:
    session = write_open_ephys(tmp_path / "source", simulated.recording)
    job = run_job(
        tmp_path / "job",
        {"SOURCE_FOLDER": str(session), "DATA_TYPE": "openephys", "SORTERS": "simple"},
    )
    assert_refused(job, 65, "probe.*PROBE_FILE")


def test_a_saved_binary_folder_is_sorted_where_it_is(tmp_path: Path, simulated: Simulated) -> None:
    """Relative paths count from where the job was started."""
    source = write_binary_folder(tmp_path / "source", simulated.recording)
    before = contents(source)
    job = run_job(
        tmp_path / "job",
        ONE_WORKER
        | {
            "SOURCE_FOLDER": "../source",
            "RESULTS_FOLDER": "results",
            "SCRATCH_FOLDER": "scratch",
            "NUMBA_CACHE_DIR": "numba",
            "DATA_TYPE": "binary",
            "PREPROCESSING": "none",
            "SORTERS": "simple",
        },
    )
    assert_succeeded(job)
    assert job.step("fetch")["size_bytes"] == 0
    assert job.step("preprocess")["size_bytes"] == 0
    assert "nothing is copied" in job.log
    assert job.record["preprocessing"]["steps"] == []
    assert n_true_units_found(job.results, "simple", simulated.truth) == 3
    assert contents(source) == before


def test_a_saved_zarr_folder_goes_through_the_given_steps(
    tmp_path: Path, simulated: Simulated
) -> None:
    source = write_zarr_folder(tmp_path / "recording.zarr", simulated.recording)
    job = run_job(
        tmp_path / "job",
        {
            **ONE_WORKER,
            "SOURCE_FOLDER": str(source),
            "DATA_TYPE": "zarr",
            "PREPROCESSING": '{"bandpass_filter": {"freq_min": 300, "freq_max": 6000}, '
            '"common_reference": {"operator": "median"}}',
            "SORTERS": "simple",
            "SORTERS_KWARGS": '{"simple": {"apply_preprocessing": false}}',
        },
    )
    assert_succeeded(job)
    names = [step["name"] for step in job.record["preprocessing"]["steps"]]
    assert names == ["bandpass_filter", "common_reference"]
    assert job.step("preprocess")["size_bytes"] == 300_000 * 16 * 2
    # without its own whitening this sorter finds a unit less
    assert n_true_units_found(job.results, "simple", simulated.truth) >= 2
    analyzer = si.load_sorting_analyzer(job.results / "simple" / "analyzer.zarr")
    largest = np.abs(analyzer.get_extension("templates").get_templates()).max()
    assert 20.0 < largest < 1000.0, "templates are not in microvolts"
