"""How `gpu.py` compares a job with `run_kilosort`, on files as both write them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
from gpu import compare, sorting_interval
from gpu_cases import RECORDING, TRUTH, Case
from gpu_figures import Agreement, Figures
from table import Taken

from spikeinterface_cloud.analysis.analyzer import save_sorting
from spikeinterface_cloud.results.layout import SORTING

pytestmark = pytest.mark.filterwarnings("ignore:The extractor is not serializable to file")

CASE = Case(name="small", n_channels=4, n_units=3, duration_s=10.0, least_found=3)


@pytest.fixture
def truth() -> si.BaseSorting:
    return si.generate_sorting(num_units=3, durations=[10.0], sampling_frequency=30000.0, seed=0)


def write_results(folder: Path, truth: si.BaseSorting, job: list[str], bare: list[str]) -> Figures:
    """Write sortings that consist of some of the true units, as a job and as Kilosort4 do."""
    recording = si.generate_recording(num_channels=4, durations=[0.1])
    recording.save(folder=folder / RECORDING, progress_bar=False)
    truth.save(folder=folder / TRUTH)
    save_sorting(truth.select_units(job), folder / "results" / "kilosort4" / SORTING)
    phy = folder / "run_kilosort"
    phy.mkdir()
    spikes = truth.select_units(bare).to_spike_vector()
    np.save(phy / "spike_times.npy", spikes["sample_index"])
    np.save(phy / "spike_clusters.npy", spikes["unit_index"])
    (phy / "params.py").write_text(
        "dat_path = 'recording'\nn_channels_dat = 4\ndtype = 'int16'\noffset = 0\n"
        "sample_rate = 30000.0\nhp_filtered = False\n"
    )
    return Figures(
        case=CASE,
        record={"sorters": [{"outcome": "sorted"}], "steps": []},
        bare=Taken(wall_s=1.0, cpu_s=1.0, peak_memory_mib=1.0, written_mib=1.0),
    )


def test_units_of_both_are_counted_and_held_against_the_truth(
    tmp_path: Path, truth: si.BaseSorting
) -> None:
    every = [str(unit) for unit in truth.unit_ids]
    figures = write_results(tmp_path, truth, job=every, bare=every[:2])
    compare(figures, tmp_path)
    assert figures.agreement == Agreement(n_job=3, n_bare=2, n_same=2)
    assert figures.job_truth == {"mean_accuracy": 1.0, "n_true_units": 3, "n_found": 3}
    assert figures.bare_truth is not None
    assert figures.bare_truth["n_found"] == 2


def test_one_side_alone_is_held_against_the_truth(tmp_path: Path, truth: si.BaseSorting) -> None:
    every = [str(unit) for unit in truth.unit_ids]
    figures = write_results(tmp_path, truth, job=every, bare=every)
    figures.bare = None
    compare(figures, tmp_path)
    assert figures.job_truth is not None
    assert (figures.bare_truth, figures.agreement) == (None, None)


def test_time_of_the_sorter_is_read_from_the_log_of_a_job(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    program = """
import sys
from pathlib import Path
from spikeinterface_cloud.runtime.logging import configure_logging, step
configure_logging(Path(sys.argv[1]))
for name in ("fetch", "sort with kilosort4", "analyze kilosort4"):
    with step(name, []):
        pass
"""
    subprocess.run([sys.executable, "-c", program, str(log)], capture_output=True, check=True)
    interval = sorting_interval(log.read_text())
    assert interval is not None
    assert 0 <= interval[1] - interval[0] <= 1
    assert sorting_interval("2026-11-29T10:00:00Z INFO    fetch ...\n") is None
