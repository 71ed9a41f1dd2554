"""Results and scratch files that were made to run a program when a job reads them back."""

import json
from collections.abc import Callable
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import spikeinterface as si
import zarr

from spikeinterface_cloud.analysis.analyzer import load_analyzer, load_sorting, save_sorting
from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.preprocessing.binary_cache import write_once
from tests.support.planted import Toucher, toucher_extractor

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface says so when it saves what exists only in memory, as ours do
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
    pytest.mark.filterwarnings("ignore:The Recording is not serializable"),
]

STEPS = [{"name": "whiten", "params": {}}]


@pytest.fixture(scope="module")
def simulated() -> tuple[si.BaseRecording, si.BaseSorting]:
    recording, truth = si.generate_ground_truth_recording(
        durations=[2.0], num_channels=4, num_units=2, seed=0
    )
    return recording, truth


def test_the_planted_class_would_run_a_program(tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    with pytest.raises(AttributeError):  # of what is no recording, after it was called
        si.load(toucher_extractor(tmp_path / "witness"))
    assert (tmp_path / "witness").exists()


def test_a_sorting_is_loaded_without_the_class_that_its_file_names(
    tmp_path: Path, simulated: tuple[si.BaseRecording, si.BaseSorting]
) -> None:
    truth = simulated[1]
    save_sorting(truth, tmp_path / "sorting")
    described = json.dumps(toucher_extractor(tmp_path / "witness"))
    for name in ("si_folder.json", "cached.json", "provenance.json"):
        (tmp_path / "sorting" / name).write_text(described)
    loaded = load_sorting(tmp_path / "sorting")
    assert not (tmp_path / "witness").exists()
    assert loaded.unit_ids.tolist() == truth.unit_ids.tolist()
    np.testing.assert_array_equal(loaded.to_spike_vector(), truth.to_spike_vector())
    assert set(loaded.get_property_keys()) == set(truth.get_property_keys())


def plant_property(folder: Path, witness: Path) -> None:
    np.save(folder / "properties" / "quality.npy", np.array([Toucher(witness)] * 2, dtype=object))


def plant_spikes(folder: Path, witness: Path) -> None:
    np.save(folder / "spikes.npy", np.array([Toucher(witness)] * 2, dtype=object))


@pytest.mark.parametrize("plant", [plant_property, plant_spikes])
def test_a_sorting_with_pickles_is_refused(
    tmp_path: Path,
    simulated: tuple[si.BaseRecording, si.BaseSorting],
    plant: Callable[[Path, Path], None],
) -> None:
    save_sorting(simulated[1], tmp_path / "sorting")
    plant(tmp_path / "sorting", tmp_path / "witness")
    with pytest.raises((RecordingError, ValueError), match="pickle"):
        load_sorting(tmp_path / "sorting")
    assert not (tmp_path / "witness").exists()


@pytest.fixture
def analyzer(tmp_path: Path, simulated: tuple[si.BaseRecording, si.BaseSorting]) -> Path:
    """Return the folder of a saved analyzer."""
    made = si.create_sorting_analyzer(simulated[1], simulated[0], sparse=False)
    made.compute(["random_spikes", "templates"])
    made.save_as(format="zarr", folder=tmp_path / "analyzer.zarr")
    return tmp_path / "analyzer.zarr"


def test_an_analyzer_is_loaded_without_the_class_of_its_recording(
    tmp_path: Path, analyzer: Path
) -> None:
    root = zarr.open(str(analyzer), mode="a")
    content = np.empty(1, dtype=object)
    content[0] = toucher_extractor(tmp_path / "witness")
    root.create_dataset(
        "recording", data=content, object_codec=numcodecs.JSON(), overwrite=True, shape=(1,)
    )
    zarr.consolidate_metadata(root.store)
    loaded = load_analyzer(analyzer)
    assert not (tmp_path / "witness").exists()
    assert loaded.get_extension("templates").get_data().shape[0] == len(loaded.unit_ids) == 2
    si.load_sorting_analyzer(analyzer)  # which does run it
    assert (tmp_path / "witness").exists()


def test_an_analyzer_with_pickles_is_refused(tmp_path: Path, analyzer: Path) -> None:
    root = zarr.open(str(analyzer), mode="a")
    content = np.empty(1, dtype=object)
    content[0] = Toucher(tmp_path / "witness")
    root["extensions"]["templates"].create_dataset(
        "average", data=content, object_codec=numcodecs.Pickle(), overwrite=True, shape=(1,)
    )
    with pytest.raises(RecordingError, match="declares pickled Python objects"):
        load_analyzer(analyzer)
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize("file", ["si_folder.json", "binary.json"])
def test_a_preprocessed_recording_that_names_a_class_is_written_again(
    tmp_path: Path, simulated: tuple[si.BaseRecording, si.BaseSorting], file: str
) -> None:
    recording = simulated[0]
    write_once(recording, STEPS, tmp_path / "preprocessed")
    (tmp_path / "preprocessed" / file).write_text(
        json.dumps(toucher_extractor(tmp_path / "witness"))
    )
    again = write_once(recording, STEPS, tmp_path / "preprocessed")
    assert not (tmp_path / "witness").exists()
    np.testing.assert_array_equal(again.get_traces(), recording.get_traces())
