"""Recordings at 10 kHz, as arrays of many channels have them, where no filter reaches 6 kHz."""

import json
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
from probeinterface import generate_linear_probe
from spikeinterface.comparison import compare_sorter_to_ground_truth
from spikeinterface.core import BaseRecording, NumpyRecording, NumpySorting
from spikeinterface.preprocessing import highpass_filter

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.job import ONE_WORKER, Job, assert_refused, assert_succeeded, run_job
from tests.support.recordings import write_binary_folder
from tests.support.sorted_results import assert_complete, n_true_units_found

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

RATE_HZ = 10_000.0
GAIN_UV = 0.195
SORTERS = ("spykingcircus2", "simple")

each_sorter = pytest.mark.parametrize("sorter", SORTERS)


#: of three units: the channel closest to each, how large its spikes are there, in uV, and how wide
UNITS = {1: (280.0, 0.12), 7: (210.0, 0.2), 14: (140.0, 0.16)}


@pytest.fixture(scope="module")
def slow() -> Simulated:
    """Fifteen seconds of three units at 10 kHz, 150 um and more apart."""
    generator = np.random.default_rng(0)
    probe = generate_linear_probe(num_elec=16, ypitch=25)
    probe.set_device_channel_indices(np.arange(16))
    depths = probe.contact_positions[:, 1]
    traces = generator.normal(0.0, 6.0, (int(15 * RATE_HZ), 16))
    time_ms = np.arange(-10, 20) / RATE_HZ * 1000
    spikes = {}
    for channel, (amplitude_uv, width_ms) in UNITS.items():
        wave = -np.exp(-((time_ms / width_ms) ** 2)) + 0.3 * np.exp(-(((time_ms - 0.5) / 0.3) ** 2))
        footprint = amplitude_uv * np.exp(-np.abs(depths - depths[channel]) / 25.0)
        frames = (np.cumsum(generator.exponential(0.09, 200) + 0.003) * RATE_HZ).astype(int)
        spikes[str(channel)] = frames[(frames > 50) & (frames < len(traces) - 50)]
        for frame in spikes[str(channel)]:
            traces[frame - 10 : frame + 20] += np.outer(wave, footprint)
    recording = NumpyRecording([np.round(traces / GAIN_UV).astype("int16")], RATE_HZ)
    recording.set_channel_gains(GAIN_UV)
    recording.set_channel_offsets(0.0)
    recording.set_probe(probe)
    return Simulated(recording=recording, truth=NumpySorting.from_unit_dict([spikes], RATE_HZ))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, slow: Simulated) -> Job:
    folder = tmp_path_factory.mktemp("slow")
    return run_on(folder, slow.recording, {"SORTERS": ",".join(SORTERS)})


def run_on(folder: Path, recording: BaseRecording, variables: dict[str, str]) -> Job:
    source = write_binary_folder(folder / "source", recording)
    return run_job(
        folder / "job",
        ONE_WORKER
        | {"SOURCE_FOLDER": str(source), "DATA_TYPE": "binary", "SORTERS": "simple"}
        | variables,
    )


def test_every_sorter_finds_the_units(job: Job, slow: Simulated) -> None:
    assert_succeeded(job)
    assert_complete(job.results, SORTERS)
    for sorter in SORTERS:
        assert n_true_units_found(job.results, sorter, slow.truth) == 3


def test_default_bands_fit_the_rate_and_are_recorded(job: Job) -> None:
    parameters = {run["sorter"]: run["parameters"] for run in job.record["sorters"]}
    assert parameters["spykingcircus2"]["filtering"]["freq_max"] == 4500.0
    assert parameters["simple"]["freq_max"] == 4500.0
    assert "spykingcircus2: filtering.freq_max=4500.0, instead of 7000 Hz" in job.log
    assert "simple: freq_max=4500.0, instead of 6000 Hz" in job.log


@each_sorter
def test_amplitudes_are_those_of_the_recording(job: Job, slow: Simulated, sorter: str) -> None:
    analyzer = si.load_sorting_analyzer(job.results / sorter / "analyzer.zarr")
    comparison = compare_sorter_to_ground_truth(slow.truth, analyzer.sorting, exhaustive_gt=True)
    templates = analyzer.get_extension("templates").get_data()
    filtered = highpass_filter(slow.recording, freq_min=300.0).get_traces(return_in_uV=True)
    for channel in UNITS:
        found = comparison.best_match_12[str(channel)]
        template = templates[analyzer.sorting.id_to_index(found)]
        true = filtered[slow.truth.get_unit_spike_train(str(channel)), channel].mean()
        assert int(template.min(axis=0).argmin()) == channel
        assert template.min() == pytest.approx(true, rel=0.1)


def test_the_report_has_a_drift_map(job: Job) -> None:
    report = (job.results / "report.html").read_text()
    assert "Depth of the detected peaks over time" in report
    assert "Traceback" not in job.log


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"SORTERS_KWARGS": json.dumps({"simple": {"freq_max": 6000}})},
            "SORTERS_KWARGS: simple: freq_max is 6000 Hz, and a recording sampled at 10000 Hz ",
        ),
        (
            {"PREPROCESSING": json.dumps({"bandpass_filter": {"freq_max": 6000}})},
            "PREPROCESSING: bandpass_filter: freq_max is 6000 Hz, and a recording sampled at ",
        ),
    ],
    ids=["sorter", "preprocessing"],
)
def test_a_given_band_that_does_not_fit_is_refused_once_the_recording_is_open(
    tmp_path: Path, slow: Simulated, variables: dict[str, str], message: str
) -> None:
    job = run_on(tmp_path, slow.recording, variables)
    assert_refused(job, 78, message)
    assert [step["name"] for step in job.record["steps"]][:3] == ["check", "fetch", "open"]
    assert not {"preprocess", "sort with simple"} & {step["name"] for step in job.record["steps"]}
