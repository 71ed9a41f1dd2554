"""Whole jobs on inputs made after public bug reports: what is found has to be what is true.

Each case is a program in tests/cases that writes an input and its truth.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
import spikeinterface as si

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.cases import Case, write_case
from tests.support.job import ONE_WORKER, Job, assert_refused, assert_succeeded, run_job
from tests.support.true_units import found_units

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

#: the filter of the analysis takes off up to a tenth of a wide spike
AMPLITUDE_PART = 0.12


def run_case(folder: Path, name: str, *arguments: str, **variables: str) -> tuple[Job, Case]:
    """Write a case and run its job, with some of its variables replaced."""
    case = write_case(folder / "case", name, *arguments)
    return run_job(folder / "job", {**case.variables, **ONE_WORKER, **variables}), case


def assert_neurons_found(
    job: Job,
    case: Case,
    sorter: str,
    accuracies: float | Sequence[float] = 0.8,
    channel: Callable[[int], str] = str,
) -> None:
    """Each neuron has a unit of its own spikes, on its own channel, at its own size."""
    least = np.broadcast_to(accuracies, len(case.truth["units"]))
    for neuron, found, accuracy in zip(
        case.truth["units"], found_units(job.results, sorter, case.truth), least, strict=True
    ):
        if accuracy == 0:
            continue
        assert found.accuracy >= accuracy
        assert found.channel == channel(neuron["channel"])
        assert found.amplitude_uv == pytest.approx(neuron["amp"], rel=AMPLITUDE_PART)
        assert abs(found.offset) <= 2


def test_neurons_on_tetrodes_keep_their_amplitudes(tmp_path: Path) -> None:
    job, case = run_case(tmp_path, "tetrodes", SORTERS="tridesclous2")
    assert_succeeded(job)
    # the two on the third tetrode are one unit for this sorter
    assert_neurons_found(job, case, "tridesclous2", [0.9] * 4 + [0] * 2 + [0.9] * 2)
    [run] = job.record["sorters"]
    assert run["labels"]["noise"] == 0


def test_no_channel_of_a_second_probe_is_removed(tmp_path: Path) -> None:
    job, case = run_case(tmp_path, "two_probes", SORTERS="simple")
    assert_succeeded(job)
    assert job.record["preprocessing"]["bad_channels"] == {}
    assert len(job.record["preprocessing"]["channel_checks"]) == 96
    assert_neurons_found(job, case, "simple")


@pytest.mark.parametrize("arguments", [(), ("binary",)])
def test_channels_without_gains_are_all_sorted(tmp_path: Path, arguments: Sequence[str]) -> None:
    job, case = run_case(tmp_path, "nwb_without_conversion", *arguments)
    assert_succeeded(job)
    assert job.record["preprocessing"]["bad_channels"] == {}
    assert job.record["recording"]["gain_to_uv"] is None
    found = found_units(job.results, "simple", case.truth)
    assert [unit.accuracy >= 0.8 for unit in found] == [True] * 4
    for neuron, unit in zip(case.truth["units"], found, strict=True):
        in_counts = neuron["amp"] / 0.195
        assert unit.amplitude_uv == pytest.approx(in_counts, rel=AMPLITUDE_PART)


def test_volts_reach_kilosort4_in_microvolts(tmp_path: Path) -> None:
    job, case = run_case(tmp_path, "nwb_floats", "1e-6", SORTERS="kilosort4")
    assert_succeeded(job)
    assert_neurons_found(job, case, "kilosort4", channel=lambda c: str(c))


def test_triggers_that_overlap_are_sorted_once(tmp_path: Path) -> None:
    job, case = run_case(
        tmp_path, "spikeglx_triggers", "overlap", SORTERS="simple", EXPORTS="nwb,phy"
    )
    assert_succeeded(job)
    fs, first = case.truth["fs"], case.truth["first"]
    times = nwb_times(job.results / "simple" / "units.nwb")
    n_matched = 0
    for neuron in case.truth["session_times"]:
        true = (np.array(neuron) + first) / fs
        best = max(times, key=lambda unit: matched(true, unit, 1.5 / fs))
        n_found = matched(true, best, 1.5 / fs)
        n_matched += n_found > 0.8 * len(true)
        assert np.all(np.diff(best) > 0.2e-3)  # no spike is there twice
    assert n_matched >= 3
    assert any("two segments" in note for note in job.record["recording"]["notes"])


def test_times_follow_the_clock_over_lost_samples(tmp_path: Path) -> None:
    job, case = run_case(tmp_path, "openephys_gap", SORTERS="simple")
    assert_succeeded(job)
    truth = case.truth
    sorting = si.load(job.results / "simple" / "sorting")
    for unit, times in zip(
        sorting.unit_ids, nwb_times(job.results / "simple" / "units.nwb"), strict=True
    ):
        frames = sorting.get_unit_spike_train(unit, segment_index=0)
        numbers = frames + truth["numbers_start"] + (frames >= truth["gap_at"]) * truth["gap"]
        assert times == pytest.approx(numbers / truth["fs"], abs=1 / truth["fs"])
    assert_neurons_found(job, case, "simple", channel=lambda c: f"CH{c + 1}")
    assert any("1 gap, 0.7 s in all" in note for note in job.record["recording"]["notes"])


def test_auxiliary_channels_are_not_sorted(tmp_path: Path) -> None:
    job, case = run_case(tmp_path, "openephys_gap", "aux", SORTERS="simple", EXPORTS="")
    assert_succeeded(job)
    assert job.record["recording"]["n_channels"] == 16
    assert any("AUX1" in note for note in job.record["recording"]["notes"])
    assert_neurons_found(job, case, "simple", channel=lambda c: f"CH{c + 1}")


def test_split_intan_files_are_sorted_as_one_session(tmp_path: Path) -> None:
    case = write_case(tmp_path / "case", "intan_split")
    refused = run_job(tmp_path / "refused", case.variables)
    assert_refused(refused, 78, "DATA_TYPE=split_intan_files")
    job = run_job(
        tmp_path / "job",
        {**case.variables, **ONE_WORKER, "DATA_TYPE": "split_intan_files", "SORTERS": "simple"},
    )
    assert_succeeded(job)
    assert_neurons_found(job, case, "simple", channel=lambda c: f"A-{c:03d}")


@pytest.mark.parametrize("arguments", [(), ("unconnected",)])
def test_only_wired_channels_are_sorted(tmp_path: Path, arguments: Sequence[str]) -> None:
    job, case = run_case(tmp_path, "probe_smaller_than_headstage", *arguments, SORTERS="simple")
    assert_succeeded(job)
    assert job.record["recording"]["n_channels"] == 32
    assert_neurons_found(job, case, "simple")


@pytest.mark.parametrize("kind", ["process", "names", "zstd"])
def test_unusual_nwb_series_are_sorted(tmp_path: Path, kind: str) -> None:
    job, case = run_case(tmp_path, "nwb_shapes", kind, SORTERS="simple", EXPORTS="")
    assert_succeeded(job)
    found = found_units(job.results, "simple", case.truth)
    for neuron, unit in zip(case.truth["units"], found, strict=True):
        assert unit.accuracy >= 0.8
        assert unit.amplitude_uv == pytest.approx(neuron["amp"], rel=AMPLITUDE_PART)


def test_transposed_nwb_data_are_refused(tmp_path: Path) -> None:
    job, _ = run_case(tmp_path, "nwb_shapes", "transposed")
    assert_refused(job, 65, "transposed")


@pytest.mark.parametrize("arguments", [("64", "5"), ("16", "0.1")])
def test_a_tiny_segment_changes_nothing(tmp_path: Path, arguments: Sequence[str]) -> None:
    job, case = run_case(tmp_path, "tiny_segments", *arguments, SORTERS="simple")
    assert_succeeded(job)
    assert job.record["preprocessing"]["bad_channels"] == {}
    assert_neurons_found(job, case, "simple")


@pytest.mark.parametrize("arguments", [(), ("all",)])
def test_a_field_potential_is_never_sorted(tmp_path: Path, arguments: Sequence[str]) -> None:
    job, case = run_case(tmp_path, "neuroscope_lfp_only", *arguments, SORTERS="simple")
    if not arguments:
        assert_refused(job, 65, "session.eeg")
        return
    assert_succeeded(job)
    assert job.record["recording"]["segment_durations_s"] == [10.0]
    assert_neurons_found(job, case, "simple", channel=lambda c: str(c))


def test_saturated_unsigned_samples_do_not_wrap(tmp_path: Path) -> None:
    job, case = run_case(tmp_path, "uint16_rails", SORTERS="simple")
    assert_succeeded(job)
    assert_neurons_found(job, case, "simple")


def nwb_times(file: Path) -> list[np.ndarray]:
    """Return the spike times of each unit, in seconds."""
    with h5py.File(file) as nwb:
        times, ends = nwb["units/spike_times"][:], nwb["units/spike_times_index"][:]
    return np.split(times, ends[:-1])


def matched(true: np.ndarray, found: np.ndarray, tolerance_s: float) -> int:
    """How many of the true times have a found one within the tolerance."""
    nearest = np.abs(np.subtract.outer(true, found)).min(axis=1)
    return int((nearest <= tolerance_s).sum())
