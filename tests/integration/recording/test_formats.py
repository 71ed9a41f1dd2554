"""Recordings in the formats of real acquisition systems, opened and compared with what was written.

Also what is wrong with them: each failure is a `CloudJobError` with its exit code and one line.
"""

import json
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import mtscomp
import numpy as np
import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.streams import needed_files
from spikeinterface_cloud.recording.load import first_frames, open_recording
from spikeinterface_cloud.recording.source import FetchedSource, fetch_source
from spikeinterface_cloud.recording.summary import summarize
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import (
    AP_GAIN_UV,
    SpikeGlxRun,
    neuropixels_probe,
    simulate,
    write_binary_folder,
    write_open_ephys,
    write_probe,
    write_spikeglx,
    write_zarr_folder,
)
from tests.support.servers import S3Server
from tests.support.sorted_results import upload_folder
from tests.support.sources import find, refusal

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface says so when it saves a recording that exists only in memory, as ours do
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
    # SpikeInterface leaves the file of a saved recording to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


#: a probe of two contacts, as a probeinterface JSON describes it
PROBE = {
    "ndim": 2,
    "si_units": "um",
    "contact_positions": [[0, 0], [0, 20]],
    "contact_plane_axes": [[[1, 0], [0, 1]], [[1, 0], [0, 1]]],
    "contact_shapes": ["circle", "circle"],
    "contact_shape_params": [{"radius": 5}, {"radius": 5}],
}


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=16, n_units=3)[0]


def assert_same(opened: BaseRecording, written: BaseRecording) -> None:
    assert opened.get_num_segments() == written.get_num_segments()
    for segment in range(written.get_num_segments()):
        np.testing.assert_array_equal(
            opened.get_traces(segment_index=segment), written.get_traces(segment_index=segment)
        )
    np.testing.assert_allclose(opened.get_channel_gains(), written.get_channel_gains())
    assert opened.sampling_frequency == written.sampling_frequency


# ----- SpikeGLX ----------------------------------------------------------------------------------


def test_a_plain_spikeglx_folder_opens_without_a_stream(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """AP among AP, LF, NI-DAQ and their sync lines, with its probe and its clock."""
    run = SpikeGlxRun(with_nidq=True, first_sample=3000)
    recording = open_recording(write_spikeglx(tmp_path, simulated, run), "spikeglx", {})
    assert_same(recording, simulated)
    np.testing.assert_allclose(recording.get_channel_locations(), simulated.get_channel_locations())
    assert recording.get_property("inter_sample_shift") is not None
    facts = summarize(recording)
    assert facts.stream_name == "imec0.ap"
    assert facts.start_time_s == pytest.approx(0.1)
    assert facts.probes == ["imec NP1000"]


def test_a_whole_neuropixels_probe_opens(tmp_path: Path) -> None:
    """All 384 channels of it."""
    written = simulate(duration_s=1.0, n_channels=384, n_units=2)[0]
    recording = open_recording(write_spikeglx(tmp_path, written), "spikeglx", {})
    assert_same(recording, written)
    assert recording.get_probe().get_contact_count() == 384


def test_each_of_two_probes_can_be_chosen(tmp_path: Path, simulated: BaseRecording) -> None:
    """One has to be chosen, and the chosen one is read."""
    other = simulate(duration_s=2.0, n_channels=12, n_units=2, seed=1)[0]
    folder = write_spikeglx(tmp_path, [simulated, other])
    message = refusal(SettingsError, lambda: open_recording(folder, "spikeglx", {}))
    assert "imec0.ap, imec1.ap" in message
    assert_same(open_recording(folder, "spikeglx", {"stream_id": "imec1.ap"}), other)
    refusal(SettingsError, lambda: open_recording(folder, "spikeglx", {"stream_id": "imec2.ap"}))


def test_the_needed_files_are_enough(tmp_path: Path, simulated: BaseRecording) -> None:
    """What is left out of the download is not missed when the recording is opened."""
    other = simulate(duration_s=2.0, n_channels=12, n_units=2, seed=1)[0]
    folder = write_spikeglx(tmp_path / "all", [simulated, other], SpikeGlxRun(with_nidq=True))
    kwargs = {"stream_id": "imec1.ap"}
    names = [PurePosixPath(file.relative_to(folder)) for file in folder.rglob("*.*")]
    needed = needed_files("spikeglx", names, kwargs)
    assert len(needed) == 2
    for name in needed:
        target = tmp_path / "some" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((folder / name).read_bytes())
    recording = open_recording(tmp_path / "some", "spikeglx", kwargs)
    assert_same(recording, other)
    assert recording.has_probe()


def test_triggers_become_segments(tmp_path: Path) -> None:
    """In their order."""
    written = simulate(duration_s=[1.5, 1.0], n_channels=8, n_units=2)[0]
    folder = write_spikeglx(tmp_path, written, SpikeGlxRun(triggers=(0, 1)))
    recording = open_recording(folder, "spikeglx", {})
    assert_same(recording, written)
    assert summarize(recording).segment_durations_s == [1.5, 1.0]


def test_a_file_opens_its_folder(tmp_path: Path, simulated: BaseRecording) -> None:
    """A source may be one file."""
    folder = write_spikeglx(tmp_path, simulated)
    file = next(folder.rglob("*.ap.bin"))
    assert_same(open_recording(file, "spikeglx", {}), simulated)


def test_a_truncated_spikeglx_file_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """The reader would take what is there for the whole."""
    folder = write_spikeglx(tmp_path, simulated)
    file = next(folder.rglob("*.ap.bin"))
    with file.open("r+b") as stream:
        stream.truncate(17 * 2 * 40000)
    message = refusal(RecordingError, lambda: open_recording(folder, "spikeglx", {}))
    assert "mouse_g0_t0.imec0.ap.bin is truncated" in message
    assert str(17 * 2 * 60000) in message


def test_a_file_that_ends_within_a_sample_is_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """Also when the meta file agrees with its length."""
    folder = write_spikeglx(tmp_path, simulated)
    file = next(folder.rglob("*.ap.bin"))
    with file.open("r+b") as stream:
        stream.truncate(17 * 2 * 40000 + 10)
    meta = file.with_suffix(".meta")
    text = meta.read_text()
    meta.write_text(
        text.replace(f"fileSizeBytes={17 * 2 * 60000}", f"fileSizeBytes={17 * 2 * 40000 + 10}")
    )
    assert meta.read_text() != text
    message = refusal(RecordingError, lambda: open_recording(folder, "spikeglx", {}))
    assert "truncated" in message


def test_a_missing_meta_file_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """The message names it."""
    folder = write_spikeglx(tmp_path, simulated, SpikeGlxRun(with_lf=False))
    next(folder.rglob("*.ap.meta")).unlink()
    message = refusal(RecordingError, lambda: open_recording(folder, "spikeglx", {}))
    assert "mouse_g0_t0.imec0.ap.meta" in message


def test_a_file_longer_than_its_header_says_is_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    folder = write_spikeglx(tmp_path, simulated)
    with next(folder.rglob("*.ap.bin")).open("ab") as stream:
        stream.write(bytes(17 * 2 * 100))
    message = refusal(RecordingError, lambda: open_recording(folder, "spikeglx", {}))
    assert "has 3400 bytes more than the 2040000 of its meta file" in message


def test_a_trigger_without_its_samples_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """The other trigger would be taken for the whole recording."""
    folder = write_spikeglx(tmp_path, simulated, SpikeGlxRun(with_lf=False))
    meta = next(folder.rglob("*.ap.meta"))
    meta.with_name("mouse_g0_t1.imec0.ap.meta").write_text(meta.read_text())
    message = refusal(RecordingError, lambda: open_recording(folder, "spikeglx", {}))
    assert "mouse_g0_t1.imec0.ap.meta is here without mouse_g0_t1.imec0.ap.bin" in message


def test_a_trigger_that_is_compressed_beside_another_is_named_so(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    folder = write_spikeglx(tmp_path, simulated, SpikeGlxRun(with_lf=False))
    meta = next(folder.rglob("*.ap.meta"))
    meta.with_name("mouse_g0_t1.imec0.ap.meta").write_text(meta.read_text())
    for ending in ("cbin", "ch"):
        meta.with_name(f"mouse_g0_t1.imec0.ap.{ending}").write_bytes(b"1")
    message = refusal(RecordingError, lambda: open_recording(folder, "spikeglx", {}))
    assert "mouse_g0_t1.imec0.ap.cbin is compressed" in message
    assert "decompress it" in message


@pytest.mark.parametrize("names_a_file", [False, True])
def test_headers_that_catgt_left_are_ignored(
    tmp_path: Path, simulated: BaseRecording, names_a_file: bool
) -> None:
    """The raw samples were removed after CatGT had joined them."""
    folder = write_spikeglx(tmp_path, simulated, SpikeGlxRun(with_lf=False))
    meta = next(folder.rglob("*.ap.meta"))
    joined = meta.with_name("mouse_g0_tcat.imec0.ap.meta")
    joined.write_text(meta.read_text())
    samples = meta.with_suffix(".bin").rename(joined.with_suffix(".bin"))
    source = samples if names_a_file else folder
    assert_same(open_recording(source, "spikeglx", {}), simulated)


def test_a_named_file_needs_no_other_trigger(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_spikeglx(tmp_path, simulated, SpikeGlxRun(with_lf=False))
    meta = next(folder.rglob("*.ap.meta"))
    meta.with_name("mouse_g0_t1.imec0.ap.meta").write_text(meta.read_text())
    assert_same(open_recording(meta.with_suffix(".bin"), "spikeglx", {}), simulated)


@pytest.mark.parametrize("others", ["nidq", "lf"])
def test_what_catgt_joined_is_read_beside_raw_streams(
    tmp_path: Path, simulated: BaseRecording, others: str
) -> None:
    """CatGT writes the AP band beside the raw NI-DAQ or LFP; neo expects all of one trigger."""
    run = SpikeGlxRun(with_nidq=others == "nidq", with_lf=others == "lf")
    folder = write_spikeglx(tmp_path / "a", simulated, run)
    alone = tmp_path / "b"
    alone.mkdir()
    for file in list(folder.rglob("*imec0.ap.*")):
        joined = file.rename(file.with_name(file.name.replace("_t0.", "_tcat.")))
        if joined.suffix == ".meta":
            joined.write_text(joined.read_text().replace("_t0.imec0", "_tcat.imec0"))
        shutil.copy(joined, alone)
    by_neo = open_recording(alone, "spikeglx", {})
    for source in (folder, joined.with_suffix(".bin")):
        recording = open_recording(source, "spikeglx", {})
        assert_same(recording, simulated)
        assert recording.channel_ids.tolist() == by_neo.channel_ids.tolist()
        assert recording.get_start_time() == by_neo.get_start_time()
        for name in ("gain_to_uV", "inter_sample_shift", "group"):
            np.testing.assert_array_equal(recording.get_property(name), by_neo.get_property(name))
    if others == "nidq":
        named = {"stream_id": "nidq"}
        message = refusal(RecordingError, lambda: open_recording(folder, "spikeglx", named))
        assert "not of the same triggers (imec0.ap: g0_tcat, nidq: g0_t0)" in message


def test_files_that_macos_left_are_ignored_or_named(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    folder = write_spikeglx(tmp_path, simulated)
    for file in list(folder.rglob("*.*")):
        file.with_name(f"._{file.name}").write_bytes(b"\x00\x05\x16\x07")
    message = refusal(RecordingError, lambda: open_recording(folder, "spikeglx", {}))
    assert "of macOS" in message
    assert "-name '._*' -delete" in message
    for file in folder.rglob("._*.bin"):
        file.unlink()
    assert_same(open_recording(folder, "spikeglx", {}), simulated)
    names = [PurePosixPath(file.name) for file in folder.rglob("*.ap.*")]
    chosen = [name.name for name in needed_files("spikeglx", names, {})]
    assert sorted(chosen) == ["mouse_g0_t0.imec0.ap.bin", "mouse_g0_t0.imec0.ap.meta"]
    write_nwb(tmp_path / "nwb/a.nwb", simulated)
    (tmp_path / "nwb/._a.nwb").write_bytes(b"\x00\x05\x16\x07")
    assert_same(open_recording(tmp_path / "nwb", "nwb", {}), simulated)


# ----- Open Ephys --------------------------------------------------------------------------------


def test_open_ephys_opens_without_its_analog_inputs(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """ADC channels of the same stream and a NI-DAQ stream are left where they are."""
    folder = write_open_ephys(tmp_path, simulated)
    probe_file = write_probe(tmp_path / "probe.json", simulated)
    recording = open_recording(folder, "openephys", {}, probe_file)
    assert_same(recording, simulated)
    np.testing.assert_allclose(recording.get_channel_locations(), simulated.get_channel_locations())


def test_open_ephys_recordings_become_segments(tmp_path: Path) -> None:
    """`recording1` and `recording2` of one experiment."""
    written = simulate(duration_s=[1.0, 1.5], n_channels=8, n_units=2)[0]
    assert_same(open_recording(write_open_ephys(tmp_path, written), "openephys", {}), written)


def test_an_open_ephys_recording_without_its_description_is_refused(tmp_path: Path) -> None:
    """The other one would be taken for the whole."""
    written = simulate(duration_s=[1.0, 1.5], n_channels=8, n_units=2)[0]
    folder = write_open_ephys(tmp_path, written)
    next(folder.rglob("recording2/structure.oebin")).unlink()
    message = refusal(RecordingError, lambda: open_recording(folder, "openephys", {}))
    assert "continuous.dat is here without" in message
    assert "recording2/structure.oebin" in message
    assert "or move recording2 out of Record Node 101/experiment1" in message


@pytest.mark.parametrize(
    ("kwargs", "place"),
    [
        ({"experiment_name": "experiment1"}, "Record Node 101/experiment2/recording1"),
        ({"stream_name": "Record Node 101#{}"}, "Record Node 102/experiment1/recording1"),
        ({}, "sorted"),
    ],
    ids=["another experiment", "another node", "no recording"],
)
def test_samples_that_are_not_read_need_no_description(
    tmp_path: Path, simulated: BaseRecording, kwargs: dict[str, str], place: str
) -> None:
    folder = write_open_ephys(tmp_path / "session", simulated, n_adc=0)
    stream = next(folder.rglob("Acquisition_Board*/continuous.dat")).parent.name
    other = folder / place / "continuous" / stream
    other.mkdir(parents=True)
    (other / "continuous.dat").write_bytes(bytes(3200))
    chosen = {name: value.format(stream) for name, value in kwargs.items()}
    chosen = chosen if "stream_name" in chosen else {**chosen, "stream_id": "0"}
    assert_same(open_recording(folder, "openephys", chosen), simulated)


def test_two_open_ephys_experiments_are_refused_without_a_choice(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """They are recordings of their own."""
    node = write_open_ephys(tmp_path, simulated) / "Record Node 101"
    other = simulate(duration_s=1.0, n_channels=16, n_units=2, seed=3)[0]
    second = write_open_ephys(tmp_path / "second", other) / "Record Node 101"
    structure = second / "experiment1/recording1/structure.oebin"
    structure.write_text(structure.read_text().replace(str(AP_GAIN_UV), str(2 * AP_GAIN_UV)))
    (second / "experiment1").rename(node / "experiment2")
    message = refusal(SettingsError, lambda: open_recording(tmp_path, "openephys", {}))
    assert "holds 2 blocks" in message
    assert '{"experiment_name": "experiment1"}' in message
    for chosen in ({"experiment_name": "experiment2"}, {"block_index": 1}):
        opened = open_recording(tmp_path, "openephys", chosen)
        np.testing.assert_array_equal(opened.get_traces(), other.get_traces())
        np.testing.assert_allclose(opened.get_channel_gains(), 2 * AP_GAIN_UV)
    run = partial(open_recording, tmp_path, "openephys", {"block_index": 2})
    assert "there are 2 experiments (experiment1, experiment2)" in refusal(SettingsError, run)


def test_recordings_of_other_gains_in_one_experiment_are_refused(tmp_path: Path) -> None:
    written = simulate(duration_s=[1.0, 1.5], n_channels=8, n_units=2)[0]
    folder = write_open_ephys(tmp_path, written)
    structure = next(folder.rglob("recording2/structure.oebin"))
    structure.write_text(structure.read_text().replace(str(AP_GAIN_UV), str(2 * AP_GAIN_UV)))
    message = refusal(RecordingError, lambda: open_recording(folder, "openephys", {}))
    assert "differ in their channels or gains" in message


def test_a_truncated_open_ephys_file_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """It is shorter than the list of its samples."""
    folder = write_open_ephys(tmp_path, simulated)
    file = next(folder.rglob("Acquisition_Board*/continuous.dat"))
    with file.open("r+b") as stream:
        stream.truncate(18 * 2 * 40000)
    message = refusal(RecordingError, lambda: open_recording(folder, "openephys", {}))
    assert "has 40000 samples where sample_numbers.npy has 60000" in message


# ----- NWB ---------------------------------------------------------------------------------------


def test_nwb_opens_without_its_lfp(tmp_path: Path, simulated: BaseRecording) -> None:
    """The one series that is acquired, found in a folder, with positions and starting time."""
    write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(with_lfp=True, starting_time=100.0))
    recording = open_recording(tmp_path, "nwb", {})
    assert_same(recording, simulated)
    np.testing.assert_allclose(recording.get_channel_locations(), simulated.get_channel_locations())
    facts = summarize(recording)
    assert facts.stream_name == "acquisition/ElectricalSeries"
    assert facts.start_time_s == 100.0


def test_two_electrical_series_are_refused_without_a_choice(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """The message lists both, with their channels, and not the LFP."""
    other = simulate(duration_s=1.0, n_channels=16, n_units=2, seed=4)[0]
    file = write_nwb(
        tmp_path / "a.nwb", {"Raw": simulated, "Other": other}, NwbLayout(with_lfp=True)
    )
    message = refusal(SettingsError, lambda: open_recording(file, "nwb", {}))
    assert "acquisition/Raw: 16 channels at 30000 Hz" in message
    assert "acquisition/Other" in message
    assert "LFP" not in message
    chosen = {"electrical_series_path": "acquisition/Other"}
    assert_same(open_recording(file, "nwb", chosen), other)
    wrong = {"electrical_series_path": "Other"}
    message = refusal(SettingsError, lambda: open_recording(file, "nwb", wrong))
    assert "acquisition/Other" in message


def test_nwb_with_timestamps_instead_of_a_rate_opens(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """The rate is found from them."""
    timestamps = np.arange(60000) / 30000.0 + 5.0
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(timestamps=timestamps))
    facts = summarize(open_recording(file, "nwb", {}))
    assert facts.start_time_s == 5.0
    assert facts.sampling_frequency_hz == pytest.approx(30000.0)


def test_several_nwb_files_are_refused_without_a_choice(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """A source may be one file."""
    for name in ("a.nwb", "b.nwb"):
        write_nwb(tmp_path / name, simulated)
    message = refusal(SettingsError, lambda: open_recording(tmp_path, "nwb", {}))
    assert "a.nwb, b.nwb" in message


def test_corrupt_hdf5_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """Cut in two, and overwritten at its beginning."""
    file = write_nwb(tmp_path / "a.nwb", simulated)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    message = refusal(RecordingError, lambda: open_recording(file, "nwb", {}))
    assert message.startswith("a.nwb cannot be read with DATA_TYPE=nwb: ")
    assert "truncated" in message
    file.write_bytes(b"not HDF5" + whole[8:])
    message = refusal(RecordingError, lambda: open_recording(file, "nwb", {}))
    assert "not a valid HDF5 file" in message


def test_nwb_without_a_series_is_refused(tmp_path: Path) -> None:
    """Behavior alone, say."""
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.create_group("acquisition")
    message = refusal(RecordingError, lambda: open_recording(tmp_path, "nwb", {}))
    assert "no signals" in message


# ----- SpikeInterface's own folders --------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_type", "write", "name"),
    [("binary", write_binary_folder, "saved"), ("zarr", write_zarr_folder, "saved.zarr")],
)
def test_a_saved_folder_opens(
    tmp_path: Path,
    simulated: BaseRecording,
    data_type: str,
    write: Callable[[Path, BaseRecording], Path],
    name: str,
) -> None:
    """Given itself, or the folder around it."""
    folder = write(tmp_path / "source" / name, simulated)
    for place in (folder, folder.parent):
        recording = open_recording(place, data_type, {})
        assert_same(recording, simulated)
        assert recording.has_probe()


def test_a_raw_binary_file_opens(tmp_path: Path, simulated: BaseRecording) -> None:
    """Described by READ_RECORDING_KWARGS and a probe."""
    simulated.get_traces(segment_index=0).tofile(tmp_path / "raw.dat")
    kwargs = {
        "sampling_frequency": 30000.0,
        "dtype": "int16",
        "num_channels": 16,
        "gain_to_uV": 2.34375,
        "offset_to_uV": 0.0,
    }
    probe_file = write_probe(tmp_path / "probe.json", simulated)
    for source in (tmp_path / "raw.dat", tmp_path):  # the probe beside it is no recording
        assert_same(open_recording(source, "binary", kwargs, probe_file), simulated)
    (tmp_path / "raw.dat").unlink()
    message = refusal(
        RecordingError, lambda: open_recording(tmp_path, "binary", kwargs, probe_file)
    )
    assert "no file of samples beside probe.json" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampling_frequency", 0),
        ("sampling_frequency", "fast"),
        ("num_channels", 0),
        ("num_channels", 8.5),
        ("num_channels", True),
        ("num_channels", 10**9),
        ("gain_to_uV", "high"),
        ("offset_to_uV", [0.0, None]),
    ],
)
def test_numbers_that_describe_no_samples_are_refused(
    tmp_path: Path, name: str, value: object
) -> None:
    """Before a reader takes memory for a billion channels."""
    kwargs = {"sampling_frequency": 30000.0, "dtype": "int16", "num_channels": 16, name: value}
    message = refusal(SettingsError, lambda: open_recording(tmp_path, "binary", kwargs))
    assert f"READ_RECORDING_KWARGS: {name} is" in message


def test_pickled_properties_are_not_loaded(tmp_path: Path, simulated: BaseRecording) -> None:
    """Loading a pickle runs whatever program its author wrote."""
    folder = write_binary_folder(tmp_path / "saved", simulated)
    witness = tmp_path / "witness"
    np.save(folder / "properties" / "quality.npy", np.array([Toucher(witness)], dtype=object))
    message = refusal(RecordingError, lambda: open_recording(folder, "binary", {}))
    assert "quality.npy" in message
    assert not witness.exists()


def test_pickled_zarr_arrays_are_not_loaded(tmp_path: Path, simulated: BaseRecording) -> None:
    """Zarr names the codec in its metadata."""
    folder = write_zarr_folder(tmp_path / "saved.zarr", simulated)
    metadata = folder / "properties" / "group" / ".zarray"
    described = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**described, "filters": [{"id": "pickle", "protocol": 5}]}))
    message = refusal(RecordingError, lambda: open_recording(folder, "zarr", {}))
    assert "pickled" in message


def test_a_saved_folder_with_traces_elsewhere_is_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """Else a source could have any file of the machine published as traces."""
    folder = write_binary_folder(tmp_path / "saved", simulated)
    outside = tmp_path / "secret.raw"
    outside.write_bytes(bytes(16 * 2 * 60000))
    described = json.loads((folder / "binary.json").read_text())
    described["kwargs"]["file_paths"] = ["../secret.raw"]
    (folder / "binary.json").write_text(json.dumps(described))
    message = refusal(RecordingError, lambda: open_recording(folder, "binary", {}))
    assert "not part of the source" in message


def test_missing_zarr_chunks_are_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """They would be read as zeros."""
    folder = write_zarr_folder(tmp_path / "saved.zarr", simulated)
    chunks = [file for file in (folder / "traces_seg0").iterdir() if file.name[0].isdigit()]
    chunks[-1].unlink()
    message = refusal(RecordingError, lambda: open_recording(folder, "zarr", {}))
    assert f"1 of {len(chunks)} chunks of traces_seg0 are missing" in message


# ----- any format --------------------------------------------------------------------------------


def test_a_wrong_data_type_is_refused_with_the_likely_one(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """From the names of the files."""
    write_nwb(tmp_path / "nwb" / "a.nwb", simulated)
    write_spikeglx(tmp_path / "spikeglx", simulated)
    for folder, data_type in (("nwb", "spikeglx"), ("spikeglx", "openephys"), ("nwb", "intan")):
        message = refusal(
            RecordingError,
            lambda f=folder, d=data_type: open_recording(tmp_path / f, d, {}),  # type: ignore[misc]
        )
        assert f"set DATA_TYPE={folder}" in message


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """Nothing was fetched, or the mount is wrong."""
    message = refusal(RecordingError, lambda: open_recording(tmp_path, "nwb", {}))
    assert "holds no file" in message


def test_a_probe_with_more_contacts_than_channels_is_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """The channels that are not there, and how channels count, are named."""
    folder = write_open_ephys(tmp_path / "data", simulated)
    other = simulate(duration_s=1.0, probe=neuropixels_probe(17), n_units=2)[0]
    probe_file = write_probe(tmp_path / "probe.json", other)
    message = refusal(RecordingError, lambda: open_recording(folder, "openephys", {}, probe_file))
    assert "wires contacts to channels 16, but the recording has 16 channels" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{}", "has no probes"),
        ('{"a": 1}', "has no probes"),
        ('{"specification": "probeinterface"}', "has no probes"),
        ('{"probes": []}', "has no probes"),
        ("[1]", "has no probes"),
        ("no JSON", "is not a probeinterface JSON: Expecting value"),
        ('{"probes": [1], "probes": []}', 'is not a probeinterface JSON: names "probes" more than'),
        ("[" * 100_000, "is not a probeinterface JSON"),
        ('{"probes": [{"ndim": 2}]}', "cannot be read by probeinterface"),
        (
            json.dumps({"probes": [PROBE, PROBE], "probe_ids": ["0"]}),
            "cannot be read by probeinterface: 2 probes, and 1 probe_ids",
        ),
        (
            json.dumps({"probes": [{**PROBE, "si_units": "inch"}]}),
            "cannot be read by probeinterface: si_units is 'inch', not um, mm or m",
        ),
    ],
    ids=lambda text: text[:20],
)
def test_an_invalid_probe_file_is_refused(
    tmp_path: Path, simulated: BaseRecording, content: str, reason: str
) -> None:
    """Its name, what is wrong, and the remedy are in the message."""
    folder = write_open_ephys(tmp_path / "data", simulated)
    probe_file = tmp_path / "probe.json"
    probe_file.write_text(content)
    message = refusal(RecordingError, lambda: open_recording(folder, "openephys", {}, probe_file))
    assert message.startswith(f"PROBE_FILE probe.json {reason}")
    assert message.endswith("write one with probeinterface.write_probeinterface")


def test_a_probe_without_wiring_follows_the_channels(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """Contact n is channel n."""
    folder = write_open_ephys(tmp_path / "data", simulated)
    probe_file = write_probe(tmp_path / "probe.json", simulated)
    described: dict[str, Any] = json.loads(probe_file.read_text())
    for probe in described["probes"]:
        del probe["device_channel_indices"]
    probe_file.write_text(json.dumps(described))
    recording = open_recording(folder, "openephys", {}, probe_file)
    np.testing.assert_allclose(recording.get_channel_locations(), simulated.get_channel_locations())


def test_the_first_frames_are_kept() -> None:
    """Of the first segment, and no more than there are."""
    written = simulate(duration_s=[1.5, 1.0], n_channels=8, n_units=2)[0]
    short = first_frames(written, 30000)
    assert short.get_num_segments() == 1
    assert short.get_num_samples(0) == 30000
    np.testing.assert_array_equal(
        short.get_traces(), written.get_traces(segment_index=0, end_frame=30000)
    )
    assert first_frames(written, 10**9).get_num_samples(0) == 45000


class Toucher:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        """Pickle a call that touches the file."""
        return (Path.touch, (self.file,))


def test_the_pickled_class_would_run(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    pickle.loads(pickle.dumps(Toucher(tmp_path / "witness")))  # noqa: S301
    assert (tmp_path / "witness").exists()


# ----- Open Ephys whose samples are elsewhere ----------------------------------------------------


def compress_all(folder: Path) -> None:
    """Replace each continuous.dat by what mtscomp makes of it."""
    for file in folder.rglob("continuous.dat"):
        structure = json.loads((file.parents[2] / "structure.oebin").read_text())
        [stream] = [
            s for s in structure["continuous"] if s["folder_name"] == f"{file.parent.name}/"
        ]
        mtscomp.compress(
            file,
            file.with_suffix(".cbin"),
            file.with_suffix(".ch"),
            sample_rate=stream["sample_rate"],
            n_channels=stream["num_channels"],
            dtype=np.int16,
            check_after_compress=False,
            n_threads=1,
        )
        file.unlink()


@pytest.mark.parametrize("ending", ["dat.gz", "dat.zst", "dat.xz", "dat.bz2"])
def test_compressed_open_ephys_is_refused_with_the_command_that_decompresses_it(
    ending: str,
) -> None:
    recording = PurePosixPath("Record Node 101/experiment1/recording1")
    folder = recording / "continuous/ProbeA-AP"
    described = [recording / "structure.oebin", folder / "timestamps.npy"]
    names = [*described, folder / f"continuous.{ending}"]
    message = refusal(RecordingError, lambda: needed_files("openephys", names, {}))
    assert message.endswith(f" continuous.{ending}")
    assert needed_files("openephys", [*names, folder / "continuous.dat"], {})


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_open_ephys_that_mtscomp_compressed_is_identical_to_the_uncompressed(
    tmp_path: Path, simulated: BaseRecording, moto_s3: S3Server, bucket: str, place: str
) -> None:
    session = write_open_ephys(tmp_path / "source", simulated)
    expected = open_recording(session, "openephys", {})
    raw = expected.get_traces()
    compress_all(session)
    before = sorted(session.rglob("*"))
    location: Path | S3Location = session.parent
    if place == "s3":
        upload_folder(moto_s3.client, session, bucket, "session")
        location = S3Location(bucket=bucket, key="session")
    fetched = fetch_source(find(location, "openephys", moto_s3.access), tmp_path / "scratch").path
    assert fetched is not None
    recording = open_recording(fetched, "openephys", {})
    assert_same(recording, simulated)
    np.testing.assert_array_equal(recording.get_traces(), raw)
    assert list(recording.channel_ids) == list(expected.channel_ids)
    assert sorted(session.rglob("*")) == before


def test_damaged_or_foreign_open_ephys_that_mtscomp_compressed_is_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    session = write_open_ephys(tmp_path / "source", simulated)
    compress_all(session)

    def fetch() -> object:
        return fetch_source(find(session, "openephys"), tmp_path / "scratch")

    board = next(session.rglob("Acquisition_Board*/continuous.cbin"))
    index, daq = board.with_suffix(".ch"), next(session.rglob("NI-DAQ*/continuous.ch"))
    content = board.read_bytes()
    board.write_bytes(content[:-1])
    assert "continuous.cbin is truncated" in refusal(RecordingError, fetch)
    board.write_bytes(content)
    text = index.read_text()
    index.write_text(daq.read_text())
    message = refusal(RecordingError, fetch)
    assert "continuous.ch has 2 channels, and structure.oebin says 18" in message
    index.write_text(text)
    fetched = fetch()
    assert isinstance(fetched, FetchedSource)
    assert fetched.path is not None
    assert_same(open_recording(fetched.path, "openephys", {}), simulated)
    index.unlink()
    assert "cannot be decompressed without continuous.ch" in refusal(RecordingError, fetch)


def test_a_clipped_recording_beside_zarr_is_not_sorted(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """The Allen Institute keeps the first 100 samples of each stream, and all other files."""
    write_open_ephys(tmp_path / "ecephys" / "ecephys_clipped", simulated)
    clipped = tmp_path / "ecephys" / "ecephys_clipped"
    for file in clipped.rglob("continuous.dat"):
        with file.open("r+b") as stream:
            stream.truncate(file.stat().st_size // 600)
    for place in (tmp_path, tmp_path / "ecephys"):
        message = refusal(SettingsError, partial(open_recording, place, "openephys", {}))
        assert "has only the first samples" in message
    message = refusal(RecordingError, lambda: open_recording(clipped, "openephys", {}))
    assert "is truncated: it has 100 samples" in message
    assert "the .zarr folders in ecephys_compressed" in message
