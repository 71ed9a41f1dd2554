"""Recordings of several segments, and of two probes in one file."""

from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.job import ONE_WORKER, assert_succeeded, run_job
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import SpikeGlxRun, neuropixels_probe, simulate, write_spikeglx
from tests.support.sorted_results import assert_complete, n_true_units_found

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

SORTERS = ["simple", "spykingcircus2"]

#: seconds
SEGMENTS = [8.0, 5.0]


def test_segments_are_sorted_as_one_and_split_again(tmp_path: Path) -> None:
    recording, truth = simulate(duration_s=SEGMENTS, n_channels=16, n_units=3, seed=1)
    source = write_spikeglx(tmp_path / "source", recording, SpikeGlxRun(triggers=(0, 1)))
    job = run_job(
        tmp_path / "job",
        ONE_WORKER
        | {"SOURCE_FOLDER": str(source), "DATA_TYPE": "spikeglx", "SORTERS": ",".join(SORTERS)},
    )
    assert_succeeded(job)
    assert_complete(job.results, SORTERS)
    assert job.record["recording"]["segment_durations_s"] == SEGMENTS
    for sorter in SORTERS:
        sorting = si.load(job.results / sorter / "sorting")
        assert sorting.get_num_segments() == 2
        assert_within_segments(sorting)
        assert n_true_units_found(job.results, sorter, truth) == 3
        analyzer = si.load_sorting_analyzer(job.results / sorter / "analyzer.zarr")
        assert [analyzer.get_num_samples(index) for index in range(2)] == [240_000, 150_000]
    consensus = si.load(job.results / "comparison" / "consensus")
    assert consensus.get_num_segments() == 2


def assert_within_segments(sorting: si.BaseSorting) -> None:
    """Every segment has spikes, from its beginning to its end and no further."""
    for index, seconds in enumerate(SEGMENTS):
        spikes = np.concatenate(
            [sorting.get_unit_spike_train(unit, segment_index=index) for unit in sorting.unit_ids]
        )
        assert 0 <= spikes.min() < 30_000
        assert (seconds - 1.0) * 30_000 < spikes.max() < seconds * 30_000


def test_no_unit_spans_two_probes_that_share_positions(tmp_path: Path) -> None:
    """As in NWB files whose positions are relative to each electrode group."""
    left, left_truth = simulate(duration_s=10.0, n_channels=16, n_units=3, seed=1)
    right, right_truth = simulate(duration_s=10.0, n_channels=16, n_units=3, seed=3)
    both = si.aggregate_channels([left, right], renamed_channel_ids=range(32))
    truth = si.aggregate_units([left_truth, right_truth], renamed_unit_ids=range(6))
    positions = np.vstack([neuropixels_probe(16).contact_positions] * 2)
    layout = NwbLayout(positions=positions, groups=("left", "right"))
    file = write_nwb(tmp_path / "source" / "recording.nwb", both, layout)
    job = run_job(
        tmp_path / "job",
        ONE_WORKER | {"SOURCE_FOLDER": str(file.parent), "DATA_TYPE": "nwb", "SORTERS": "simple"},
    )
    assert_succeeded(job)
    assert job.record["recording"]["groups"] == {"left": 16, "right": 16}
    assert any("2 probes share positions" in note for note in job.record["recording"]["notes"])
    assert n_true_units_found(job.results, "simple", truth) >= 5
    analyzer = si.load_sorting_analyzer(job.results / "simple" / "analyzer.zarr")
    assert_on_one_probe_each(analyzer)


def assert_on_one_probe_each(analyzer: si.SortingAnalyzer) -> None:
    """Both probes have units, and no unit has a template on both of them."""
    groups = analyzer.get_recording_property("group")
    sides = {frozenset(groups[channels]) for channels in analyzer.sparsity.mask}
    assert sides == {frozenset({"left"}), frozenset({"right"})}
