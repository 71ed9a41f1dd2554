"""Compressed, transposed, flat or reordered NWB series, and duplicate names."""

import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from probeinterface import write_probeinterface
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import ElectricalSeries
from spikeinterface.core import BaseRecording, load

from spikeinterface_cloud.errors import RecordingError, UnavailableError
from spikeinterface_cloud.exports.nwb_source import find_session
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.load import open_recording, open_streamed_nwb
from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.acquisition_formats import write_maxwell
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import AP_GAIN_UV, simulate
from tests.support.servers import S3Server
from tests.support.sources import refusal

pytestmark = pytest.mark.integration

SERIES = "acquisition/ElectricalSeries"
N_CHANNELS = 8


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=N_CHANNELS, n_units=2)[0]


def replace_data(file: Path, data: np.ndarray, series: str = SERIES, **storage: Any) -> None:
    """Other data in place of those of a series, stored in another way."""
    with h5py.File(file, "a") as opened:
        attributes = dict(opened[f"{series}/data"].attrs)
        del opened[f"{series}/data"]
        dataset = opened.create_dataset(f"{series}/data", data=data, **storage)
        dataset.attrs.update(attributes)


# ----- codecs ------------------------------------------------------------------------------------

CODECS = {
    "zstd": hdf5plugin.Zstd(),
    "blosc": hdf5plugin.Blosc(cname="zstd"),
    "blosc2": hdf5plugin.Blosc2(),
    "lz4": hdf5plugin.LZ4(),
    "bitshuffle": hdf5plugin.Bitshuffle(cname="lz4"),
    "bzip2": hdf5plugin.BZip2(),
}


@pytest.mark.parametrize("codec", CODECS)
def test_nwb_of_any_common_codec_is_read(
    tmp_path: Path, simulated: BaseRecording, codec: str
) -> None:
    file = write_nwb(tmp_path / "a.nwb", simulated)
    traces = simulated.get_traces(segment_index=0)
    replace_data(file, traces, chunks=(15000, N_CHANNELS), **CODECS[codec])
    recording = open_recording(file, "nwb", {})
    np.testing.assert_array_equal(recording.get_traces(), traces)
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV)


@pytest.mark.parametrize("data_type", ["nwb", "nwb_timeseries"])
def test_chunks_that_were_never_written_are_refused(
    tmp_path: Path, simulated: BaseRecording, data_type: str
) -> None:
    """HDF5 would read them as zeros."""
    file = write_nwb(tmp_path / "a.nwb", simulated)
    replace_data(file, simulated.get_traces()[:1000], chunks=(1000, N_CHANNELS), maxshape=(None, 8))
    with h5py.File(file, "r+") as opened:
        opened[f"{SERIES}/data"].resize(3000, axis=0)
    kwargs = {} if data_type == "nwb" else {"timeseries_path": SERIES}
    message = refusal(RecordingError, lambda: open_recording(file, data_type, kwargs))
    assert f"2 of the 3 chunks of {SERIES}/data were never written" in message


#: the number of zstd's filter in HDF5's registry
ZSTD = 32015


def give_an_unknown_filter(file: Path, number: int) -> None:
    """Have the data of a file that zstd compressed name a filter which nobody has here.

    HDF5 writes the number of a filter eight bytes before its name.
    """
    content = bytearray(file.read_bytes())
    place = content.index(b"HDF5 zstd filter") - 8
    assert struct.unpack_from("<H", content, place) == (ZSTD,)
    struct.pack_into("<H", content, place, number)
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("number", "name"), [(32020, "(VBZ, of Oxford Nanopore)"), (61234, "filter 61234 (")]
)
def test_an_unknown_codec_is_refused_by_name(
    tmp_path: Path, simulated: BaseRecording, number: int, name: str
) -> None:
    file = write_nwb(tmp_path / "a.nwb", simulated)
    replace_data(file, simulated.get_traces(), chunks=(15000, 8), **hdf5plugin.Zstd())
    give_an_unknown_filter(file, number)
    message = refusal(UnavailableError, lambda: open_recording(file, "nwb", {}))
    assert message.startswith(f"a.nwb: {SERIES}/data is compressed by the HDF5 filter {number}")
    assert name in message
    assert "it reads gzip, szip, lzf, blosc" in message
    assert "whole" not in message


def test_an_unknown_codec_of_another_series_is_ignored(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    file = write_nwb(tmp_path / "a.nwb", {"Raw": simulated, "Other": simulated})
    zstd = {"chunks": (15000, 8), **hdf5plugin.Zstd()}
    replace_data(file, simulated.get_traces(), "acquisition/Other", **zstd)
    give_an_unknown_filter(file, 61234)
    recording = open_recording(file, "nwb", {"electrical_series_path": "acquisition/Raw"})
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())


def test_the_missing_maxwell_filter_is_refused_with_a_remedy(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """Maxwell's own filter cannot be distributed; the message has a remedy."""
    expected = simulated.get_traces().astype("int64") + 512
    traces, storage = simulated.get_traces(), {"chunks": (8, 9000), **hdf5plugin.Zstd()}
    file = write_maxwell(tmp_path / "a.raw.h5", traces, **storage)
    recording = open_recording(file, "maxwell", {})
    np.testing.assert_array_equal(recording.get_traces(), expected)
    file = write_maxwell(tmp_path / "b.raw.h5", traces, **storage)
    give_an_unknown_filter(file, 61235)
    message = refusal(UnavailableError, lambda: open_recording(file, "maxwell", {}))
    series = "wells/well000/rec0000/groups/routed/raw"
    assert f"b.raw.h5: {series} is compressed by the HDF5 filter 61235" in message
    assert "libcompression.so" in message
    assert "HDF5_PLUGIN_PATH" in message


# ----- shapes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [60000, 40])
def test_transposed_data_are_refused(
    tmp_path: Path, simulated: BaseRecording, n_samples: int
) -> None:
    file = write_nwb(tmp_path / "a.nwb", simulated)
    replace_data(file, simulated.get_traces()[:n_samples].T)
    message = refusal(RecordingError, lambda: open_recording(file, "nwb", {}))
    assert message.startswith(f"the data of {SERIES} are transposed: they have 8 rows and ")
    assert message.endswith("write the series again with data.T")


def test_data_with_another_number_of_channels_are_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    file = write_nwb(tmp_path / "a.nwb", simulated)
    replace_data(file, simulated.get_traces()[:, :5])
    message = refusal(RecordingError, lambda: open_recording(file, "nwb", {}))
    assert "have the shape 60000x5, but the series names 8 electrodes" in message


@pytest.mark.parametrize(("rate", "is_right"), [(30000.0, True), (30010.0, True), (2500.0, False)])
def test_a_rate_that_contradicts_the_timestamps_is_refused(
    tmp_path: Path, simulated: BaseRecording, rate: float, is_right: bool
) -> None:
    """NWB wants one of the two; some files have both."""
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(with_lfp=False))
    with h5py.File(file, "a") as opened:
        opened[f"{SERIES}/starting_time"].attrs["rate"] = rate * 10  # 25 kHz is no LFP
        opened[f"{SERIES}/timestamps"] = np.arange(60000) / 300000.0
    if is_right:
        assert open_recording(file, "nwb", {}).get_num_channels() == N_CHANNELS
        return
    message = refusal(RecordingError, lambda: open_recording(file, "nwb", {}))
    assert "has a rate of 25000 Hz, but its timestamps imply 300000 Hz" in message


# ----- electrodes --------------------------------------------------------------------------------


def write_series(file: Path, simulated: BaseRecording, names: list[str], rows: list[int]) -> Path:
    """Write a series in `processing` whose columns are `rows` of the electrodes table.

    It has channel names, an offset and gains; four electrodes of another probe come first.
    """
    nwb = NWBFile(
        session_description="s", identifier="i", session_start_time=datetime(2024, 5, 1, tzinfo=UTC)
    )
    device = nwb.create_device("probe")
    other, group = (
        nwb.create_electrode_group(name, description="d", location="l", device=device)
        for name in ("other", "this")
    )
    for column in ("rel_x", "rel_y", "channel_name"):
        nwb.add_electrode_column(column, column)
    for row in range(4):
        nwb.add_electrode(
            group=other, location="l", rel_x=900.0, rel_y=float(row), channel_name="no"
        )
    for row, name in enumerate(names):
        nwb.add_electrode(
            group=group, location="l", rel_x=10.0 * row, rel_y=7.0 * row, channel_name=name
        )
    series = ElectricalSeries(
        name="ElectricalSeries",
        data=simulated.get_traces(),
        electrodes=nwb.create_electrode_table_region(rows, "all"),
        rate=30000.0,
        starting_time=50.0,
        conversion=1e-6,
        offset=-120e-6,
        channel_conversion=np.linspace(0.5, 2.0, len(rows)).tolist(),
    )
    nwb.create_processing_module("ecephys", "p").add(series)
    with NWBHDF5IO(str(file), "w") as io:
        io.write(nwb)
    return file


ORDER = [4 + row for row in (3, 0, 7, 5, 1, 2, 6, 4)]


def test_duplicate_channel_names_become_electrode_ids(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """Names that repeat by shank: the samples, places and gains stay with their channel."""
    names = [f"ch{row % 4}" for row in range(N_CHANNELS)]
    file = write_series(tmp_path / "a.nwb", simulated, names, ORDER)
    opened = open_source(FetchedSource(path=file), "nwb", {}, None)
    recording = opened.recording
    assert recording.channel_ids.tolist() == ORDER
    assert any("the ids of the electrodes are used" in note for note in opened.notes)
    expected = [names[row - 4] for row in ORDER]
    assert recording.get_property("channel_name").tolist() == expected
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    one = recording.select_channels([ORDER[5]])
    np.testing.assert_array_equal(one.get_traces()[:, 0], simulated.get_traces()[:, 5])
    places = [[10.0 * (row - 4), 7.0 * (row - 4)] for row in ORDER]
    np.testing.assert_allclose(recording.get_channel_locations(), places)
    np.testing.assert_allclose(recording.get_channel_gains(), np.linspace(0.5, 2.0, 8))
    assert set(recording.get_property("group")) == {"this"}
    assert recording.get_start_time() == 50.0
    rows = find_session(recording).electrodes.rows  # of the table that units.nwb copies
    assert rows == {row: row for row in ORDER}


def test_renamed_channels_can_be_sent_to_a_worker(tmp_path: Path, simulated: BaseRecording) -> None:
    names = [f"ch{row % 4}" for row in range(N_CHANNELS)]
    file = write_series(tmp_path / "a.nwb", simulated, names, ORDER)
    again = load(open_recording(file, "nwb", {}).to_dict(recursive=True))
    assert again.channel_ids.tolist() == ORDER
    np.testing.assert_array_equal(again.get_traces(), simulated.get_traces())


def test_electrodes_in_another_order_keep_their_gains_and_places(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    names = [f"ch{row}" for row in range(N_CHANNELS)]
    file = write_series(tmp_path / "a.nwb", simulated, names, ORDER)
    recording, notes = check_recording(open_recording(file, "nwb", {}))
    assert recording.channel_ids.tolist() == [f"ch{row - 4}" for row in ORDER]
    np.testing.assert_allclose(
        recording.get_channel_locations(), [[10.0 * (row - 4), 7.0 * (row - 4)] for row in ORDER]
    )
    microvolts = recording.get_traces(return_in_uV=True)
    expected = simulated.get_traces() * np.linspace(0.5, 2.0, 8) - 120.0
    np.testing.assert_allclose(microvolts, expected, atol=1e-2)
    assert not any("electrodes" in note for note in notes)


def test_data_of_one_dimension_are_one_channel(tmp_path: Path) -> None:
    written = simulate(duration_s=2.0, n_channels=1, n_units=1)[0]
    file = write_nwb(tmp_path / "a.nwb", written)
    replace_data(file, written.get_traces()[:, 0])
    recording = check_recording(open_recording(file, "nwb", {}))[0]
    np.testing.assert_array_equal(recording.get_traces(), written.get_traces())
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV)


def test_a_streamed_file_is_checked_too(
    tmp_path: Path, simulated: BaseRecording, moto_s3: S3Server, bucket: str
) -> None:
    names = [f"ch{row % 4}" for row in range(N_CHANNELS)]
    file = write_series(tmp_path / "a.nwb", simulated, names, ORDER)
    moto_s3.client.upload_file(str(file), bucket, "a.nwb")
    parameters = {"Bucket": bucket, "Key": "a.nwb"}
    url = moto_s3.client.generate_presigned_url("get_object", Params=parameters)
    recording = open_streamed_nwb(url, {})
    assert recording.channel_ids.tolist() == ORDER
    np.testing.assert_array_equal(
        recording.get_traces(end_frame=100), simulated.get_traces(end_frame=100)
    )


def test_a_streamed_series_without_conversion_or_depth_is_read(
    tmp_path: Path, simulated: BaseRecording, moto_s3: S3Server, bucket: str
) -> None:
    """As one in a file is; the probe of a PROBE_FILE replaces lost depths."""
    file = write_nwb(tmp_path / "b.nwb", simulated, NwbLayout(conversion=None))
    add_column(file, "rel_z", 20.0 * np.arange(N_CHANNELS))
    with h5py.File(file, "a") as opened:
        del opened[f"{SERIES}/data"].attrs["conversion"]
    moto_s3.client.upload_file(str(file), bucket, "b.nwb")
    parameters = {"Bucket": bucket, "Key": "b.nwb"}
    url = moto_s3.client.generate_presigned_url("get_object", Params=parameters)
    message = refusal(RecordingError, lambda: open_streamed_nwb(url, {}))
    assert "differ in rel_z" in message
    recording = open_streamed_nwb(url, {}, has_probe_file=True)
    np.testing.assert_array_equal(recording.get_channel_gains(), 1e6)
    np.testing.assert_array_equal(
        recording.get_traces(end_frame=100), simulated.get_traces(end_frame=100)
    )


# ----- columns of the electrodes -----------------------------------------------------------------


def add_column(file: Path, name: str, values: np.ndarray) -> None:
    with NWBHDF5IO(str(file), "a") as io:
        nwbfile = io.read()
        nwbfile.add_electrode_column(name, "of another series", data=values.tolist())
        io.write(nwbfile)


def test_gains_of_the_series_are_used_instead_of_those_in_the_table(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """One table serves all series of a file."""
    file = write_nwb(tmp_path / "a.nwb", simulated)
    add_column(file, "gain_to_uV", np.full(N_CHANNELS, 2 * AP_GAIN_UV))
    add_column(file, "offset_to_uV", np.full(N_CHANNELS, -100.0))
    recording = open_recording(file, "nwb", {})
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV)
    np.testing.assert_allclose(recording.get_channel_offsets(), 0.0)
    _, notes = check_recording(recording)
    assert any("column gain_to_uV of the electrodes differs" in note for note in notes)


def test_gains_of_the_table_are_used_where_the_series_has_none(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(conversion=None))
    add_column(file, "gain_to_uV", np.full(N_CHANNELS, AP_GAIN_UV))
    recording = open_recording(file, "nwb", {})
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV)


@pytest.mark.parametrize("unit", [1e-3, 1e-6])
def test_positions_in_another_unit_are_refused(
    tmp_path: Path, simulated: BaseRecording, unit: float
) -> None:
    layout = NwbLayout(positions=simulated.get_channel_locations() * unit)
    recording = open_recording(write_nwb(tmp_path / "a.nwb", simulated, layout), "nwb", {})
    message = refusal(RecordingError, lambda: check_recording(recording))
    assert "in meters or millimeters instead of micrometers" in message


def test_a_series_without_its_conversion_has_the_default(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """The schema of NWB leaves it out where it is 1.0; pynwb always writes it."""
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(conversion=None))
    with h5py.File(file, "a") as opened:
        del opened[f"{SERIES}/data"].attrs["conversion"]
    recording = open_recording(file, "nwb", {})
    np.testing.assert_array_equal(recording.get_channel_gains(), 1e6)
    np.testing.assert_array_equal(load(recording.to_dict()).get_traces(), simulated.get_traces())
    np.testing.assert_array_equal(
        recording.get_channel_locations(), simulated.get_channel_locations()
    )


def test_zarr_without_its_conversion_asks_for_it(tmp_path: Path, simulated: BaseRecording) -> None:
    folder = write_nwb(tmp_path / "a.nwb.zarr", simulated)
    attributes = json.loads((folder / SERIES / "data/.zattrs").read_text())
    del attributes["conversion"]
    (folder / SERIES / "data/.zattrs").write_text(json.dumps(attributes))
    (folder / ".zmetadata").unlink()
    message = refusal(RecordingError, lambda: open_recording(folder, "nwb", {}))
    assert "no attribute `conversion`; write NWB's default" in message


# ----- depths ------------------------------------------------------------------------------------


def test_depths_that_would_be_lost_ask_for_the_probe(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    file = write_nwb(tmp_path / "a.nwb", simulated)
    add_column(file, "rel_z", 20.0 * np.arange(N_CHANNELS))
    message = refusal(RecordingError, lambda: open_recording(file, "nwb", {}))
    assert "the electrodes of probe0 differ in rel_z" in message
    probe_file = tmp_path / "probe.json"
    write_probeinterface(probe_file, simulated.get_probegroup())
    recording = open_recording(file, "nwb", {}, probe_file)
    np.testing.assert_array_equal(
        recording.get_channel_locations(), simulated.get_channel_locations()
    )


@pytest.mark.parametrize("depths", [500.0, [100.0] * 4 + [900.0] * 4, [0.1, 0.0] * 4])
def test_depths_of_whole_probes_are_no_loss(
    tmp_path: Path, simulated: BaseRecording, depths: float | list[float]
) -> None:
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(groups=("shank0", "shank1")))
    add_column(file, "rel_z", np.broadcast_to(depths, N_CHANNELS).astype("float64"))
    recording = open_recording(file, "nwb", {})
    np.testing.assert_array_equal(
        recording.get_channel_locations()[:, :2], simulated.get_channel_locations()
    )
    check_recording(recording)
