"""Which electrodes and gains the rows of samples of electrode arrays have."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from probeinterface import generate_linear_probe, write_probeinterface

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.load import open_recording
from tests.support import timed_files
from tests.support.acquisition_formats import write_maxwell

pytestmark = pytest.mark.integration

N_CHANNELS = 4
N_FRAMES = 20_000


def numbered_rows(n_rows: int = N_CHANNELS) -> np.ndarray:
    """Return samples around a hundred times the number of their row."""
    return timed_files.noise(N_FRAMES, n_rows) % 7 + 100 * np.arange(n_rows)


def rows_read(traces: np.ndarray) -> list[int]:
    return [int(level) for level in np.median(traces, axis=0) // 100]


def write_probe(file: Path, n_contacts: int, first: int = 0) -> Path:
    probe = generate_linear_probe(n_contacts, 25.0)
    probe.set_device_channel_indices(np.arange(first, first + n_contacts))
    write_probeinterface(file, probe)
    return file


def write_mcs(file: Path, **columns: object) -> Path:
    """Write numbered rows, with these columns of InfoChannel."""
    timed_files.write_mcs(file, [(0, N_FRAMES)], numbered_rows())
    with h5py.File(file, "a") as opened:
        stream = opened["Data/Recording_0/AnalogStream/Stream_0"]
        info = stream["InfoChannel"][:]
        layout = [(name, info.dtype[name]) for name in info.dtype.names]
        wider = np.zeros(len(info), [*layout, ("RowIndex", "i4")])
        for name in info.dtype.names:
            wider[name] = info[name]
        wider["RowIndex"] = np.arange(len(info))
        for name, values in columns.items():
            wider[name] = values
        del stream["InfoChannel"]
        stream["InfoChannel"] = wider
    return file


def test_each_channel_of_multi_channel_systems_has_its_own_gain_and_zero(tmp_path: Path) -> None:
    factors, zeros = np.array([1000, 2000, 1000, 4000]), np.array([0, 100, 32768, -5])
    file = write_mcs(tmp_path / "a.h5", ConversionFactor=factors, ADZero=zeros)
    recording = open_recording(file, "mcsh5", {})
    microvolts = (numbered_rows() - zeros) * factors * 1e-9 * 1e6
    np.testing.assert_allclose(recording.get_traces(return_in_uV=True), microvolts, rtol=1e-5)


def test_rows_of_multi_channel_systems_in_another_order_are_refused(tmp_path: Path) -> None:
    file = write_mcs(tmp_path / "a.h5", RowIndex=[3, 2, 1, 0])
    with pytest.raises(RecordingError, match=r"another order than the rows of samples"):
        open_recording(file, "mcsh5", {})


def write_routed(file: Path, channels: list[int]) -> Path:
    """Write Maxwell's newer layout, with the channel of each row."""
    write_maxwell(file, numbered_rows())
    with h5py.File(file, "a") as opened:
        opened["wells/well000/rec0000/groups/routed/channels"] = np.array(channels, "u2")
    return file


def test_maxwell_rows_in_the_order_of_the_mapping_are_read(tmp_path: Path) -> None:
    file = write_routed(tmp_path / "a.raw.h5", [0, 1, 2, 3])
    recording = open_recording(file, "maxwell", {})
    assert rows_read(recording.get_traces() - 512) == [0, 1, 2, 3]
    np.testing.assert_array_equal(
        recording.get_channel_locations()[:, 0], 17.5 * np.arange(N_CHANNELS)
    )


def test_maxwell_rows_in_another_order_ask_for_the_probe(tmp_path: Path) -> None:
    file = write_routed(tmp_path / "a.raw.h5", [3, 2, 1, 0])
    with pytest.raises(RecordingError, match=r"give the probe as PROBE_FILE, wired by the rows"):
        open_recording(file, "maxwell", {})
    probe_file = write_probe(tmp_path / "probe.json", N_CHANNELS)
    recording = open_recording(file, "maxwell", {}, probe_file)
    assert rows_read(recording.get_traces() - 512) == [0, 1, 2, 3]
    np.testing.assert_array_equal(recording.get_channel_locations()[:, 1], [0, 25, 50, 75])


@pytest.mark.parametrize("has_probe_file", [False, True])
def test_a_part_of_the_rows_of_older_maxwell_files_is_refused(
    tmp_path: Path, has_probe_file: bool
) -> None:
    """The reader takes the first rows, whichever the mapping names."""
    file = write_old_maxwell(tmp_path / "a.raw.h5", [10, 11, 20, 21])
    probe_file = write_probe(tmp_path / "probe.json", 3, first=1) if has_probe_file else None
    with pytest.raises(RecordingError, match=r"64 rows of samples, of which 4 are mapped"):
        open_recording(file, "maxwell", {}, probe_file)


def test_all_rows_of_older_maxwell_files_are_read(tmp_path: Path) -> None:
    file = write_old_maxwell(tmp_path / "a.raw.h5", list(range(64)))
    recording = open_recording(file, "maxwell", {})
    assert rows_read(recording.get_traces()) == list(range(64))


def write_old_maxwell(file: Path, channels: list[int]) -> Path:
    """Write the layout of 2016: the samples of all amplifiers, and the routed ones' electrodes."""
    columns = [("channel", "i4"), ("electrode", "i4"), ("x", "f8"), ("y", "f8")]
    mapping = np.zeros(len(channels), columns)
    mapping["channel"] = mapping["electrode"] = channels
    mapping["x"] = 17.5 * np.array(channels)
    with h5py.File(file, "w") as opened:
        opened["version"] = np.array([b"20160704"])
        opened["mapping"] = mapping
        opened["settings/lsb"] = np.array([6e-6])
        opened["sig"] = numbered_rows(64).T.astype("uint16")
    return file


def write_biocam(
    file: Path,
    stored: list[int],
    wells: tuple[str, ...] = ("Well_A1",),
    table: tuple[tuple[int, int], ...] = ((0, N_FRAMES // 2), (N_FRAMES // 2, N_FRAMES)),
) -> Path:
    """Write 3Brain's BRW of version 4."""
    converter = {"MaxAnalogValue": 4125.0, "MinAnalogValue": -4125.0, "ScaleFactor": 1.0}
    settings = {
        "ValueConverter": {**converter, "MaxDigitalValue": 4095, "MinDigitalValue": 0},
        "TimeConverter": {"FrameRate": 20000.0},
        "MeaPlate": {"Model": "Accura"},
    }
    with h5py.File(file, "w") as opened:
        opened["ExperimentSettings"] = np.array([json.dumps(settings).encode()])
        opened["TOC"] = np.array(table)
        for well in wells:
            opened[f"{well}/StoredChIdxs"] = np.array(stored, "i4")
            opened[f"{well}/Raw"] = numbered_rows(len(stored)).astype("uint16").ravel()
    return file


def test_biocam_files_of_all_electrodes_are_read(tmp_path: Path) -> None:
    recording = open_recording(write_biocam(tmp_path / "a.brw", list(range(16))), "biocam", {})
    assert rows_read(recording.get_traces()) == list(range(16))
    np.testing.assert_array_equal(
        recording.get_channel_locations()[:5], [[0, 0], [0, 60], [0, 120], [0, 180], [60, 0]]
    )


def test_biocam_files_of_some_electrodes_ask_for_the_probe(tmp_path: Path) -> None:
    file = write_biocam(tmp_path / "a.brw", [0, 2, 128, 130])
    with pytest.raises(RecordingError, match=r"Well_A1 holds 4 electrodes of an array.*; give the"):
        open_recording(file, "biocam", {})
    probe_file = write_probe(tmp_path / "probe.json", 4)
    recording = open_recording(file, "biocam", {}, probe_file)
    assert rows_read(recording.get_traces()) == [0, 1, 2, 3]
    np.testing.assert_array_equal(recording.get_channel_locations()[:, 1], [0, 25, 50, 75])


def test_biocam_files_that_the_reader_cannot_place_at_all_name_another_way(tmp_path: Path) -> None:
    file, probe_file = tmp_path / "a.brw", write_probe(tmp_path / "probe.json", 3)
    with pytest.raises(RecordingError, match=r"; write the samples to a raw file"):
        open_recording(write_biocam(file, [0, 2, 128]), "biocam", {}, probe_file)


def test_biocam_files_of_several_wells_are_refused(tmp_path: Path) -> None:
    file = write_biocam(tmp_path / "a.brw", list(range(16)), wells=("Well_A1", "Well_A2"))
    with pytest.raises(RecordingError, match=r"2 wells \(Well_A1, Well_A2\)"):
        open_recording(file, "biocam", {})


def test_a_pause_in_a_biocam_file_is_refused(tmp_path: Path) -> None:
    pause = ((0, N_FRAMES // 2), (50_000, 50_000 + N_FRAMES // 2))
    file = write_biocam(tmp_path / "a.brw", list(range(16)), table=pause)
    with pytest.raises(RecordingError, match=r"paused, by the TOC"):
        open_recording(file, "biocam", {})
