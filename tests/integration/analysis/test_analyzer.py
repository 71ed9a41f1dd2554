"""The analysis of sortings, good and odd ones, as a user opens it afterwards."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spikeinterface as si
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.analysis.analyzer import AnalysisFolders, analyze
from spikeinterface_cloud.analysis.extensions import EXTENSIONS
from spikeinterface_cloud.analysis.sparsity import main_channels, unit_channels
from spikeinterface_cloud.config.parsing import UNIT_PROPERTIES
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.sorting.cleanup import remove_impossible_spikes
from spikeinterface_cloud.sorting.in_memory import from_trains
from tests.support.layouts import Signals, linear, record
from tests.support.recordings import simulate

pytestmark = [
    pytest.mark.integration,
    # traces and sortings in memory come from no file
    pytest.mark.filterwarnings("ignore:The extractor is not serializable"),
    pytest.mark.filterwarnings("ignore:The Recording is not serializable"),
    # seconds of recording and tens of spikes are too little for some metrics, which are NaN then
    pytest.mark.filterwarnings("ignore::UserWarning:spikeinterface.metrics"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    # SpikeInterface 0.105 on pandas 3.1
    pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning"),
]

Trains = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True, slots=True)
class Analyzed:
    """How an analysis ended, and the folder of its results."""

    run: SorterRun
    sorting: si.BaseSorting
    folder: Path

    @property
    def labels(self) -> pd.DataFrame:
        """`unit_labels.csv`."""
        return pd.read_csv(self.folder / "unit_labels.csv", index_col="unit_id", dtype=str)

    @property
    def analyzer(self) -> si.SortingAnalyzer:
        """`analyzer.zarr`, opened as a user does."""
        return si.load_sorting_analyzer(self.folder / "analyzer.zarr")


def analyzed(folder: Path, recording: BaseRecording, trains: Trains | Sequence[Trains]) -> Analyzed:
    """Analyze units with these spikes (of each segment) in the recording."""
    segments = [trains] if isinstance(trains, Mapping) else list(trains)
    found = si.NumpySorting.from_unit_dict(segments, recording.sampling_frequency)
    run = SorterRun(sorter="simple", outcome="sorted", n_units=found.get_num_units(), parameters={})
    results = folder / "results"
    results.mkdir(parents=True)
    run, sorting = analyze(
        run, found, recording, AnalysisFolders(scratch=folder / "scratch", results=results)
    )
    return Analyzed(run=run, sorting=sorting, folder=results)


def trains_of(truth: si.BaseSorting, segment: int = 0) -> dict[str, np.ndarray]:
    """The true spikes by unit."""
    return {
        str(unit): truth.get_unit_spike_train(unit, segment_index=segment)
        for unit in truth.unit_ids
    }


@pytest.fixture(scope="module")
def simulated() -> tuple[BaseRecording, dict[str, np.ndarray]]:
    """Five seconds of 16 channels, and the spikes of three units in them."""
    recording, truth = simulate(duration_s=5.0, n_channels=16, n_units=3)
    return recording, trains_of(truth)


@pytest.fixture(scope="module")
def with_a_copy(tmp_path_factory: pytest.TempPathFactory) -> Analyzed:
    """An analysis of four units, of which one is another one found five samples late."""
    recording, truth = simulate(duration_s=5.0, n_channels=16, n_units=3)
    trains = trains_of(truth)
    folder = tmp_path_factory.mktemp("copy")
    return analyzed(folder, recording, {**trains, "copy": trains["0"] + 5})


def test_of_two_units_with_the_same_spikes_one_stays(with_a_copy: Analyzed) -> None:
    run = with_a_copy.run
    assert (run.outcome, run.n_units, run.n_redundant_units) == ("sorted", 3, 1)
    kept = ["0", "1", "2"]
    assert list(with_a_copy.sorting.unit_ids) == kept
    assert list(si.load(with_a_copy.folder / "sorting").unit_ids) == kept
    assert list(with_a_copy.analyzer.unit_ids) == kept
    assert list(with_a_copy.labels.index.astype(str)) == kept
    metrics = pd.read_csv(with_a_copy.folder / "quality_metrics.csv", index_col="unit_id")
    assert list(metrics.index.astype(str)) == kept


def test_a_curation_tool_finds_every_extension(with_a_copy: Analyzed) -> None:
    analyzer = with_a_copy.analyzer
    assert set(analyzer.get_loaded_extension_names()) == set(EXTENSIONS)
    assert analyzer.is_sparse()
    projections, units = analyzer.get_extension("principal_components").get_some_projections()
    assert len(projections) == len(units) > 0
    assert np.isfinite(projections).all()
    columns = analyzer.get_extension("quality_metrics").get_data().columns
    assert {"isolation_distance", "l_ratio", "d_prime", "silhouette", "drift_ptp"} <= set(columns)


def test_labels_are_in_the_table_the_run_the_sorting_and_the_analyzer(
    with_a_copy: Analyzed,
) -> None:
    labels = with_a_copy.labels
    assert list(labels.columns) == ["label", "decided_by", "bombcell", "bombcell_decided_by"]
    assert labels.notna().all().all()
    counts = labels["label"].value_counts()
    assert with_a_copy.run.labels == {
        label: counts.get(label, 0) for label in ("good", "mua", "noise")
    }
    for holder in (si.load(with_a_copy.folder / "sorting"), with_a_copy.analyzer.sorting):
        assert list(holder.get_property("label")) == list(labels["label"])
        assert list(holder.get_property("bombcell_label")) == list(labels["bombcell"])
        assert set(holder.get_property_keys()) == set(UNIT_PROPERTIES)  # which SPLIT_BY is not


def test_the_similarity_of_templates_is_that_of_spikeinterface(with_a_copy: Analyzed) -> None:
    analyzer = with_a_copy.analyzer.save_as(format="memory")
    ours = np.array(analyzer.get_extension("template_similarity").get_data())
    analyzer.compute("template_similarity")
    theirs = analyzer.get_extension("template_similarity").get_data()
    assert np.allclose(ours, theirs, atol=1e-5)
    assert 0.01 < np.abs(ours - np.eye(len(ours))).max() < 1.0, "nothing was compared"


def test_units_in_batches_have_the_main_channels_of_all_at_once(
    simulated: tuple[BaseRecording, dict[str, np.ndarray]],
) -> None:
    recording, trains = simulated
    sorting = si.NumpySorting.from_unit_dict([trains], recording.sampling_frequency)
    at_once = main_channels(sorting, recording, shared_memory_bytes=1024**3)
    in_batches = main_channels(sorting, recording, shared_memory_bytes=1)
    assert len(at_once) == 3
    assert list(in_batches) == list(at_once)


def test_unit_has_no_channels_of_another_group() -> None:
    """Though its neuron is larger on the other shank, and nearer than the radius of a template."""
    signals = Signals(n_neurons=1, duration_s=3.0)
    recording, [neuron] = record([linear(4), linear(4, x_um=30.0)], signals)
    nearer, farther = (0, 1) if neuron.channel < 4 else (1, 0)
    trains = {"near": neuron.frames, "far": neuron.frames + 1}
    sorting = si.NumpySorting.from_unit_dict([trains], recording.sampling_frequency)
    groups = recording.get_channel_groups()
    main, sparsity = unit_channels(sorting, recording, None, shared_memory_bytes=1024**3)
    assert list(main) == [neuron.channel] * 2
    assert all(set(groups[channels]) == {0, 1} for channels in sparsity.mask)
    sorting.set_property("shank", np.array([nearer, farther]))
    main, sparsity = unit_channels(sorting, recording, "shank", shared_memory_bytes=1024**3)
    assert list(groups[main]) == [nearer, farther]
    assert [set(groups[channels]) for channels in sparsity.mask] == [{nearer}, {farther}]
    assert recording.channel_ids[main[0]] == neuron.channel


def test_a_unit_of_one_spike_and_one_at_the_edges_are_analyzed_with_the_others(
    tmp_path: Path, simulated: tuple[BaseRecording, dict[str, np.ndarray]]
) -> None:
    recording, trains = simulated
    odd = {"single": np.array([30_000]), "edges": np.array([0, 149_999])}
    done = analyzed(tmp_path, recording, {"0": trains["0"], **odd})
    assert done.run.outcome == "sorted", done.run.reason
    assert done.labels.loc["single", "decided_by"] == "num_spikes=1<50; rp_contamination=nan"
    assert done.labels.loc["edges", "label"] == "noise"  # two places without a spike
    assert done.labels.loc["0", "label"] == "good"


@pytest.mark.parametrize("n_channels", [1, 4])
def test_a_sorting_of_one_unit_with_one_spike(tmp_path: Path, n_channels: int) -> None:
    recording, _ = simulate(duration_s=2.0, n_channels=n_channels, n_units=1)
    done = analyzed(tmp_path, recording, {"0": np.array([30_000])})
    assert done.run.outcome == "sorted", done.run.reason
    assert done.run.labels == {"good": 0, "mua": 1, "noise": 0}
    missing = set(EXTENSIONS) - set(done.analyzer.get_loaded_extension_names())
    assert missing == {"principal_components"}


def test_without_a_gain_what_needs_microvolts_is_left_out(
    tmp_path: Path, simulated: tuple[BaseRecording, dict[str, np.ndarray]]
) -> None:
    recording = simulated[0].clone()
    for name in ("gain_to_uV", "offset_to_uV"):
        recording.delete_property(name)
    done = analyzed(tmp_path, recording, simulated[1])
    assert done.run.outcome == "sorted", done.run.reason
    missing = set(EXTENSIONS) - set(done.analyzer.get_loaded_extension_names())
    assert missing == {"template_metrics"}
    assert not done.labels["bombcell_decided_by"].str.contains("amplitude_median").any()


def test_a_unit_may_be_silent_in_one_of_the_segments(tmp_path: Path) -> None:
    recording, truth = simulate(duration_s=[4.0, 2.0], n_channels=16, n_units=2)
    second = trains_of(truth, segment=1) | {"0": np.array([], dtype="int64")}
    done = analyzed(tmp_path, recording, [trains_of(truth), second])
    assert done.run.outcome == "sorted", done.run.reason
    saved = si.load(done.folder / "sorting")
    assert saved.get_num_segments() == done.analyzer.get_num_segments() == 2
    for unit in ("0", "1"):
        assert len(saved.get_unit_spike_train(unit, segment_index=0)) > 0
    assert len(saved.get_unit_spike_train("0", segment_index=1)) == 0


def test_a_sorting_that_cannot_be_analyzed_is_kept(
    tmp_path: Path,
    simulated: tuple[BaseRecording, dict[str, np.ndarray]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    recording, trains = simulated
    shorter = recording.frame_slice(0, 300)  # no waveform has room in it
    with caplog.at_level(logging.CRITICAL):
        done = analyzed(tmp_path, shorter, trains)
    assert done.run.outcome == "failed"
    assert done.run.reason is not None
    assert done.run.reason.startswith("found 3 units, but their analysis failed: ")
    assert done.sorting is not None
    assert list(done.sorting.unit_ids) == ["0", "1", "2"]


def test_spikes_outside_of_the_recording_and_found_twice_are_left_out() -> None:
    recording, _ = simulate(duration_s=[1.0, 1.0], n_channels=4, n_units=1)
    first = {
        "a": np.array([100, 103, 107, 400, 29_999, 30_000]),  # 0.1 ms apart, and one too late
        "b": np.array([100, 109]),  # 0.3 ms apart
        "c": np.array([31_000]),
    }
    second = {"a": np.array([50]), "b": np.array([-3, 7]), "c": np.array([30_001])}
    sorting = si.NumpySorting.from_unit_dict([first, second], 30_000.0)
    kept, n_removed = remove_impossible_spikes(sorting, recording)
    assert list(kept.unit_ids) == ["a", "b"], "a unit without spikes is none"
    spikes = [
        [list(kept.get_unit_spike_train(unit, segment_index=index)) for unit in ("a", "b")]
        for index in range(2)
    ]
    assert spikes == [[[100, 400, 29_999], [100, 109]], [[50], [7]]]
    assert n_removed == 6


@pytest.mark.parametrize("chosen", [np.s_[::4], np.s_[: 10**6 : 3]])
def test_a_fragment_is_left_out_and_not_the_whole_unit(
    tmp_path: Path, simulated: tuple[BaseRecording, dict[str, np.ndarray]], chosen: slice
) -> None:
    recording, trains = simulated
    name, train = max(trains.items(), key=lambda item: len(item[1]))
    heights = recording.get_traces()[train].min(axis=1)
    highest = np.sort(train[np.argsort(heights)[: len(train) // 4]])
    for fragment in (highest, train[chosen]):
        done = analyzed(tmp_path / str(len(fragment)), recording, {name: train, "part": fragment})
        assert done.sorting.unit_ids.tolist() == [name]


def test_joined_recordings_without_a_spike_in_the_last_one_are_analyzed(tmp_path: Path) -> None:
    recording, truth = simulate(duration_s=[4.0, 2.0], n_channels=8, n_units=2)
    silent = {str(unit): np.array([], "int64") for unit in truth.unit_ids}
    found = from_trains([trains_of(truth), silent], recording.sampling_frequency)
    run = SorterRun(sorter="simple", outcome="sorted", n_units=2, parameters={})
    folders = AnalysisFolders(
        scratch=tmp_path / "scratch", results=tmp_path, joined=[range(1), range(1, 2)]
    )
    run, sorting = analyze(run, found, recording, folders)
    assert run.outcome == "sorted"
    assert sorting.get_num_segments() == 2
    [last] = si.load(tmp_path / "recordings/2/sorting").segments
    assert si.load(tmp_path / "recordings/1/sorting").count_total_num_spikes() > 0
    assert all(len(last.get_unit_spike_train(unit, None, None)) == 0 for unit in sorting.unit_ids)
