"""Steps that a user chose: no sample wraps around, and no channel is missed or erased."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.preprocessing as spre

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.preprocessing.pipeline import preprocess
from spikeinterface_cloud.preprocessing.single_pass import SinglePassRecording
from spikeinterface_cloud.preprocessing.steps import apply_steps

pytestmark = pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning")

N_CHANNELS = 8
FULL = 32767


def saturating(dtype: str = "int16") -> si.BaseRecording:
    """Return noise on which half of the channels jump from one end of the range to the other."""
    largest = FULL if np.dtype(dtype).itemsize == 2 else 127
    rng = np.random.default_rng(0)
    traces = rng.normal(0.0, largest / 300, (30_000, N_CHANNELS))
    for start in range(2_000, 28_000, 4_000):
        traces[start : start + 300, ::2] = largest
        traces[start + 300 : start + 600, ::2] = -largest
    recording = si.NumpyRecording([traces.round().astype(dtype)], 30_000.0)
    recording.set_channel_gains(0.2)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(
        np.array([[0.0, 300.0 * n] for n in range(N_CHANNELS)])
    )
    return recording


BAND = {"name": "bandpass_filter", "params": {}}


@pytest.mark.parametrize("dtype", ["int16", ">i2", "int8"])
@pytest.mark.parametrize(
    "steps",
    [
        [BAND],
        [{"name": "notch_filter", "params": {"freq": 2000.0}}, BAND],
        [{"name": "gaussian_filter", "params": {"freq_min": 300.0}}],
        [{"name": "bandpass_filter", "params": {"filter_mode": "ba", "filter_order": 2}}],
        [{"name": "common_reference", "params": {"operator": "average"}}],
        [{"name": "common_reference", "params": {"reference": "single", "ref_channel_ids": [0]}}],
    ],
)
def test_what_is_beyond_the_range_is_limited(steps: list[dict[str, Any]], dtype: str) -> None:
    recording = saturating(dtype)
    result = apply_steps(recording, steps)
    floats = spre.apply_preprocessing_pipeline(spre.astype(recording, "float32"), steps)
    exact = np.clip(floats.get_traces(), -FULL - 1, FULL)
    assert result.get_dtype() == np.dtype("int16")
    assert np.abs(result.get_traces() - exact).max() <= 1.0


def test_a_recording_of_chosen_channels_is_taken_in_one_pass() -> None:
    chosen = saturating().select_channels(list(range(1, N_CHANNELS)))
    assert isinstance(apply_steps(chosen, [BAND]), SinglePassRecording)


def test_steps_that_choose_channels_change_no_sample() -> None:
    recording = saturating()
    removal = {"name": "detect_and_remove_bad_channels", "params": {"bad_channel_ids": [2]}}
    result = apply_steps(recording, [removal])
    assert result.get_parent() is recording  # as integers, without a detour
    assert result.channel_ids.tolist() == [0, 1, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("ids", "bad", "told"),
    [
        ([f"imec0.ap#AP{n}" for n in range(N_CHANNELS)], "AP5", "'imec0.ap#AP5'"),
        ([str(n) for n in range(N_CHANNELS)], 5, "'5'"),
        (list(range(N_CHANNELS)), "5", "5"),
        (list(range(N_CHANNELS)), 99, "7"),
    ],
)
@pytest.mark.parametrize("split_by", [None, "group"])
def test_a_bad_channel_that_is_none_is_refused(
    tmp_path: Path, ids: list[Any], bad: object, told: str, split_by: str | None
) -> None:
    recording = saturating().rename_channels(ids)
    steps = [{"name": "detect_and_remove_bad_channels", "params": {"bad_channel_ids": [bad]}}]
    with pytest.raises(SettingsError, match=rf"has {bad!r}, and no channel .*write it like {told}"):
        preprocess(recording, steps, {"simple": {}}, tmp_path / "p", split_by)


def test_offsets_of_the_source_do_not_come_back_after_a_high_pass(tmp_path: Path) -> None:
    recording = saturating()
    recording.set_channel_offsets(300.0)
    steps = [{"name": "gaussian_filter", "params": {"freq_min": 300.0}}]
    done = preprocess(recording, steps, {"simple": {}}, tmp_path / "p")
    assert abs(np.median(done.filtered_recording.get_traces(return_in_uV=True))) < 5.0
    assert recording.get_channel_offsets().tolist() == [300.0] * N_CHANNELS


REFERENCE = [{"name": "common_reference", "params": {}}]


def test_a_channel_is_not_subtracted_from_itself(tmp_path: Path) -> None:
    recording = saturating()
    recording.set_property("area", np.array(["CA1"] * 7 + ["CA3"]))
    recording.set_property("group", np.array([0] * 7 + [1]))
    with pytest.raises(RecordingError, match="subtract the only channel of area 1 from itself"):
        preprocess(recording, REFERENCE, {"simple": {}}, tmp_path / "p", "area")


def test_a_reference_that_takes_spikes_away_is_noted(tmp_path: Path) -> None:
    tetrode = saturating()
    assert not preprocess(tetrode, REFERENCE, {"simple": {}}, tmp_path / "p").notes
    tetrode.set_dummy_probe_from_locations(np.array([[0.0, 10.0 * n] for n in range(N_CHANNELS)]))
    [note] = preprocess(tetrode, REFERENCE, {"simple": {}}, tmp_path / "q").notes
    assert note.startswith("most channels of the recording see the same spike")
