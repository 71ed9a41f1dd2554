"""A file of a folder that is missing or cut, which readers take for the length of the recording."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from spikeinterface.core import BaseRecording, aggregate_channels
from spikeinterface.extractors import read_axona, read_intan, read_neuralynx

from spikeinterface_cloud.errors import CloudJobError
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.load import open_recording
from tests.support import timed_files
from tests.support.acquisition_formats import (
    write_intan_files,
    write_neuralynx,
    write_open_ephys_legacy,
)
from tests.support.older_formats import AXONA_GAIN, write_axona
from tests.support.recordings import AP_GAIN_UV

pytestmark = pytest.mark.integration

N_FRAMES, N_CHANNELS = 60_000, 4


def traces() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(0, 30, (N_FRAMES, N_CHANNELS)).round().astype("int16")


def cut(file: Path, n_bytes: int) -> None:
    with file.open("r+b") as stream:
        stream.truncate(n_bytes)


def opened(path: Path, data_type: str, **kwargs: object) -> BaseRecording:
    return open_recording(path, data_type, kwargs)


def refusal(path: Path, data_type: str, **kwargs: object) -> str:
    with pytest.raises(CloudJobError) as raised:
        opened(path, data_type, **kwargs)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("by_channel", [False, True])
def test_whole_folders_of_intan_are_read(tmp_path: Path, by_channel: bool) -> None:
    header = write_intan_files(tmp_path, traces(), by_channel=by_channel)
    np.testing.assert_array_equal(opened(header, "intan").get_traces(), traces())


def cut_all_channels(folder: Path) -> None:
    cut(folder / "amplifier.dat", 40_000 * 2 * N_CHANNELS + 3)


def cut_first_channel(folder: Path) -> None:
    cut(folder / "amp-A-000.dat", 40_000 * 2)


def remove_second_channel(folder: Path) -> None:
    (folder / "amp-A-001.dat").unlink()


def add_another_file(folder: Path) -> None:
    (folder / "amp-A-001 copy.dat").write_bytes(bytes(2 * N_FRAMES))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_all_channels, "amplifier.dat has 320003 bytes, but time.dat has 60000 samples"),
        (cut_first_channel, "amp-A-000.dat has 80000 bytes, but time.dat has 60000 samples"),
        (remove_second_channel, "amp-A-001.dat is missing"),
        (add_another_file, "is none of the channels in the header"),
    ],
)
def test_incomplete_folders_of_intan_are_refused(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    header = write_intan_files(tmp_path, traces(), by_channel=damage is not cut_all_channels)
    damage(tmp_path)
    assert reason in refusal(header, "intan")


def test_a_header_of_intan_in_another_order_than_its_files_is_refused(tmp_path: Path) -> None:
    header = write_intan_files(tmp_path, traces(), by_channel=True)
    one, two = (f"A-00{number}".encode("utf-16-le") for number in (1, 2))
    content = header.read_bytes().replace(one, b"@@").replace(two, one).replace(b"@@", two)
    header.write_bytes(content)
    assert "(the first is A-002), and the reader (neo) pairs" in refusal(header, "intan")
    recording = read_intan(header, stream_id="0")
    assert recording.channel_ids.tolist() == ["A-000", "A-002", "A-001", "A-003"]
    renamed = recording.rename_channels(sorted(recording.channel_ids))  # the remedy
    samples = renamed.get_traces(channel_ids=["A-001", "A-002"])
    np.testing.assert_array_equal(samples, traces()[:, 1:3])


def board_of_axona() -> np.ndarray:
    """Return a level of its own for each of the 64 channels."""
    noise = np.random.default_rng(0).normal(0, 20, (60_000, 64)).round()
    return (100 * np.arange(64) + noise).astype("int16")


def test_the_first_tetrodes_of_axona_are_read(tmp_path: Path) -> None:
    board = board_of_axona()
    recording = opened(write_axona(tmp_path / "a.set", board, [1, 2]), "axona")
    np.testing.assert_array_equal(recording.get_traces(), board[:, :8])
    some = recording.channel_ids[[1, 6]]
    np.testing.assert_array_equal(recording.get_traces(channel_ids=some), board[:, [1, 6]])
    steps_uv = 1.5e6 / 32768 / (AXONA_GAIN * np.arange(1, 9))
    np.testing.assert_allclose(recording.get_channel_gains(), steps_uv)


@pytest.mark.parametrize("tetrodes", [[1, 3], [5, 6]])
def test_other_tetrodes_of_axona_are_refused(tmp_path: Path, tetrodes: list[int]) -> None:
    board = board_of_axona()
    file = write_axona(tmp_path / "a.set", board, tetrodes)
    assert f"active tetrodes are {tetrodes[0]}, {tetrodes[1]}, and" in refusal(file, "axona")
    channels = [4 * (number - 1) + k for number in tetrodes for k in range(4)]
    saved = read_axona(file).save(folder=tmp_path / "b", progress_bar=False)  # the remedy
    np.testing.assert_array_equal(saved.get_traces(), board[:, channels])


@pytest.fixture
def tank(tmp_path: Path) -> Path:
    times_s = 1000 + np.arange(200) * 256 / 30_000
    return timed_files.write_tdt(tmp_path / "tank", times_s, 30_000.0, 1000.0, traces()[:51_200])


@pytest.mark.parametrize("named", [".", "..", "Block-1", "Block-1/tank_Block-1.tsq"])
def test_a_block_of_tdt_is_read_from_any_folder(tank: Path, named: str) -> None:
    recording = opened((tank / named).resolve(), "tdt")
    assert recording.get_num_segments() == 1
    np.testing.assert_array_equal(recording.get_traces(), traces()[:51_200])
    np.testing.assert_allclose(clock_of(recording).intervals_s(), [(0, 51_200 / 30_000)])


def test_a_renamed_tank_of_tdt_is_refused(tank: Path) -> None:
    renamed = tank.rename(tank.with_name("day1"))
    for path in (renamed, renamed / "Block-1"):
        assert "finds tank_Block-1.tsq only in folders of the names in it" in refusal(path, "tdt")
    shutil.move(renamed / "Block-1", renamed / "tank" / "Block-1")  # the remedy
    np.testing.assert_array_equal(opened(renamed, "tdt").get_traces(), traces()[:51_200])


def test_several_blocks_of_tdt_are_refused(tank: Path) -> None:
    """They are recordings of their own, maybe hours apart."""
    second = shutil.copytree(tank / "Block-1", tank / "Block-2")
    for file in second.iterdir():
        file.rename(file.with_name(file.name.replace("Block-1", "Block-2")))
    assert "2 blocks (recordings) here: Block-1, Block-2; move" in refusal(tank, "tdt")
    assert "without other blocks in TANK" in refusal(second, "tdt")
    second.rename(tank.with_name("Block-2"))  # the remedy
    np.testing.assert_array_equal(opened(tank, "tdt").get_traces(), traces()[:51_200])


def test_a_shorter_file_of_open_ephys_legacy_is_refused(tmp_path: Path) -> None:
    folder = write_open_ephys_legacy(tmp_path / "a", traces())
    assert opened(folder, "openephys").get_num_samples() == N_FRAMES // 1024 * 1024
    cut(folder / "100_CH3.continuous", 1024 + 2070 * 35 + 600)
    message = refusal(folder, "openephys")
    assert (
        "100_CH3.continuous has the samples 0 to 35840, and other files have 0 to 59392" in message
    )


def write_two_recordings(folder: Path, samples: np.ndarray, *, n_first: int) -> Path:
    """Write `n_first` channels of the first recording of a folder, and all of the second."""
    write_open_ephys_legacy(folder, samples[:, :n_first])
    later = np.arange(len(samples) // 1024) * 1024 + 10**6
    second = write_open_ephys_legacy(folder.with_name("second"), samples, later)
    for file in second.iterdir():
        file.rename(folder / f"{file.stem}_2.continuous")
    return folder


def test_two_recordings_of_open_ephys_legacy_are_segments(tmp_path: Path) -> None:
    folder = write_two_recordings(tmp_path / "a", traces(), n_first=4)
    recording = opened(folder, "openephys")
    for segment in range(2):
        np.testing.assert_array_equal(recording.get_traces(segment), traces()[: 58 * 1024])


@pytest.mark.parametrize("n_first", [12, 11])
def test_channels_in_another_order_in_a_second_recording_of_open_ephys_are_refused(
    tmp_path: Path, n_first: int
) -> None:
    """Neo sorts the second recording as text: 1, 10, 11, 12, 2."""
    samples = np.tile(traces(), 3)
    folder = write_two_recordings(tmp_path / "a", samples, n_first=n_first)
    message = refusal(folder, "openephys")
    assert "recording 2 (such as 100_CH10_2.continuous)" in message
    alone = tmp_path / "b"
    alone.mkdir()
    for file in folder.glob("*_2.continuous"):
        file.rename(alone / file.name)
    refusal(alone, "openephys")
    for file in alone.iterdir():  # the remedy
        file.rename(file.with_name(file.name.replace("_2.", ".")))
    np.testing.assert_array_equal(opened(alone, "openephys").get_traces(), samples[: 58 * 1024])


@pytest.fixture
def mcs(tmp_path: Path) -> Path:
    return timed_files.write_mcs(tmp_path / "a.h5", [(0, 20_000)])


def test_several_recordings_of_multi_channel_systems_are_refused(mcs: Path) -> None:
    with h5py.File(mcs, "a") as file:
        file.copy("Data/Recording_0", file["Data"], "Recording_1")
    assert "2 recordings (Recording_0, Recording_1)" in refusal(mcs, "mcsh5")


def test_the_stream_of_multi_channel_systems_is_chosen(mcs: Path) -> None:
    with h5py.File(mcs, "a") as file:
        streams = file["Data/Recording_0/AnalogStream"]
        streams.copy("Stream_0", streams, "Stream_1")
        streams["Stream_1/ChannelData"][...] = 7
    assert "2 streams could be the recording" in refusal(mcs, "mcsh5")
    assert (opened(mcs, "mcsh5", stream_id=1).get_traces() == 7).all()
    with h5py.File(mcs, "a") as file:
        file["Data/Recording_0/AnalogStream/Stream_0"].attrs["Label"] = "Auxiliary"
    assert (opened(mcs, "mcsh5").get_traces() == 7).all()


@pytest.mark.filterwarnings("ignore:.*`strict_gap_mode`")
def test_neuralynx_channels_of_two_input_ranges_are_joined_by_the_remedy(tmp_path: Path) -> None:
    """Neo makes a stream of each range; joined and saved, each channel keeps its gain."""
    folder = write_neuralynx(tmp_path / "ncs", traces())
    wider = folder / "CSC3.ncs"
    volts = f"-ADBitVolts {AP_GAIN_UV * 1e-6:.12f}".encode()
    header = wider.read_bytes().replace(b"-InputRange 2000", b"-InputRange 4000")
    assert volts in header
    wider.write_bytes(header.replace(volts, f"-ADBitVolts {2e-6 * AP_GAIN_UV:.12f}".encode()))
    assert "2 different input ranges or filters" in refusal(folder, "neuralynx")
    streams = [read_neuralynx(folder, stream_id=stream) for stream in ("0", "1")]
    aggregate_channels(streams).save(folder=tmp_path / "saved", verbose=False)
    joined = opened(tmp_path / "saved", "binary")
    expected = traces()[: N_FRAMES // 512 * 512] * AP_GAIN_UV * np.array([1, 1, 2, 1])
    np.testing.assert_allclose(
        joined.get_traces(channel_ids=["0", "1", "2", "3"], return_in_uV=True), expected, rtol=1e-4
    )
    one = opened(folder, "neuralynx", stream_id="1")
    assert one.channel_ids.tolist() == ["2"]


def test_multi_channel_systems_that_begin_late_are_refused(tmp_path: Path) -> None:
    """SpikeInterface takes the time, in us, for a frame."""
    file = timed_files.write_mcs(tmp_path / "a.h5", [(10_000_000, 20_000)])
    assert "begins at 10 s (ChannelDataTimeStamps)" in refusal(file, "mcsh5")
    assert "begins at 10 s (ChannelDataTimeStamps)" in refusal(file, "mcsh5", stream_id=0)
    file = timed_files.write_mcs(tmp_path / "b.h5", [(10_000, 20_000)])
    clock = clock_of(opened(file, "mcsh5"))
    np.testing.assert_allclose(clock.intervals_s(), [(0.01, 1.01)])
