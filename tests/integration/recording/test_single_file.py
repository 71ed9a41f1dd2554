"""A file that is named as the source is the recording that is sorted, or the reason why not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import CloudJobError, RecordingError, SettingsError
from spikeinterface_cloud.recording.load import open_recording
from tests.support.nwb_files import write_nwb
from tests.support.recordings import SpikeGlxRun, simulate, write_open_ephys, write_spikeglx
from tests.support.servers import S3Server
from tests.support.sources import find

pytestmark = pytest.mark.integration

NAME = "mouse_g0_t0.imec0.ap.bin"


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=1.0, n_channels=8, n_units=2)[0]


@pytest.fixture
def run(tmp_path: Path, simulated: BaseRecording) -> Path:
    """Write a run with two bands and a NI-DAQ."""
    return write_spikeglx(tmp_path, simulated, SpikeGlxRun(with_nidq=True))


def refused(error: type[CloudJobError], path: Path, data_type: str, **kwargs: Any) -> str:
    """Return the message with which it is refused, before the job and in it."""
    with pytest.raises(error) as before:
        find(path, data_type, **kwargs)
    with pytest.raises(error) as within:
        open_recording(path, data_type, kwargs)
    assert str(before.value) == str(within.value)
    assert "\n" not in str(before.value)
    return str(before.value)


@pytest.mark.parametrize("ending", [".bin", ".meta"])
def test_a_file_as_the_source_is_read(run: Path, simulated: BaseRecording, ending: str) -> None:
    file = next(run.rglob("*.ap.bin")).with_suffix(ending)
    assert find(file, "spikeglx").path == file
    recording = open_recording(file, "spikeglx", {})
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    assert open_recording(file, "spikeglx", {"stream_id": "imec0.ap"}).stream_id == "imec0.ap"


def test_a_file_chooses_its_probe(tmp_path: Path, simulated: BaseRecording) -> None:
    """Also where they share a folder, and none is named besides."""
    other = simulate(duration_s=1.0, n_channels=12, n_units=2, seed=1)[0]
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in write_spikeglx(tmp_path / "tree", [simulated, other]).rglob("*.*"):
        file.rename(flat / file.name)
    file = flat / "mouse_g0_t0.imec1.ap.bin"
    find(file, "spikeglx")
    assert open_recording(file, "spikeglx", {}).get_num_channels() == 12


def test_an_lfp_file_does_not_open_the_ap_band_beside_it(run: Path) -> None:
    message = refused(RecordingError, next(run.rglob("*.lf.bin")), "spikeglx")
    assert message.startswith("mouse_g0_t0.imec0.lf.bin is the LFP band")
    assert f"name {NAME} or the folder" in message


def test_a_nidaq_file_opens_its_own_stream(run: Path) -> None:
    recording = open_recording(next(run.glob("*.nidq.bin")), "spikeglx", {})
    assert recording.stream_id == "nidq"


def test_a_file_and_another_stream_are_refused(run: Path) -> None:
    message = refused(SettingsError, next(run.rglob("*.ap.bin")), "spikeglx", stream_id="imec0.lf")
    assert message.startswith("READ_RECORDING_KWARGS names the stream 'imec0.lf', and mouse_g0")


def test_one_of_several_triggers_is_refused(tmp_path: Path) -> None:
    written = simulate(duration_s=[1.0, 1.0], n_channels=8, n_units=2)[0]
    run = write_spikeglx(tmp_path, written, SpikeGlxRun(triggers=(0, 1)))
    message = refused(SettingsError, next(run.rglob(NAME)), "spikeglx")
    assert f"{NAME} is one of 2 such files there" in message
    assert "name their folder as the source" in message


def test_a_file_of_another_format_does_not_open_the_run_below_its_folder(
    tmp_path: Path, run: Path, simulated: BaseRecording
) -> None:
    file = write_nwb(run.parent / "a.nwb", simulated)
    message = refused(RecordingError, file, "spikeglx")
    assert message.startswith("a.nwb is not a file by which DATA_TYPE=spikeglx finds a recording")
    assert "set DATA_TYPE=nwb" in message
    notes = tmp_path / "notes.txt"
    notes.write_text("a day")
    message = refused(RecordingError, notes, "openephys")
    assert message.endswith("name the folder of the recording as the source")


def test_a_file_without_a_stream_in_its_name_has_to_be_the_only_one(run: Path) -> None:
    for number, samples in enumerate(sorted(run.rglob("*.bin"))):
        samples.rename(samples.with_name(f"{number}.bin"))
    file = run.parent / "other.bin"
    file.write_bytes(bytes(100))
    assert "other.bin is one of 4 such files there" in refused(SettingsError, file, "spikeglx")


def test_a_file_with_the_name_of_another_is_refused(run: Path) -> None:
    """Its meta file tells: the AP band would be read from the file that is called LFP."""
    folder = next(run.glob("*_imec0"))
    for ending in ("bin", "meta"):
        ap, lf = (folder / f"mouse_g0_t0.imec0.{band}.{ending}" for band in ("ap", "lf"))
        ap.rename(folder / "aside")
        lf.rename(ap)
        (folder / "aside").rename(lf)
    with pytest.raises(
        RecordingError, match=r"ap\.bin was named .*meta files imec0\.ap is in .*lf\.bin"
    ):
        open_recording(folder / NAME, "spikeglx", {})


def test_structure_oebin_opens_its_folder(tmp_path: Path, simulated: BaseRecording) -> None:
    file = next(write_open_ephys(tmp_path, simulated).rglob("structure.oebin"))
    find(file, "openephys")
    recording = open_recording(file, "openephys", {})
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())


@pytest.fixture
def bad_folders(tmp_path: Path, run: Path, simulated: BaseRecording) -> Path:
    """Write a folder for each mismatch of files and settings."""
    write_nwb(tmp_path / "nwb" / "a.nwb", simulated)
    (run / "mouse_g0_imec0" / NAME).with_suffix(".meta").rename(tmp_path / "away")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "error", "kwargs", "message"),
    [
        ("mouse_g0", SettingsError, {"stream_id": "imec7.ap"}, r"'imec7\.ap', which is not among"),
        ("mouse_g0", RecordingError, {}, r"cannot be read without mouse_g0_t0\.imec0\.ap\.meta"),
        ("nwb", RecordingError, {}, "look like nwb; if they are, set DATA_TYPE=nwb"),
    ],
)
def test_a_mounted_folder_is_checked_before_the_job(
    bad_folders: Path,
    name: str,
    error: type[CloudJobError],
    kwargs: dict[str, str],
    message: str,
) -> None:
    """By the names of its files, before the job."""
    with pytest.raises(error, match=message):
        find(bad_folders / name, "spikeglx", **kwargs)


def test_several_files_are_refused_before_the_job(tmp_path: Path, simulated: BaseRecording) -> None:
    for name in ("a.nwb", "b.nwb"):
        write_nwb(tmp_path / name, simulated)
    with pytest.raises(SettingsError, match=r"2 recordings of DATA_TYPE=nwb here: a\.nwb, b\.nwb"):
        find(tmp_path, "nwb")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.nwb", "a.nwb is not a file by which DATA_TYPE=spikeglx finds a recording"),
        (NAME, f"{NAME} cannot be read without mouse_g0_t0.imec0.ap.meta"),
        ("mouse_g0_t0.imec0.lf.bin", "is the LFP band"),
    ],
)
def test_one_object_on_s3_is_checked_before_it_is_fetched(
    moto_s3: S3Server, bucket: str, name: str, message: str
) -> None:
    moto_s3.client.put_object(Bucket=bucket, Key=f"raw/{name}", Body=b"1234")
    with pytest.raises(RecordingError, match=message):
        find(S3Location(bucket=bucket, key=f"raw/{name}"), "spikeglx", moto_s3.access)


def test_an_unknown_reader_is_left_to_the_preflight(run: Path) -> None:
    """The check of DATA_TYPE does."""
    assert find(run, "spikeglxx").path == run
