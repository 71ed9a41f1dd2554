"""Chosen steps that do to this recording something else than they say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface as si

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.preprocessing.pipeline import PreprocessedRecording, preprocess
from spikeinterface_cloud.recording.checks import check_recording
from tests.support.layouts import Signals, linear, record, with_samples

# recordings in memory leave no provenance behind, which SpikeInterface remarks
pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning"),
]

Steps = dict[str, dict[str, Any]]


def processed(folder: Path, recording: si.BaseRecording, steps: Steps) -> PreprocessedRecording:
    return preprocess(recording, steps, {"simple": {}}, folder / "preprocessed")


@pytest.fixture(scope="module")
def probe() -> si.BaseRecording:
    return record([linear(16)], Signals(n_neurons=2, duration_s=2.0))[0]


@pytest.fixture(scope="module")
def unsigned(probe: si.BaseRecording) -> si.BaseRecording:
    """The same samples around the middle of an unsigned converter, as a job opens them."""
    samples = (probe.get_traces().astype("int32") + 32768).astype("uint16")
    return check_recording(with_samples(probe, samples))[0]


@pytest.mark.parametrize(
    ("steps", "lost"),
    [
        ({"highpass_filter": {}, "common_reference": {"groups": [[*range(9)]]}}, "7 of 16"),
        (
            {"common_reference": {"groups": [[0, 1], [2, 3]], "operator": "average"}},
            "12 of 16",
        ),
        ({"interpolate_bad_channels": {"bad_channel_ids": [*range(16)]}}, "16 of 16"),
        ({"silence_periods": {"list_periods": [[[0, 60_000]]]}}, "16 of 16"),
    ],
    ids=str,
)
def test_channels_that_lose_their_signal_are_refused(
    tmp_path: Path, probe: si.BaseRecording, steps: Steps, lost: str
) -> None:
    with pytest.raises(RecordingError, match=f"leaves {lost} channels without a signal"):
        processed(tmp_path, probe, steps)


@pytest.mark.parametrize("dtype", ["uint16", ">u2"])
def test_thresholds_are_in_the_numbers_of_the_file(
    tmp_path: Path, probe: si.BaseRecording, dtype: str
) -> None:
    samples = probe.get_traces().astype("int32") + 32768
    samples[6000:6150] = 65535
    saturated, _ = check_recording(with_samples(probe, samples.astype(dtype)))
    steps = {"blank_saturation": {"abs_threshold": 60_000, "fill_value": 32_768}}
    found = processed(tmp_path, saturated, steps).for_sorting.get_traces()
    assert not found[6000:6150].any()
    np.testing.assert_array_equal(found[:6000], samples[:6000] - 32768)
    clipped = processed(tmp_path / "2", saturated, {"clip": {"a_min": 32_748, "a_max": 32_788}})
    traces = clipped.for_sorting.get_traces()
    assert (traces.min(), traces.max()) == (-20, 20)


def test_thresholds_after_a_filter_are_in_its_numbers(
    tmp_path: Path, unsigned: si.BaseRecording
) -> None:
    steps: Steps = {"highpass_filter": {}, "clip": {"a_min": -20, "a_max": 20}}
    traces = processed(tmp_path, unsigned, steps).for_sorting.get_traces()
    assert (traces.min(), traces.max()) == (-20, 20)


def test_a_threshold_on_both_sides_of_unsigned_samples_is_refused(
    tmp_path: Path, unsigned: si.BaseRecording
) -> None:
    steps = {"blank_saturation": {"abs_threshold": 60_000, "direction": "both"}}
    with pytest.raises(SettingsError, match="samples are around 32768; use clip"):
        processed(tmp_path, unsigned, steps)
    quantile = {"quantile_threshold": 0.001, "direction": "both", "fill_value": 32_768}
    found = processed(tmp_path, unsigned, {"blank_saturation": quantile}).for_sorting
    assert np.abs(found.get_traces()).max() < np.abs(unsigned.get_traces()).max()


def test_one_threshold_for_channels_at_several_levels_is_refused(
    tmp_path: Path, probe: si.BaseRecording
) -> None:
    levels = 2**26 + 1000 * np.arange(16)
    far, _ = check_recording(with_samples(probe, probe.get_traces().astype("int32") + levels))
    steps: Steps = {"clip": {"a_min": 2**26 - 100}}
    with pytest.raises(SettingsError, match=r"samples are around 6710886\d to 6712386\d"):
        processed(tmp_path, far, steps)
    processed(tmp_path, far, {"highpass_filter": {}, "clip": {"a_min": -100}})


def test_a_threshold_in_quotes_is_refused(tmp_path: Path, unsigned: si.BaseRecording) -> None:
    with pytest.raises(RecordingError, match="PREPROCESSING: clip cannot be applied"):
        processed(tmp_path, unsigned, {"clip": {"a_min": "5"}})


def test_samples_of_32_bits_are_not_limited_to_16(tmp_path: Path, probe: si.BaseRecording) -> None:
    steps = {"scale": {"gain": 2000.0, "dtype": "int32"}}
    found = processed(tmp_path, probe, steps).for_sorting
    np.testing.assert_allclose(found.get_traces(), probe.get_traces() * 2000.0, rtol=1e-6)


def test_a_derivative_is_no_voltage(tmp_path: Path, probe: si.BaseRecording) -> None:
    found = processed(tmp_path, probe, {"directional_derivative": {}})
    assert not found.for_sorting.has_scaleable_traces()


def test_times_with_gaps_are_not_resampled(tmp_path: Path, probe: si.BaseRecording) -> None:
    times_s = np.arange(60_000) / 30_000.0
    times_s[30_000:] += 0.5
    gapped = probe.clone()
    gapped.set_times(times_s, segment_index=0)
    with pytest.raises(RecordingError, match="the times of segment 0 have gaps"):
        processed(tmp_path, gapped, {"resample": {"resample_rate": 20_000}})


def test_decimation_of_an_odd_length_names_what_works(
    tmp_path: Path, probe: si.BaseRecording
) -> None:
    odd = probe.frame_slice(0, 59_999)
    with pytest.raises(RecordingError, match='add "antialias": true'):
        processed(tmp_path, odd, {"decimate": {"decimation_factor": 2}})
    steps = {"decimate": {"decimation_factor": 2, "antialias": True}}
    assert processed(tmp_path, odd, steps).for_sorting.get_num_samples() == 30_000


def test_frames_beyond_the_end_are_noted(tmp_path: Path, probe: si.BaseRecording) -> None:
    steps = {"remove_artifacts": {"list_triggers": [[1000, 500_000]]}}
    notes = processed(tmp_path, probe, steps).notes
    assert notes == [
        "remove_artifacts lists frames up to 500000, but the longest segment has 60000: those "
        "beyond the end do nothing"
    ]
