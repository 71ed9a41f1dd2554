"""Sources that were made to run a program, or to read what is not theirs, when they are opened."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
import zarr
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.job import assert_refused, assert_succeeded, run_job
from tests.support.nwb_files import write_nwb
from tests.support.planted import Toucher, toucher_extractor
from tests.support.recordings import (
    simulate,
    write_binary_folder,
    write_open_ephys,
    write_probe,
    write_zarr_folder,
)

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface says so when it saves a recording that exists only in memory, as ours do
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
    # SpikeInterface leaves the file of a saved recording to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

#: a mutation of a source; what it plants runs when it makes the witness, the second path
Plant = Callable[[Path, Path], None]


def objects(witness: Path) -> np.ndarray:
    """Return an array that numpy pickles."""
    return np.array([Toucher(witness)] * 8, dtype=object)


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=8, n_units=2)[0]


def opened(path: Path, data_type: str) -> BaseRecording:
    return open_source(FetchedSource(path=path), data_type, {}, None).recording


def test_the_planted_files_would_run_a_program(tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    pickle.loads(pickle.dumps(Toucher(tmp_path / "pickled")))  # noqa: S301
    assert (tmp_path / "pickled").exists()
    np.save(tmp_path / "array.npy", objects(tmp_path / "loaded"))
    np.load(tmp_path / "array.npy", allow_pickle=True)
    assert (tmp_path / "loaded").exists()
    with pytest.raises(AttributeError):  # of what is no recording, after it was called
        si.load(toucher_extractor(tmp_path / "imported"))
    assert (tmp_path / "imported").exists()


def plant_property(folder: Path, witness: Path) -> None:
    np.save(folder / "properties" / "quality.npy", objects(witness))


def plant_class(folder: Path, _: Path) -> None:
    described = json.loads((folder / "binary.json").read_text())
    described["class"] = "planted.module.BinaryRecordingExtractor"
    (folder / "binary.json").write_text(json.dumps(described))


def plant_extractor_as_description(folder: Path, witness: Path) -> None:
    (folder / "binary.json").write_text(json.dumps(toucher_extractor(witness)))


def plant_extractor_as_file(folder: Path, witness: Path) -> None:
    described = json.loads((folder / "binary.json").read_text())
    described["kwargs"]["file_paths"] = [toucher_extractor(witness)]
    (folder / "binary.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (plant_property, "quality.npy .*pickled Python objects.*save the recording without them"),
        (plant_class, "names the class 'planted.module.BinaryRecordingExtractor'.*save the"),
        (plant_extractor_as_description, "names the class 'subprocess.check_call'"),
        (plant_extractor_as_file, "saved/binary.json: kwargs.file_paths.0: .*save the recording"),
    ],
)
def test_a_saved_folder_that_would_run_a_program_is_refused(
    tmp_path: Path, simulated: BaseRecording, plant: Plant, message: str
) -> None:
    folder = write_binary_folder(tmp_path / "saved", simulated)
    assert_refused_without_growth(folder, "binary", plant, message)


def plant_filter(folder: Path, witness: Path) -> None:
    """Plant a pickle as the content of a property, with its codec."""
    metadata = folder / "properties" / "group" / ".zarray"
    described = {**json.loads(metadata.read_text()), "dtype": "|O", "compressor": None}
    described["filters"] = [{"id": "pickle", "protocol": 5}]
    metadata.write_text(json.dumps(described))
    for chunk in metadata.parent.glob("[0-9]*"):
        chunk.write_bytes(pickle.dumps(objects(witness)))


def plant_compressor(folder: Path, _: Path) -> None:
    metadata = folder / "traces_seg0" / ".zarray"
    described = {**json.loads(metadata.read_text()), "compressor": {"id": "pickle", "protocol": 5}}
    metadata.write_text(json.dumps(described))


def plant_in_consolidated_metadata(folder: Path, _: Path) -> None:
    zarr.consolidate_metadata(str(folder))
    metadata = folder / ".zmetadata"
    described = json.loads(metadata.read_text())
    described["metadata"]["channel_ids/.zarray"]["filters"] = [{"id": "pickle", "protocol": 5}]
    metadata.write_text(json.dumps(described))


@pytest.mark.parametrize("plant", [plant_filter, plant_compressor, plant_in_consolidated_metadata])
def test_a_zarr_folder_with_pickled_arrays_is_refused(
    tmp_path: Path, simulated: BaseRecording, plant: Plant
) -> None:
    folder = write_zarr_folder(tmp_path / "saved.zarr", simulated)
    message = "declares pickled Python objects, .*save the recording without them"
    assert_refused_without_growth(folder, "zarr", plant, message)


def plant_sample_numbers(folder: Path, witness: Path) -> None:
    for file in folder.rglob("*.npy"):
        np.save(file, objects(witness))


def test_pickled_sample_numbers_of_open_ephys_are_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    folder = write_open_ephys(tmp_path / "saved", simulated)
    assert_refused_without_growth(folder, "openephys", plant_sample_numbers, "cannot be read with")


@pytest.mark.parametrize("named", ["absolute", "relative"])
def test_traces_of_open_ephys_outside_the_source_are_refused(
    tmp_path: Path, simulated: BaseRecording, named: str
) -> None:
    folder = write_open_ephys(tmp_path / "saved", simulated)
    description = next(folder.rglob("structure.oebin"))
    described = json.loads(description.read_text())
    stream = described["continuous"][0]
    outside = tmp_path / "of-a-victim"
    continuous = description.parent / "continuous"
    (continuous / stream["folder_name"]).rename(outside)
    stream["folder_name"] = f"{outside}/"
    if named == "relative":
        stream["folder_name"] = f"{os.path.relpath(outside, continuous)}/"
    description.write_text(json.dumps(described))
    with pytest.raises(RecordingError, match=r"of-a-victim/continuous\.dat, which is not part of"):
        opened(folder, "openephys")


def plant_pickle_in_place_of_the_file(folder: Path, witness: Path) -> None:
    (folder / "recording.nwb").write_bytes(pickle.dumps(Toucher(witness)))


def test_a_pickle_called_nwb_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_nwb(tmp_path / "recording.nwb", simulated).parent
    message = "recording.nwb is not a valid HDF5 file|cannot be read with DATA_TYPE=nwb"
    assert_refused_without_growth(folder, "nwb", plant_pickle_in_place_of_the_file, message)


def assert_refused_without_growth(folder: Path, data_type: str, plant: Plant, message: str) -> None:
    """Check that the source is refused with code 65, and the planted program has not run."""
    witness = folder.with_name("witness")
    plant(folder, witness)
    with pytest.raises(RecordingError, match=message) as caught:
        opened(folder, data_type)
    assert caught.value.exit_code == 65
    assert "\n" not in str(caught.value)
    assert not witness.exists()


@pytest.mark.sorting
def test_files_beside_a_recording_are_not_run(tmp_path: Path, simulated: BaseRecording) -> None:
    """No step reads SpikeInterface's provenance, which may be a pickle, or imports annotations."""
    folder = write_binary_folder(tmp_path / "source" / "saved", simulated)
    witness = tmp_path / "witness"
    (folder / "provenance.pkl").write_bytes(pickle.dumps(Toucher(witness)))
    for name in ("provenance.json", "cached.json", "si_folder.json"):
        (folder / name).write_text(json.dumps(toucher_extractor(witness)))
    annotations = json.loads((folder / "annotations.json").read_text())
    annotations["parent"] = toucher_extractor(witness)
    (folder / "annotations.json").write_text(json.dumps(annotations))
    write_probe(folder / "probegroup.json", simulated)
    job = run_job(
        tmp_path / "job",
        {"SOURCE_FOLDER": str(folder.parent), "DATA_TYPE": "binary", "SORTERS": "simple"},
    )
    assert_succeeded(job)
    assert not witness.exists()


def test_a_whole_job_refuses_a_pickle(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_binary_folder(tmp_path / "source" / "saved", simulated)
    plant_property(folder, tmp_path / "witness")
    job = run_job(
        tmp_path / "job",
        {"SOURCE_FOLDER": str(folder.parent), "DATA_TYPE": "binary", "SORTERS": "simple"},
    )
    assert_refused(job, 65, "quality.npy among the properties of saved holds pickled Python")
    assert not (tmp_path / "witness").exists()
