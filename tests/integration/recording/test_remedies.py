"""Messages about recordings that cannot be opened have a remedy that works."""

import json
import shutil
from pathlib import Path, PurePosixPath

import h5py
import numpy as np
import pytest
import zarr
from probeinterface import write_probeinterface
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import DandiAccess
from spikeinterface_cloud.errors import (
    RecordingError,
    SettingsError,
    UnavailableError,
)
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.formats.readers import check_reader
from spikeinterface_cloud.recording.formats.streams import needed_files
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.source import SourceRequest, find_source
from tests.support.acquisition_formats import (
    INTAN_STEP_UV,
    write_blackrock_ptp,
    write_cbin,
    write_edf,
    write_intan,
    write_mda,
    write_open_ephys_legacy,
    write_split_intan,
)
from tests.support.nwb_files import write_nwb
from tests.support.recordings import (
    AP_GAIN_UV,
    SpikeGlxRun,
    neuropixels_probe,
    simulate,
    write_binary_folder,
    write_open_ephys,
    write_spikeglx,
    write_zarr_folder,
)
from tests.support.servers import S3Server
from tests.support.sources import refusal

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface says so when it saves a recording that exists only in memory, as ours do
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
    # SpikeInterface leaves the file of a saved recording to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

#: samples of each part of a split session: whole blocks of 128
PART = 128 * 100


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=8, n_units=2)[0]


# ----- packages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_type", "package"),
    [("ced", "sonpy"), ("mearec", "MEArec"), ("nix", "nixio"), ("plexon2", "zugbruecke and wine")],
)
def test_a_reader_whose_package_no_image_has_is_refused_by_name(
    data_type: str, package: str
) -> None:
    """Where the settings are checked, before anything is fetched."""
    message = refusal(UnavailableError, lambda: check_reader(data_type, {}))
    assert message.startswith(f"DATA_TYPE={data_type} needs {package}, which this image does not")
    assert "convert it to NWB" in message


def test_edf_is_read(tmp_path: Path, simulated: BaseRecording) -> None:
    """To half a step of its tenth of a microvolt, and what 16 bits of neo's scale lose."""
    recording = open_recording(write_edf(tmp_path / "a.edf", simulated), "edf", {})
    assert recording.sampling_frequency == 30000.0
    expected = simulated.get_traces(return_in_uV=True)
    np.testing.assert_allclose(recording.get_traces(return_in_uV=True), expected, atol=0.15)


# ----- sessions in several files -----------------------------------------------------------------


def session(folder: Path, recording: BaseRecording, firsts: list[int]) -> Path:
    return write_split_intan(folder, intan_steps(recording), firsts, PART)


def intan_steps(recording: BaseRecording) -> np.ndarray:
    microvolts = recording.get_traces(return_in_uV=True)
    steps: np.ndarray = np.round(microvolts / INTAN_STEP_UV).astype("int16")
    return steps


def test_split_intan_files_are_refused_with_their_reader(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """And the offer can be followed: one segment, in the units that were recorded."""
    folder = session(tmp_path, simulated, [0, PART, 2 * PART])
    message = refusal(SettingsError, lambda: open_recording(folder, "intan", {}))
    assert "set DATA_TYPE=split_intan_files" in message
    recording = open_recording(folder, "split_intan_files", {})
    assert recording.get_num_segments() == 1
    expected = simulated.get_traces(return_in_uV=True)[: 3 * PART]
    np.testing.assert_allclose(
        recording.get_traces(return_in_uV=True), expected, atol=INTAN_STEP_UV
    )


@pytest.mark.parametrize(
    ("firsts", "starts"),
    [
        ([0, PART, 2 * PART], [0, PART, 2 * PART]),
        ([0, PART + 3000, 2 * PART + 3000], [0, PART + 3000, 2 * PART + 3000]),
        ([600, PART + 600, 2 * PART + 600], [600, PART + 600, 2 * PART + 600]),
        ([0, 0, 0], [0, 0, 0]),  # recordings of their own, each with a clock of its own
    ],
)
def test_split_intan_files_start_where_their_clock_says(
    tmp_path: Path, simulated: BaseRecording, firsts: list[int], starts: list[int]
) -> None:
    folder = session(tmp_path, simulated, firsts)
    recording = open_recording(folder, "split_intan_files", {"mode": "append"})
    assert recording.get_num_segments() == 3
    start_times = [recording.get_start_time(segment_index=segment) for segment in range(3)]
    np.testing.assert_allclose(start_times, np.array(starts) / 30000.0)
    expected = simulated.get_traces(return_in_uV=True)[PART : 2 * PART]
    np.testing.assert_allclose(
        recording.get_traces(segment_index=1, return_in_uV=True), expected, atol=INTAN_STEP_UV
    )


@pytest.mark.parametrize(
    ("firsts", "message"),
    [
        ([0, PART + 3000, 2 * PART + 3000], "starts 0.1 s (3000 samples) after the end of"),
        ([0, 0, 0], "starts with a clock that does not continue"),
    ],
)
def test_intan_files_that_do_not_continue_each_other_are_not_joined(
    tmp_path: Path, simulated: BaseRecording, firsts: list[int], message: str
) -> None:
    folder = session(tmp_path, simulated, firsts)
    refused = refusal(SettingsError, lambda: open_recording(folder, "split_intan_files", {}))
    assert message in refused
    assert 'READ_RECORDING_KWARGS={"mode": "append"}' in refused


def test_split_files_on_s3_are_refused_before_they_are_fetched(
    moto_s3: S3Server, bucket: str
) -> None:
    for part in range(2):
        moto_s3.client.put_object(Bucket=bucket, Key=f"raw/a_{part}.rhd", Body=b"1234")
    request = SourceRequest(
        location=S3Location(bucket=bucket, key="raw"),
        data_type="intan",
        read_recording_kwargs={},
        probe_file=None,
    )
    message = refusal(SettingsError, lambda: find_source(request, moto_s3.access, DandiAccess()))
    assert "set DATA_TYPE=split_intan_files" in message


# ----- a reader's own advice ---------------------------------------------------------------------


def test_the_advice_at_the_end_of_a_long_message_is_kept(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """Intan's table of discontinuities is longer than any message may be."""
    traces, numbers = intan_steps(simulated)[: 128 * 10], np.arange(128 * 10)
    parts = [
        write_intan(tmp_path / f"{part}.rhd", traces, numbers + part * 2000).read_bytes()
        for part in range(20)
    ]
    header = len(parts[0]) - 10 * 128 * (4 + 2 * 8)
    source = tmp_path / "source" / "a.rhd"
    source.parent.mkdir()
    source.write_bytes(parts[0] + b"".join(part[header:] for part in parts[1:]))
    message = refusal(RecordingError, lambda: open_recording(source, "intan", {}))
    assert "ignore_integrity_checks can be set in READ_RECORDING_KWARGS" in message
    assert "whole" not in message


def test_blackrock_gaps_are_refused_with_their_parameter(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    times_ns = np.round(np.arange(60000) / 30000 * 1e9) + 10**9
    times_ns[30000:] += 2 * 10**8
    file = write_blackrock_ptp(tmp_path / "session.ns5", simulated.get_traces(), times_ns)
    message = refusal(RecordingError, lambda: open_recording(file, "blackrock", {}))
    assert "gap_tolerance_ms can be set in READ_RECORDING_KWARGS" in message
    recording = open_recording(file, "blackrock", {"gap_tolerance_ms": 1.0})
    assert recording.get_num_segments() == 2


def test_the_remedy_for_a_wrong_format_is_not_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "a.plx"
    file.write_bytes(b"no plexon file" * 1000)
    message = refusal(RecordingError, lambda: open_recording(file, "plexon", {}))
    assert "whole" not in message
    assert "check that it is what DATA_TYPE=plexon reads" in message


def test_nwb_without_data_is_not_called_damaged(tmp_path: Path, simulated: BaseRecording) -> None:
    file = write_nwb(tmp_path / "a.nwb", simulated)
    with h5py.File(file, "a") as opened:
        del opened["acquisition/ElectricalSeries/data"]
    message = refusal(RecordingError, lambda: open_recording(file, "nwb", {}))
    assert "object 'data' doesn't exist" in message
    assert "whole" not in message


# ----- folders -----------------------------------------------------------------------------------


def test_zarr_format_3_is_refused(tmp_path: Path) -> None:
    files = [PurePosixPath("a.zarr/zarr.json"), PurePosixPath("a.zarr/traces_seg0/zarr.json")]
    message = refusal(RecordingError, lambda: needed_files("zarr", files, {}))
    assert "Zarr of format 3" in message
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    assert "format 3" in refusal(RecordingError, lambda: open_recording(tmp_path, "zarr", {}))


def test_zarr_format_2_is_read(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_zarr_folder(tmp_path / "a.zarr", simulated)
    np.testing.assert_array_equal(
        open_recording(folder, "zarr", {}).get_traces(), simulated.get_traces()
    )


@pytest.mark.parametrize("layout", ["apart", "together"])
def test_two_compressed_probes_are_refused_without_a_choice(
    tmp_path: Path, simulated: BaseRecording, layout: str
) -> None:
    other = simulate(duration_s=1.0, n_channels=6, n_units=2, seed=1)[0]
    for probe, recording in enumerate((simulated, other)):
        run = write_spikeglx(tmp_path / f"run{probe}", recording, SpikeGlxRun(with_lf=False))
        folder = tmp_path / "ibl" / ("alf" if layout == "together" else f"probe0{probe}")
        for file in write_cbin(run, tmp_path / f"made{probe}").parent.iterdir():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / file.name.replace("imec0", f"imec{probe}"))
    message = refusal(SettingsError, lambda: open_recording(tmp_path / "ibl", "cbin_ibl", {}))
    assert "there are 2 compressed AP bands here: " in message
    if layout == "apart":
        assert message.endswith("name the folder of one of them as the source")
        chosen = open_recording(tmp_path / "ibl" / "probe01", "cbin_ibl", {})
        np.testing.assert_array_equal(chosen.get_traces(), other.get_traces())
    else:
        assert "in a folder of its own" in message


def test_a_legacy_node_of_open_ephys_is_found_below_the_folder(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    write_open_ephys_legacy(tmp_path / "2024-05-01" / "Record Node 101", simulated.get_traces())
    recording = open_recording(tmp_path, "openephys", {})
    n_samples = recording.get_num_samples()
    assert n_samples == 60000 // 1024 * 1024
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces()[:n_samples])
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV)
    write_open_ephys_legacy(tmp_path / "2024-05-01" / "Record Node 102", simulated.get_traces())
    message = refusal(SettingsError, lambda: open_recording(tmp_path, "openephys", {}))
    assert "there are 2 recordings of DATA_TYPE=openephys here: Record Node 101" in message


def age(folder: Path, recording: BaseRecording, description: str) -> None:
    """Make a saved folder what SpikeInterface 0.95 to 0.97 wrote."""
    described = json.loads((folder / "binary.json").read_text())
    described["kwargs"]["num_chan"] = described["kwargs"].pop("num_channels")
    described["version"] = "0.97.1"
    (folder / "binary.json").unlink()
    (folder / "si_folder.json").unlink(missing_ok=True)
    (folder / description).write_text(json.dumps(described))
    (folder / "probegroup.json").unlink()
    (folder / "annotations.json").unlink(missing_ok=True)
    write_probeinterface(folder / "probe.json", recording.get_probegroup())


@pytest.mark.parametrize("description", ["binary.json", "si_folder.json"])
@pytest.mark.parametrize("inside", [False, True])
def test_folders_of_older_versions_of_spikeinterface_open(
    tmp_path: Path, simulated: BaseRecording, description: str, inside: bool
) -> None:
    folder = write_binary_folder(tmp_path / "source" / "saved", simulated)
    age(folder, simulated, description)
    recording = open_recording(folder.parent if inside else folder, "binary", {})
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    np.testing.assert_allclose(recording.get_channel_locations(), simulated.get_channel_locations())
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV)
    assert recording.channel_ids.tolist() == simulated.channel_ids.tolist()


def test_older_folders_with_foreign_classes_are_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    folder = write_binary_folder(tmp_path / "saved", simulated)
    age(folder, simulated, "si_folder.json")
    described = json.loads((folder / "si_folder.json").read_text())
    described["class"] = "subprocess.check_call"
    (folder / "si_folder.json").write_text(json.dumps(described))
    message = refusal(RecordingError, lambda: open_recording(folder, "binary", {}))
    assert "si_folder.json names the class 'subprocess.check_call'" in message


def test_a_missing_continuous_dat_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_open_ephys(tmp_path, simulated)
    next(folder.rglob("Acquisition_Board*/continuous.dat")).unlink()
    message = refusal(RecordingError, lambda: open_recording(folder, "openephys", {}))
    assert "whole" not in message


def test_truncated_nwb_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    file = write_nwb(tmp_path / "a.nwb", simulated)
    file.write_bytes(file.read_bytes()[:-5000])
    message = refusal(RecordingError, lambda: open_recording(file, "nwb", {}))
    assert "check that the file is whole" in message


# ----- formats that are rarely seen --------------------------------------------------------------


def test_mda_is_read(tmp_path: Path, simulated: BaseRecording) -> None:
    recording = open_recording(write_mda(tmp_path / "mda", simulated), "mda", {})
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    np.testing.assert_allclose(recording.get_channel_locations(), simulated.get_channel_locations())
    assert recording.sampling_frequency == 30000.0


def test_whitematter_is_read(tmp_path: Path, simulated: BaseRecording) -> None:
    """Its samples begin after eight bytes."""
    file = tmp_path / "HSamp.bin"
    file.write_bytes(bytes(8) + simulated.get_traces().tobytes())
    kwargs = {"sampling_frequency": 30000.0, "num_channels": 8}
    recording = open_recording(file, "whitematter", kwargs)
    recording.set_probe(neuropixels_probe(8))
    check_recording(recording)
    assert recording.get_binary_description()["file_offset"] == 8  # which phy is given
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    np.testing.assert_allclose(recording.get_channel_gains(), 0.190734863)


def test_whitematter_that_ends_within_a_sample_is_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    file = tmp_path / "HSamp.bin"
    file.write_bytes(bytes(8) + simulated.get_traces().tobytes()[:-6])
    kwargs = {"sampling_frequency": 30000.0, "num_channels": 8}
    message = refusal(RecordingError, lambda: open_recording(file, "whitematter", kwargs))
    assert "not a multiple of the 16 bytes" in message


def test_a_zarr_array_is_read(tmp_path: Path, simulated: BaseRecording) -> None:
    zarr.save_array(str(tmp_path / "a.zarr"), simulated.get_traces())
    kwargs = {"sampling_frequency": 30000.0, "gain_to_uV": AP_GAIN_UV, "offset_to_uV": 0.0}
    recording = open_recording(tmp_path / "a.zarr", "zarr_array", kwargs)
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV)


def test_a_time_series_of_nwb_is_read(tmp_path: Path, simulated: BaseRecording) -> None:
    write_nwb(tmp_path / "a.nwb", simulated)
    kwargs = {"timeseries_path": "acquisition/ElectricalSeries"}
    recording = open_recording(tmp_path, "nwb_timeseries", kwargs)
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    assert recording.sampling_frequency == 30000.0


def test_another_reader_of_the_same_files_is_not_suggested(tmp_path: Path) -> None:
    """Intan's reader of one file cannot read what its reader of several cannot."""
    (tmp_path / "a.rhd").write_bytes(b"no header" * 100)
    message = refusal(RecordingError, lambda: open_recording(tmp_path, "split_intan_files", {}))
    assert "it looks like intan" not in message


def test_a_named_lfp_stream_is_refused_before_it_is_fetched() -> None:
    files = [
        PurePosixPath(f"a_g0_t0.imec0.{band}.{ending}")
        for band in ("ap", "lf")
        for ending in ("bin", "meta")
    ]
    message = refusal(
        RecordingError, lambda: needed_files("spikeglx", files, {"stream_id": "imec0.lf"})
    )
    assert message.endswith("name the AP band, stream_id imec0.ap")
