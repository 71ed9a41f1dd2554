"""Inputs that would be sorted wrongly without a word, each of a kind that was met before."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.preprocessing as spre
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.preprocessing.pipeline import high_pass, preprocess
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.load import first_frames, open_recording
from spikeinterface_cloud.recording.probe_file import attach_probe
from spikeinterface_cloud.recording.samples.analog_inputs import analog_inputs
from spikeinterface_cloud.recording.samples.chunks import Chunk, map_all_chunks
from tests.support.layouts import Signals, linear, record
from tests.support.recordings import simulate, write_probe

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning"),
]

RATE_HZ = 30_000


def frames_of(chunk: Chunk) -> int:
    return len(chunk.traces)


def test_a_look_at_every_sample_is_in_chunks() -> None:
    recording, _ = record([linear(4)], Signals(n_neurons=0, duration_s=3.0))
    assert map_all_chunks(recording, frames_of, "test") == [RATE_HZ] * 3


def write_time_series(file: Path, timestamps: np.ndarray) -> Path:
    nwbfile = NWBFile("s", "id", datetime(2025, 1, 2, tzinfo=UTC))
    data = np.random.default_rng(0).normal(0, 30, (len(timestamps), 4)).astype("int16")
    series = TimeSeries(name="raw", data=data, unit="n/a", timestamps=timestamps)
    nwbfile.add_acquisition(series)
    with NWBHDF5IO(str(file), "w") as io:
        io.write(nwbfile)
    return file


@pytest.mark.parametrize("extra", [{}, {"load_time_vector": True}])
def test_the_timestamps_of_a_plain_time_series_are_followed(
    tmp_path: Path, extra: dict[str, object]
) -> None:
    times = np.arange(3 * RATE_HZ) / RATE_HZ
    times[RATE_HZ:] += 7.5
    file = write_time_series(tmp_path / "a.nwb", times)
    kwargs = {"timeseries_path": "acquisition/raw", **extra}
    recording = open_recording(file, "nwb_timeseries", kwargs)
    cut = first_frames(recording, 2 * RATE_HZ)
    found = clock_of(cut).times_s(0, np.array([0, RATE_HZ - 1, RATE_HZ]), RATE_HZ)
    assert found == pytest.approx(times[[0, RATE_HZ - 1, RATE_HZ]], abs=1 / RATE_HZ)
    assert len(clock_of(cut).intervals_s()) == 2


def test_bursts_do_not_change_the_rate(tmp_path: Path) -> None:
    times = np.arange(60_000) / RATE_HZ + np.repeat(np.arange(60), 1000) * 2.0
    file = write_time_series(tmp_path / "a.nwb", times)
    recording = open_recording(file, "nwb_timeseries", {"timeseries_path": "acquisition/raw"})
    recording.set_dummy_probe_from_locations(linear(4))
    checked, _ = check_recording(recording)
    assert checked.sampling_frequency == pytest.approx(RATE_HZ, rel=1e-3)


def test_a_last_timestamp_of_zero_hides_no_gap(tmp_path: Path) -> None:
    times = np.arange(3 * RATE_HZ) / RATE_HZ
    times[RATE_HZ:] += 7.5
    times[-1] = times[0]
    file = write_time_series(tmp_path / "a.nwb", times)
    recording = open_recording(file, "nwb_timeseries", {"timeseries_path": "acquisition/raw"})
    assert clock_of(recording).segments[0].gaps


def test_spikes_of_a_negative_gain_point_down() -> None:
    recording, [neuron, *_] = record([linear(16)], Signals(n_neurons=1))
    upside_down = si.NumpyRecording([-recording.get_traces()], RATE_HZ)
    upside_down.set_channel_gains(-0.195)
    upside_down.set_channel_offsets(0.0)
    upside_down.set_probegroup(recording.get_probegroup())
    checked, notes = check_recording(upside_down)
    assert any("negative gain" in note for note in notes)
    around = checked.get_traces()[neuron.frames, neuron.channel]
    assert np.median(around) == pytest.approx(-neuron.amplitude_uv, rel=0.05)
    assert checked.get_channel_gains().tolist() == [1.0] * 16


def test_channels_of_two_gains_are_referenced_in_microvolts(tmp_path: Path) -> None:
    recording, _ = record([linear(32)], Signals(common_uv=20.0, n_neurons=0))
    gains = np.where(np.arange(32) % 2, 0.195, 0.39)
    steps = np.round(recording.get_traces(return_in_uV=True) / gains).astype("int16")
    mixed = si.NumpyRecording([steps], RATE_HZ)
    mixed.set_channel_gains(gains)
    mixed.set_channel_offsets(0.0)
    mixed.set_probegroup(recording.get_probegroup())
    done = preprocess(mixed, "none", {"kilosort4": {}}, tmp_path / "p")
    assert done.notes[0].startswith("the channels have different gains: they are sorted in micro")
    in_uv = steps * gains
    np.testing.assert_allclose(done.for_sorting.get_traces(), in_uv, rtol=1e-6)
    noise = done.filtered_recording.get_traces(return_in_uV=True).std(axis=0)
    single = spre.apply_preprocessing_pipeline(recording, high_pass(recording))
    assert noise == pytest.approx(single.get_traces(return_in_uV=True).std(axis=0), rel=0.05)


def test_a_phase_shift_before_an_earlier_save_is_doubted(tmp_path: Path) -> None:
    recording, _ = record([linear(16)], Signals(n_neurons=0))
    recording.set_property("inter_sample_shift", np.arange(16) / 16)
    original = recording.save(folder=tmp_path / "raw", verbose=False)
    shifted = spre.phase_shift(original).save(folder=tmp_path / "a", verbose=False)
    spre.highpass_filter(shifted).save(folder=tmp_path / "b", verbose=False)
    once, notes = check_recording(open_recording(tmp_path / "a", "binary", {}))
    assert once.get_property("inter_sample_shift") is None
    _, notes = check_recording(open_recording(tmp_path / "b", "binary", {}))
    assert any("does not say whether they were aligned" in note for note in notes)


def test_a_probe_that_differs_in_z_is_refused(tmp_path: Path) -> None:
    recording, _ = simulate(n_channels=16, duration_s=1.0)
    probe = recording.get_probe().to_3d(axes="xz")
    probe.set_device_channel_indices(np.arange(16))
    recording.set_probe(probe)
    file = write_probe(tmp_path / "deep.json", recording)
    with pytest.raises(RecordingError, match=r"differ in z.*to_2d"):
        attach_probe(simulate(n_channels=16, duration_s=1.0)[0], file)


@pytest.mark.parametrize(
    "name", ["AUXIN1", "aux in 1", "ANIN1", "Analog Input #1", "ACC_X", "DIN-00", "SY0"]
)
def test_more_names_of_analog_inputs(name: str) -> None:
    names = [*(f"CH{c}" for c in range(8)), name]
    recording = si.NumpyRecording(
        [np.zeros((100, 9), dtype="int16")], RATE_HZ, channel_ids=np.array(names)
    )
    assert analog_inputs(recording).tolist() == [False] * 8 + [True]


def test_names_of_electrodes_are_none_of_analog_inputs() -> None:
    names = ["A-000", "CH1", "AP0", "C1", "AD1", "E5", "12", "chan3", "tetrode1", "LFP1"]
    recording = si.NumpyRecording(
        [np.zeros((100, 10), dtype="int16")], RATE_HZ, channel_ids=np.array(names)
    )
    assert not analog_inputs(recording).any()
