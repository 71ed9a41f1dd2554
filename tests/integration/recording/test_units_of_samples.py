"""Microvolts: right whatever unit the file has, and never claimed where that would be a guess."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from spikeinterface.core import BaseRecording, NumpyRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.preprocessing.pipeline import preprocess
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.samples.units import remove_gains_of_no_voltage
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.older_formats import write_blackrock_21
from tests.support.recordings import AP_GAIN_UV, neuropixels_probe, simulate

pytestmark = [
    pytest.mark.integration,
    # recordings in memory leave no provenance behind, which SpikeInterface remarks
    pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning"),
]

N_CHANNELS = 8


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_collect() -> Iterator[None]:
    """SpikeInterface collects garbage after each chunk it writes: what is imported is none."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=N_CHANNELS, n_units=2)[0]


@pytest.fixture(scope="module")
def microvolts(simulated: BaseRecording) -> np.ndarray:
    traces: np.ndarray = simulated.get_traces(segment_index=0).astype("float64") * AP_GAIN_UV
    return traces


def recording_of(
    traces: np.ndarray, gain: Any = None, offset: Any = 0.0, rate: float = 30000.0
) -> BaseRecording:
    recording = NumpyRecording([traces], rate)
    if gain is not None:
        recording.set_channel_gains(gain)
        recording.set_channel_offsets(offset)
    recording.set_probe(neuropixels_probe(traces.shape[1]))
    return recording


def write_nwb_series(file: Path, traces: np.ndarray, **series: Any) -> Path:
    """Write an NWB file whose electrical series has the attributes `series`."""
    write_nwb(file, recording_of(traces), NwbLayout(conversion=None, dtype=str(traces.dtype)))
    with h5py.File(file, "a") as hdf5:
        written = hdf5["acquisition/ElectricalSeries"]
        for name in ("conversion", "offset"):
            if name in series:
                written["data"].attrs[name] = series[name]
        if "channel_conversion" in series:
            values = written.create_dataset("channel_conversion", data=series["channel_conversion"])
            values.attrs["axis"] = 1
    return file


# ----- with a gain -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "gain", "dtype"),
    [
        ("V", 1e6, "float16"),
        ("V", 1e6, "float32"),
        ("V", 1e6, "float64"),
        ("V", 1e6, ">f4"),
        ("mV", 1e3, "float32"),
        ("mV", 1e3, "float64"),
        ("uV", 1.0, "float16"),
        ("uV", 1.0, "float32"),
        ("uV", 1.0, "float64"),
    ],
)
def test_floats_reach_sorters_in_microvolts(
    tmp_path: Path, microvolts: np.ndarray, unit: str, gain: float, dtype: str
) -> None:
    """The same numbers from volts, millivolts and microvolts."""
    stored = recording_of((microvolts / gain).astype(dtype), gain)
    expected = stored.get_traces().astype("float64") * gain
    checked, notes = check_recording(stored)
    assert notes == []
    done = preprocess(checked, "none", {"kilosort4": {}}, tmp_path / "p")
    for recording in (checked, done.for_sorting):
        assert recording.dtype == np.dtype("float32")
        assert set(recording.get_channel_gains()) == {1.0}
        assert set(recording.get_channel_offsets()) == {0.0}
        np.testing.assert_allclose(recording.get_traces(), expected, rtol=1e-6, atol=1e-4)
        np.testing.assert_array_equal(
            recording.get_traces(return_in_uV=True), recording.get_traces()
        )
    tolerance_uv = 0.05 if dtype == "float16" and unit == "V" else 1e-3 * np.ptp(microvolts)
    np.testing.assert_allclose(done.for_sorting.get_traces(), microvolts, atol=tolerance_uv)


def test_gains_and_offsets_of_each_channel_are_applied(microvolts: np.ndarray) -> None:
    """As amplifiers have them that were calibrated."""
    gains, offsets = np.linspace(900.0, 1100.0, N_CHANNELS), np.linspace(-50, 50, N_CHANNELS)
    stored = recording_of(((microvolts - offsets) / gains).astype("float32"), gains, offsets)
    checked, _ = check_recording(stored)
    np.testing.assert_allclose(checked.get_traces(), microvolts, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conversions_of_an_nwb_file_are_applied(
    tmp_path: Path, microvolts: np.ndarray, dtype: str
) -> None:
    """Of the series, of each channel, and its offset in volts."""
    of_channel = np.linspace(0.5, 2.0, N_CHANNELS)
    stored = ((microvolts - 30.0) / 1000.0 / of_channel).astype(dtype)
    file = write_nwb_series(
        tmp_path / "a.nwb", stored, conversion=1e-3, channel_conversion=of_channel, offset=30e-6
    )
    checked, notes = check_recording(open_recording(file, "nwb", {}))
    assert notes == []
    assert checked.dtype == np.dtype("float32")
    np.testing.assert_allclose(checked.get_traces(), microvolts, atol=1e-3)


def test_floats_in_microvolts_are_not_copied(tmp_path: Path, microvolts: np.ndarray) -> None:
    """They are what sorters read."""
    saved = recording_of(microvolts.astype("float32"), 1.0).save(folder=tmp_path / "saved")
    checked, _ = check_recording(saved)
    done = preprocess(checked, "none", {"kilosort4": {}}, tmp_path / "p")
    assert done.size_bytes == 0
    np.testing.assert_allclose(done.for_sorting.get_traces(), microvolts, atol=1e-3)


def test_integers_are_kept(tmp_path: Path, simulated: BaseRecording) -> None:
    """With their gain beside them, and uncopied."""
    saved = simulated.save(folder=tmp_path / "saved")
    checked, _ = check_recording(saved)
    assert checked is saved
    done = preprocess(checked, "none", {"kilosort4": {}}, tmp_path / "p")
    assert done.size_bytes == 0
    assert done.for_sorting.dtype == np.dtype("int16")
    assert done.for_sorting.get_channel_gains()[0] == AP_GAIN_UV


def test_the_analysis_sees_the_same_microvolts_of_floats_and_integers(
    tmp_path: Path, simulated: BaseRecording, microvolts: np.ndarray
) -> None:
    """To a half step of the integers, which their filter rounds to."""
    seen = {}
    volts = recording_of((microvolts / 1e6).astype("float32"), 1e6)
    integers = recording_of(simulated.get_traces(segment_index=0), AP_GAIN_UV)
    for name, stored in (("volts", volts), ("integers", integers)):
        done = preprocess(check_recording(stored)[0], "default", {"kilosort4": {}}, tmp_path / name)
        seen[name] = done.filtered_recording.get_traces(return_in_uV=True)
    assert seen["volts"].min() < -50
    np.testing.assert_allclose(seen["volts"], seen["integers"], atol=2 * AP_GAIN_UV)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_gain_without_an_offset_is_used(simulated: BaseRecording, dtype: str) -> None:
    """Only a constant is missing, which no amplitude depends on."""
    stored = recording_of(simulated.get_traces(segment_index=0).astype(dtype), AP_GAIN_UV)
    stored.delete_property("offset_to_uV")
    checked, notes = check_recording(stored)
    assert notes == []
    np.testing.assert_allclose(
        checked.get_traces(return_in_uV=True), simulated.get_traces(return_in_uV=True), rtol=1e-5
    )


# ----- a gain that cannot be true ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit_uv", "gain"),
    [
        (1.0, 1e6),  # microvolts in an NWB file without a conversion
        (1e3, 1e6),  # millivolts in one
        (1.0, 1e3),
        (AP_GAIN_UV, AP_GAIN_UV * 1e3),  # gains in other units than microvolts
        (AP_GAIN_UV, AP_GAIN_UV * 1e6),
        (AP_GAIN_UV, AP_GAIN_UV * 1e-3),
        (1e6, 1e3),
        (1.0, 1e-6),
    ],
)
def test_a_gain_that_is_wrong_by_a_factor_of_a_thousand_is_removed(
    microvolts: np.ndarray, unit_uv: float, gain: float
) -> None:
    """Amplitudes do not claim to be in microvolts; an artifact of 20 mV does not hide it."""
    stored = microvolts / unit_uv
    stored[30000:30010] = 20000.0 / unit_uv
    dtype = "int16" if unit_uv == AP_GAIN_UV else "float32"
    checked, notes = check_recording(recording_of(np.round(stored, 9).astype(dtype), gain))
    assert "which is impossible" in notes[0]
    assert not checked.has_scaleable_traces()


@pytest.mark.parametrize(("gain", "offset"), [(0.0, 0.0), (np.nan, 0.0), (2.34375, np.nan)])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_nan_gains_are_removed(
    simulated: BaseRecording, gain: float, offset: float, dtype: str
) -> None:
    """On one channel of all."""
    gains, offsets = np.full(N_CHANNELS, AP_GAIN_UV), np.zeros(N_CHANNELS)
    gains[3], offsets[3] = gain, offset
    traces = simulated.get_traces(segment_index=0).astype(dtype)
    checked, notes = check_recording(recording_of(traces, gains, offsets))
    assert "is 0, NaN or infinite on 1 of 8 channels" in notes[0]
    assert not checked.has_scaleable_traces()


@pytest.mark.parametrize("slow_uv", [0.0, 2000.0])
def test_gains_are_checked_by_noise_and_not_by_slow_waves(
    microvolts: np.ndarray, slow_uv: float
) -> None:
    """A signal of 2 mV at 4 Hz, on an electrode with an offset, leaves the gain alone."""
    seconds = np.arange(len(microvolts))[:, None] / 30000.0
    moved = microvolts + slow_uv * np.sin(2 * np.pi * 4 * seconds) + 5 * slow_uv
    checked, notes = check_recording(recording_of((moved / 1e6).astype("float32"), 1e6))
    assert notes == []
    np.testing.assert_allclose(checked.get_traces(), moved, atol=0.01)


@pytest.mark.filterwarnings("ignore:Cannot rescale to voltage")
def test_steps_of_an_unknown_unit_are_no_microvolts(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """Blackrock's older .nsX leave the size of a step to the .nev, which is not read."""
    samples = simulated.get_traces(segment_index=0)
    recording = open_recording(write_blackrock_21(tmp_path / "a.ns5", samples), "blackrock", {})
    np.testing.assert_array_equal(recording.get_traces(), samples[:-1])  # neo counts one less
    recording.set_probe(neuropixels_probe(N_CHANNELS))
    checked, notes = check_recording(recording)
    assert not checked.has_scaleable_traces()
    assert notes == ["there are no gains to microvolts: amplitudes are in the units of the file"]


def test_gains_of_voltages_are_kept_beside_other_units(microvolts: np.ndarray) -> None:
    """The channels that are no voltage may be left out by the wiring."""
    recording = recording_of(microvolts.astype("float32"), 2.0)
    recording.set_property("physical_unit", np.array(["uV"] * 6 + ["Celsius"] * 2))
    remove_gains_of_no_voltage(recording)
    assert recording.get_channel_gains()[:6].tolist() == [2.0] * 6
    assert np.isnan(recording.get_channel_gains()[6:]).all()


# ----- without a gain ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit_uv", "dtype", "factor", "likely"),
    [
        (1e6, "float32", 1e6, "look like volts"),
        (1e6, "float64", 1e6, "look like volts"),
        (1e3, "float32", 1e3, "look like millivolts"),
        (1e3, "float16", 1e3, "look like millivolts"),
        (1.0, "float32", 1.0, "look like microvolts"),
        (1.0, "float64", 1.0, "look like microvolts"),
        (1e-3, "float32", 1.0, "no unit of voltage"),
        (1e-6, "float32", 1e-3, "no unit of voltage"),
        (1e9, "float32", 1e9, "no unit of voltage"),
    ],
)
def test_floats_without_a_gain_are_scaled_for_sorters(
    tmp_path: Path,
    microvolts: np.ndarray,
    unit_uv: float,
    dtype: str,
    factor: float,
    likely: str,
) -> None:
    """A note names their range, which becomes one that sorters can work with."""
    stored = (microvolts / unit_uv).astype(dtype)
    checked, notes = check_recording(recording_of(stored))
    assert not checked.has_scaleable_traces()
    assert "there are no gains to microvolts" in notes[0]
    assert likely in notes[1]
    assert (f"multiplied by {factor:g}" in notes[1]) is (factor != 1)
    done = preprocess(checked, "none", {"kilosort4": {}}, tmp_path / "p")
    assert not done.filtered_recording.has_scaleable_traces()
    assert done.for_sorting.dtype == np.dtype("float32")
    expected = stored.astype("float64") * factor
    np.testing.assert_allclose(done.for_sorting.get_traces(), expected, rtol=1e-6)


def test_nwb_without_a_conversion_has_no_gain(tmp_path: Path, microvolts: np.ndarray) -> None:
    """They are sorted as they are."""
    file = write_nwb_series(tmp_path / "a.nwb", microvolts.astype("float32"))
    checked, notes = check_recording(open_recording(file, "nwb", {}))
    assert "which is impossible" in notes[0]
    assert "look like microvolts" in notes[1]
    assert not checked.has_scaleable_traces()
    np.testing.assert_array_equal(checked.get_traces(), microvolts.astype("float32"))


def test_floats_in_the_wrong_byte_order_are_refused(microvolts: np.ndarray) -> None:
    """No unit of voltage gives such values."""
    swapped = microvolts.astype("float32").byteswap()
    swapped[~np.isfinite(swapped)] = 0
    with pytest.raises(RecordingError, match="byte order"):
        check_recording(recording_of(swapped.astype("float64"), 1.0))


@pytest.mark.parametrize("step", ["whiten", "zscore", "normalize_by_quantile", "scale"])
def test_whitened_samples_have_no_gain(tmp_path: Path, microvolts: np.ndarray, step: str) -> None:
    """Whatever the steps leave in place."""
    checked, _ = check_recording(recording_of(microvolts.astype("float32"), 1.0))
    done = preprocess(
        checked, [{"name": "highpass_filter"}, {"name": step}], {"simple": {}}, tmp_path / "p"
    )
    assert not done.for_sorting.has_scaleable_traces()
    assert not done.filtered_recording.has_scaleable_traces()
