"""Times that SpikeInterface saved beside the traces, in files of today and of older versions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.load import open_recording
from tests.support.recordings import simulate, write_binary_folder, write_probe

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
]

N_FRAMES = 60_000


def times() -> np.ndarray:
    """Return times from 100 s on, with a gap of 5 s after a second."""
    counts = np.arange(N_FRAMES)
    return 100 + counts / 30_000 + 5.0 * (counts >= 30_000)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    recording = simulate(duration_s=2.0, n_channels=4, n_units=2)[0]
    recording.set_times(times(), segment_index=0)
    return write_binary_folder(tmp_path / "saved", recording)


def change_description(folder: Path, **kwargs: Any) -> None:
    file = folder / "binary.json"
    described = json.loads(file.read_text())
    described["kwargs"] |= kwargs
    file.write_text(json.dumps(described))


def age(folder: Path, *, n_channels_name: str) -> None:
    """Make a folder what older versions saved: times as .npy, not named in the description."""
    file = folder / "binary.json"
    described = json.loads(file.read_text())
    del described["kwargs"]["file_timestamps_paths"]
    described["kwargs"][n_channels_name] = described["kwargs"].pop("num_channels")
    file.write_text(json.dumps(described))
    np.save(folder / "times_cached_seg0.npy", times())
    (folder / "times_cached_seg0.raw").unlink()
    write_probe(folder / "probe.json", simulate(duration_s=1.0, n_channels=4, n_units=2)[0])
    for name in ("si_folder.json", "probegroup.json", "annotations.json"):
        (folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize("version", ["today", "num_channels", "num_chan"])
def test_saved_times_are_read(saved: Path, version: str) -> None:
    if version != "today":
        age(saved, n_channels_name=version)
    recording = open_recording(saved, "binary", {})
    np.testing.assert_array_equal(recording.get_times(), times())
    np.testing.assert_allclose(clock_of(recording).intervals_s(), [(100, 101), (106, 107)])


@pytest.mark.parametrize("n_times", [N_FRAMES + 100, N_FRAMES - 100])
@pytest.mark.parametrize("name", ["num_channels", "num_chan"])
def test_another_number_of_times_is_refused(saved: Path, name: str, n_times: int) -> None:
    age(saved, n_channels_name=name)
    np.save(saved / "times_cached_seg0.npy", np.arange(n_times) / 30_000)
    message = rf"times_cached_seg0\.npy has {n_times} times, and the segment 60000 samples"
    with pytest.raises(RecordingError, match=message):
        open_recording(saved, "binary", {})


def test_more_times_than_samples_are_refused(saved: Path) -> None:
    with (saved / "times_cached_seg0.raw").open("ab") as file:
        file.write(bytes(800))
    with pytest.raises(RecordingError, match=r"seg0\.raw has 60100 times"):
        open_recording(saved, "binary", {})


def test_times_elsewhere_are_refused(saved: Path) -> None:
    """Else a source could have any file of the machine published as times."""
    times().tofile(saved.parent / "secret.raw")
    change_description(saved, file_timestamps_paths=["../secret.raw"])
    with pytest.raises(RecordingError, match=r"secret\.raw, which is not part of the source"):
        open_recording(saved, "binary", {})


def test_a_link_to_times_elsewhere_is_refused(saved: Path) -> None:
    age(saved, n_channels_name="num_channels")
    file = saved / "times_cached_seg0.npy"
    file.rename(saved.parent / "secret.npy")
    file.symlink_to(saved.parent / "secret.npy")
    with pytest.raises(RecordingError, match="which is not part of the source"):
        open_recording(saved, "binary", {})
