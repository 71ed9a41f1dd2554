"""Groups of channels that are sorted by themselves, with SPLIT_BY."""

import os
import signal
import time
import uuid
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import spikeinterface as si

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.job import (
    ONE_WORKER,
    Job,
    assert_succeeded,
    run_job,
    sorter_processes,
    start_job,
    wait_for_log,
)
from tests.support.layouts import Signals, record, staggered
from tests.support.recordings import write_binary_folder
from tests.support.true_units import found_units

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

#: nearer to each other than the radius of a template
SHANK_SPACING_UM = 60.0
N_SHANKS = 4
N_CHANNELS = 8
N_NEURONS = 2


def record_shanks(folder: Path) -> tuple[Path, list[list[np.ndarray]]]:
    """Write four shanks, a to d, and return the spike times of the neurons of each."""
    shanks, times = [], []
    for shank in range(N_SHANKS):
        signals = Signals(n_neurons=N_NEURONS, duration_s=8.0, seed=shank)
        contacts = staggered(N_CHANNELS, x_um=SHANK_SPACING_UM * shank)
        recording, neurons = record([contacts], signals)
        shanks.append(recording)
        times.append([neuron.frames for neuron in neurons])
    joined = si.aggregate_channels(shanks, renamed_channel_ids=np.arange(N_SHANKS * N_CHANNELS))
    joined.set_property("shank", np.repeat(list("abcd"), N_CHANNELS))
    return write_binary_folder(folder, joined), times


def test_each_shank_is_sorted_by_itself(tmp_path: Path) -> None:
    source, times = record_shanks(tmp_path / "source")
    identifier = str(uuid.uuid4())
    variables = ONE_WORKER | {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": "binary",
        "SORTERS": "simple",
        "SPLIT_BY": "shank",
        "EXPORTS": "nwb,phy",
        "RUN_IDENTIFIER": identifier,
    }
    with start_job(tmp_path / "job", variables) as process:  # and stopped in the second of them
        wait_for_log(process, "simple: shank b, 8 channels")
        wait_for_sorter(identifier)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
        assert process.returncode == 75, log
    job = run_job(tmp_path / "job", variables)
    assert_succeeded(job)
    assert all((job.results / f"simple/group-{n}/sorter_log.json").is_file() for n in range(4))
    [run] = job.record["sorters"]
    sorting = si.load(job.results / "simple" / "sorting")
    shanks = sorting.get_property("shank")
    counts = [
        (each["group"], each["outcome"], each["n_channels"], each["n_units"])
        for each in run["groups"]
    ]
    assert run["split_by"] == "shank"
    assert counts == [
        (name, "sorted", N_CHANNELS, np.count_nonzero(shanks == name)) for name in "abcd"
    ]
    assert sum(each["seconds"] for each in run["groups"]) == pytest.approx(run["seconds"])
    assert list(sorting.unit_ids) == list(range(run["n_units"]))
    assert_neurons_found(job, times, shanks)
    assert_within_shanks(job, shanks)
    assert_exported(job, shanks)


def assert_neurons_found(job: Job, times: list[list[np.ndarray]], shanks: np.ndarray) -> None:
    """Every neuron has a unit of its own spikes, whose shank is its own."""
    sorting = si.load(job.results / "simple" / "sorting")
    for name, neurons in zip("abcd", times, strict=True):
        own = sorting.select_units(sorting.unit_ids[shanks == name])
        for frames in neurons:
            truth = {"units": [{"times": [frames.tolist()]}], "fs": sorting.sampling_frequency}
            [found] = found_units(job.results, "simple", truth)
            assert found.accuracy > 0.8
            assert int(found.channel) // N_CHANNELS == "abcd".index(name)
        assert own.get_num_units() >= N_NEURONS


def assert_within_shanks(job: Job, shanks: np.ndarray) -> None:
    """No unit has a channel of another shank."""
    analyzer = si.load_sorting_analyzer(job.results / "simple" / "analyzer.zarr")
    of_channels = analyzer.get_recording_property("shank")
    assert [set(of_channels[channels]) for channels in analyzer.sparsity.mask] == [
        {shank} for shank in shanks
    ]
    templates = analyzer.get_extension("templates").get_data()
    largest = np.ptp(templates, axis=1).argmax(axis=1)
    assert list(of_channels[largest]) == list(shanks)


def assert_exported(job: Job, shanks: np.ndarray) -> None:
    """The shank of each unit is in NWB, for phy and in the report."""
    folder = job.results / "simple"
    with h5py.File(folder / "units.nwb") as nwb:
        assert nwb["units/channel_group"].asstr()[:].tolist() == list(shanks)
    table = pd.read_csv(folder / "phy" / "cluster_channel_group.tsv", sep="\t")
    assert list(table["channel_group"]) == list(shanks)
    shank_numbers = np.load(folder / "phy" / "channel_shanks.npy")
    assert list(shank_numbers) == np.repeat(range(N_SHANKS), N_CHANNELS).tolist()
    page = (job.results / "report.html").read_text()
    assert "<dt>shank d</dt><dd>8 channels, " in page
    assert page.count("<td>d</td>") == np.count_nonzero(shanks == "d")


def test_sorter_that_fails_for_one_group_keeps_the_units_of_the_others(tmp_path: Path) -> None:
    groups = [staggered(8), staggered(8, x_um=500.0)]
    recording, _ = record(groups, Signals(n_neurons=9, duration_s=4.0))
    source = write_binary_folder(tmp_path / "source", recording)
    identifier = str(uuid.uuid4())
    variables = ONE_WORKER | {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": "binary",
        "SORTERS": "simple",
        "SPLIT_BY": "group",
        "RUN_IDENTIFIER": identifier,
    }
    with start_job(tmp_path / "job", variables) as process:
        log = wait_for_log(process, "simple: group 1, 8 channels")
        for number in wait_for_sorter(identifier):
            os.kill(number, signal.SIGKILL)
        _, rest = process.communicate(timeout=120)
    job = Job(folder=tmp_path / "job", exit_code=process.returncode, output="", log=log + rest)
    assert job.exit_code == 70, job.log
    reason = "1 of 2 groups failed (group 1: killed by SIGKILL"
    assert job.errors[-1].startswith(f"1 of 1 sorters failed (simple: {reason}")
    [run] = job.record["sorters"]
    assert (run["outcome"], run["reason"][: len(reason)]) == ("sorted", reason)
    assert [each["outcome"] for each in run["groups"]] == ["sorted", "failed"]
    assert run["groups"][0]["n_units"] == run["n_units"] > 0
    assert set(si.load(job.results / "simple" / "sorting").get_property("group")) == {0}
    assert (job.results / "simple" / "analyzer.zarr").is_dir()


def wait_for_sorter(identifier: str) -> list[int]:
    """Return the processes of the sorter of a job as soon as there are any."""
    deadline = time.monotonic() + 30
    while not (running := sorter_processes(identifier)):
        assert time.monotonic() < deadline, "the sorter did not start"
        time.sleep(0.02)
    return running
