"""Files of the field potential, and headers of another band: refused before they are sorted."""

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import LFP, ElectricalSeries
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.streams import needed_files
from spikeinterface_cloud.recording.load import open_recording
from tests.support.acquisition_formats import (
    write_blackrock,
    write_cbin,
    write_neuralynx,
    write_neuroscope,
)
from tests.support.recordings import (
    AP_GAIN_UV,
    SpikeGlxRun,
    simulate,
    write_open_ephys,
    write_spikeglx,
)
from tests.support.servers import S3Server
from tests.support.sources import find, refusal

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface gives neo the older of two parameters
    pytest.mark.filterwarnings("ignore:.*`strict_gap_mode`"),
]

#: what READ_RECORDING_KWARGS says of a raw file
RAW = {"sampling_frequency": 30000.0, "dtype": "int16", "num_channels": 8}


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=8, n_units=2)[0]


# ----- Neuroscope --------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".lfp", ".eeg", ".EEG"])
def test_a_neuroscope_session_without_its_wideband_file_is_refused(
    tmp_path: Path, ending: str
) -> None:
    """Neo would read the LFP at the rate of the wideband."""
    folder = write_neuroscope(tmp_path, None, lfp=ending)
    for source in (folder, folder / "session.xml"):
        message = refusal(RecordingError, partial(find, source, "neuroscope"))
        assert "expected session.dat" in message
        assert message.endswith("put session.dat beside it")
    assert f"found only session{ending} (LFP" in message


@pytest.mark.parametrize("data_type", ["neuroscope", "binary"])
@pytest.mark.parametrize("ending", [".lfp", ".eeg"])
def test_an_lfp_file_as_the_source_is_refused(
    tmp_path: Path, simulated: BaseRecording, data_type: str, ending: str
) -> None:
    """Also as raw binary, and although the wideband file is beside it."""
    file = write_neuroscope(tmp_path, simulated, lfp=ending) / f"session{ending}"
    kwargs = RAW if data_type == "binary" else {}
    message = refusal(RecordingError, lambda: find(file, data_type, **kwargs))
    assert message.startswith(f"session{ending} is the LFP band")


@pytest.mark.parametrize("name", [".", "session.xml", "session.dat"])
def test_the_wideband_file_beside_an_lfp_is_read(
    tmp_path: Path, simulated: BaseRecording, name: str
) -> None:
    source = write_neuroscope(tmp_path, simulated) / name
    find(source, "neuroscope")
    recording = open_recording(source, "neuroscope", {})
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV)
    assert recording.sampling_frequency == 30000.0


def test_a_wideband_file_of_another_name_is_named(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_neuroscope(tmp_path, simulated)
    (folder / "session.dat").rename(folder / "amplifier.dat")
    message = refusal(RecordingError, lambda: find(folder, "neuroscope"))
    assert "session.xml belongs to session.dat, which is missing; found amplifier.dat" in message


def test_samples_without_their_header_are_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_neuroscope(tmp_path, simulated)
    (folder / "session.xml").unlink()
    for source in (folder, folder / "session.dat"):
        message = refusal(RecordingError, partial(find, source, "neuroscope"))
        assert message.startswith("session.dat cannot be read without session.xml")


def test_an_lfp_on_s3_is_refused_before_it_is_fetched(moto_s3: S3Server, bucket: str) -> None:
    for name in ("session.xml", "session.eeg"):
        moto_s3.client.put_object(Bucket=bucket, Key=f"raw/{name}", Body=b"1234")
    place = S3Location(bucket=bucket, key="raw")
    message = refusal(RecordingError, lambda: find(place, "neuroscope", moto_s3.access))
    assert "found only session.eeg (LFP" in message


# ----- other formats -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_type", "names", "message"),
    [
        ("axona", ("a.set", "a.eeg", "a.egf"), "expected a.bin, found only a.eeg, a.egf"),
        ("blackrock", ("a.nev", "a.ns2", "a.ns3"), "only LFP here, at 2000 Hz or less: a.ns2"),
        ("cbin_ibl", ("a.lf.cbin", "a.lf.ch", "a.lf.meta"), "no file of the AP band"),
        ("spikeglx", ("a_g0_t0.imec0.lf.bin", "a_g0_t0.imec0.lf.meta"), "no AP band to sort"),
    ],
)
def test_lfp_alone_is_refused_by_its_names(
    data_type: str, names: tuple[str, ...], message: str
) -> None:
    files = [PurePosixPath(name) for name in names]
    assert message in refusal(RecordingError, lambda: needed_files(data_type, files, {}))


@pytest.mark.parametrize("name", ["a.eeg2", "a.egf", "a.imec0.lf.bin", "a.ap.lf.cbin", "a.ns3"])
def test_an_lfp_file_of_any_format_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(bytes(1600))
    assert "is the LFP band" in refusal(RecordingError, lambda: find(file, "binary", **RAW))


def test_blackrock_is_read_from_its_fast_file(tmp_path: Path, simulated: BaseRecording) -> None:
    write_blackrock(tmp_path / "session.ns2", simulated.get_traces(), period=30)
    write_blackrock(tmp_path / "session.ns5", simulated.get_traces())
    for source in (tmp_path, tmp_path / "session.ns5"):
        recording = open_recording(source, "blackrock", {})
        assert recording.sampling_frequency == 30000.0
        np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
        np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV, rtol=1e-3)


def test_two_blackrock_recordings_are_refused_without_a_choice(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """Also where one of them alone has a file of another rate, by which it would be found."""
    write_blackrock(tmp_path / "session.ns2", simulated.get_traces(), period=30)
    write_blackrock(tmp_path / "session.ns5", simulated.get_traces())
    write_blackrock(tmp_path / "other.ns5", simulated.get_traces())
    message = refusal(SettingsError, lambda: find(tmp_path, "blackrock"))
    assert "there are 2 recordings of DATA_TYPE=blackrock here: other.ns5" in message


def test_the_compressed_lfp_of_ibl_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    run = write_spikeglx(tmp_path / "run", simulated)
    folder = tmp_path / "ibl"
    write_cbin(run, folder, "ap")
    write_cbin(run, folder, "lf")
    for band in ("lf", "lp"):
        message = refusal(RecordingError, partial(find, folder, "cbin_ibl", stream_name=band))
        assert "names the LFP band" in message
    lfp = next(folder.glob("*.lf.cbin"))
    assert "is the LFP band" in refusal(RecordingError, lambda: find(lfp, "cbin_ibl"))
    recording = open_recording(folder, "cbin_ibl", {})
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())


@pytest.mark.parametrize("name", ["LFP", "theta"])
@pytest.mark.parametrize("rate", [1250.0, 30000.0])
def test_an_nwb_series_in_a_container_of_lfp_is_not_the_recording(
    tmp_path: Path, name: str, rate: float
) -> None:
    """Whatever container and series are called, and whatever rate the series names."""
    nwb = NWBFile(
        session_description="s", identifier="i", session_start_time=datetime(2024, 5, 1, tzinfo=UTC)
    )
    device = nwb.create_device("probe")
    group = nwb.create_electrode_group("g", description="d", location="l", device=device)
    for _ in range(4):
        nwb.add_electrode(group=group, location="l")
    region = nwb.create_electrode_table_region([0, 1, 2, 3], "all")
    data = np.random.default_rng(0).normal(0, 100, (5000, 4)).astype("int16")
    series = ElectricalSeries(
        name="ElectricalSeries", data=data, electrodes=region, rate=rate, conversion=1e-6
    )
    container = LFP(name=name)
    nwb.add_acquisition(container)
    container.add_electrical_series(series)
    with NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as io:
        io.write(nwb)
    message = refusal(RecordingError, lambda: open_recording(tmp_path / "a.nwb", "nwb", {}))
    assert f"nothing here can be sorted: there are acquisition/{name}/ElectricalSeries" in message


# ----- rates that contradict the size and duration -----------------------------------------------


@pytest.mark.parametrize(("rate", "implied"), [(2500, 30000), (30000.5, None), (10000, 30000)])
def test_a_meta_file_with_contradictory_rate_and_duration_is_refused(
    tmp_path: Path, simulated: BaseRecording, rate: float, implied: int | None
) -> None:
    """A header of another band or probe, and one of a calibrated clock."""
    run = write_spikeglx(tmp_path, simulated, SpikeGlxRun(with_lf=False))
    meta = next(run.rglob("*.ap.meta"))
    text = meta.read_text().replace("imSampRate=30000.0", f"imSampRate={rate}")
    meta.write_text(text)
    if implied is None:
        assert open_recording(run, "spikeglx", {}).sampling_frequency == rate
        return
    message = refusal(RecordingError, lambda: open_recording(run, "spikeglx", {}))
    if rate > 5000:  # else its stream is refused as LFP
        assert f"60000 samples at {rate} Hz last 6 s, but fileTimeSecs is 2 s" in message
        assert f"which implies {implied} Hz" in message


def test_a_cbin_index_that_contradicts_its_meta_file_is_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    file = write_cbin(write_spikeglx(tmp_path / "run", simulated), tmp_path / "ibl")
    index = file.with_suffix(".ch")
    index.write_text(json.dumps({**json.loads(index.read_text()), "sample_rate": 2500.0}))
    message = refusal(RecordingError, lambda: open_recording(file.parent, "cbin_ibl", {}))
    assert "was sampled at 2500 Hz, and its meta file says 30000 Hz" in message


@pytest.mark.parametrize("gap", [0, 20_000])
def test_an_open_ephys_rate_that_contradicts_its_timestamps_is_refused(
    tmp_path: Path, simulated: BaseRecording, gap: int
) -> None:
    """A gap in the sample numbers alone does not make another rate."""
    folder = write_open_ephys(tmp_path, simulated)
    for file in folder.rglob("sample_numbers.npy"):
        numbers = np.load(file)
        numbers[len(numbers) // 2 :] += gap
        np.save(file, numbers)
    assert open_recording(folder, "openephys", {}).sampling_frequency == 30000.0
    structure = next(folder.rglob("structure.oebin"))
    described = json.loads(structure.read_text())
    for stream in described["continuous"]:
        stream["sample_rate"] = 20000.0
    structure.write_text(json.dumps(described))
    message = refusal(RecordingError, lambda: open_recording(folder, "openephys", {}))
    assert "structure.oebin says 20000 Hz" in message
    assert "imply 30000 Hz" in message


@pytest.mark.parametrize("inside", [False, True])
def test_neuralynx_is_read_at_the_rate_of_its_times(
    tmp_path: Path, simulated: BaseRecording, inside: bool
) -> None:
    folder = write_neuralynx(tmp_path / "source" / "2024-05-01", simulated.get_traces())
    recording = open_recording(folder.parent if inside else folder, "neuralynx", {})
    assert recording.get_num_segments() == 1
    assert recording.sampling_frequency == 30000.0
    n_samples = recording.get_num_samples()
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces()[:n_samples])
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV)


@pytest.mark.parametrize("claimed_rate", [20000, 60000])
def test_a_neuralynx_rate_that_contradicts_its_timestamps_is_refused(
    tmp_path: Path, simulated: BaseRecording, claimed_rate: int
) -> None:
    """Neo would make a segment of each record, all of them of the wrong rate."""
    folder = write_neuralynx(tmp_path / "ncs", simulated.get_traces(), header_rate=claimed_rate)
    message = refusal(RecordingError, lambda: open_recording(folder, "neuralynx", {}))
    assert f"say {claimed_rate} Hz, but the timestamps of their records imply 300" in message


def test_slow_neuralynx_channels_are_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_neuralynx(tmp_path / "ncs", simulated.get_traces(), header_rate=2000)
    message = refusal(RecordingError, lambda: open_recording(folder, "neuralynx", {}))
    assert "nothing here can be sorted" in message


def test_a_wrong_number_of_channels_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_neuroscope(tmp_path, simulated, n_channels=7)
    message = refusal(RecordingError, lambda: open_recording(folder, "neuroscope", {}))
    assert "session.dat has 960000 bytes of samples, not a multiple of the 14 bytes" in message
    kwargs = {**RAW, "num_channels": 7}
    message = refusal(
        RecordingError, lambda: open_recording(folder / "session.dat", "binary", kwargs)
    )
    assert "(7 channels of int16)" in message
