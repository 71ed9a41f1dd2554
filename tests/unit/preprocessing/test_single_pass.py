"""Steps in one pass give the samples of SpikeInterface's own steps."""

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import spikeinterface as si
import spikeinterface.preprocessing as spre
from scipy.signal import iirfilter, sosfiltfilt

from spikeinterface_cloud.preprocessing.block_filter import BLOCK, BlockFilter
from spikeinterface_cloud.preprocessing.median_reference import row_medians
from spikeinterface_cloud.preprocessing.single_pass import SinglePassRecording, in_single_pass

# recordings in memory leave no provenance behind, which SpikeInterface remarks
pytestmark = pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning")

Step = dict[str, Any]

RATE_HZ = 30000.0
N_CHANNELS = 27

SHIFT: Step = {"name": "phase_shift", "params": {}}
HIGH_PASS: Step = {
    "name": "highpass_filter",
    "params": {"freq_min": 150.0, "add_reflect_padding": True},
}
UNPADDED: Step = {"name": "highpass_filter", "params": {"freq_min": 300.0}}
BAND_PASS: Step = {"name": "bandpass_filter", "params": {"freq_min": 300.0, "freq_max": 9000.0}}
REMOVAL: Step = {
    "name": "detect_and_remove_bad_channels",
    "params": {"bad_channel_ids": [3, 4, 20]},
}
MEDIAN: Step = {"name": "common_reference", "params": {"reference": "global", "operator": "median"}}
GROUPS = [list(range(10)), list(range(10, 26))]  # the last channel is in none
BY_GROUP: Step = {"name": "common_reference", "params": {"groups": GROUPS}}
ACROSS: Step = {
    "name": "common_reference",
    "params": {"groups": GROUPS, "ref_channel_ids": "out_of_group"},
}
SOME: Step = {"name": "common_reference", "params": {"ref_channel_ids": [0, 5, 6, 9]}}

CHAINS = {
    "shift": [SHIFT],
    "default": [SHIFT, REMOVAL, HIGH_PASS, MEDIAN],
    "filter": [HIGH_PASS],
    "unpadded": [UNPADDED, MEDIAN],
    "band": [SHIFT, BAND_PASS, REMOVAL],
    "filter first": [UNPADDED, SHIFT, MEDIAN],
    "median": [MEDIAN],
    "groups": [HIGH_PASS, BY_GROUP],
    "across": [HIGH_PASS, ACROSS],
    "some": [HIGH_PASS, SOME],
}


def traces(n_samples: int, dtype: str = "int16", seed: int = 0) -> npt.NDArray[Any]:
    """Noise on a slow wave and an offset, as a Neuropixels probe without a filter has."""
    noise = np.random.default_rng(seed).normal(0.0, 8.0, (n_samples, N_CHANNELS))
    slow = 150.0 * np.sin(2 * np.pi * 3.0 * np.arange(n_samples) / RATE_HZ)
    samples: npt.NDArray[Any] = (noise + slow[:, np.newaxis] + 40.0).astype(dtype)
    return samples


def recording(*segments: npt.NDArray[Any]) -> si.BaseRecording:
    made = si.NumpyRecording(list(segments), RATE_HZ)
    made.set_property("inter_sample_shift", np.arange(N_CHANNELS) % 13 / 13)
    return made


def apply(source: si.BaseRecording, steps: list[Step]) -> si.BaseRecording:
    return spre.apply_preprocessing_pipeline(source, steps)


def chunks(n_samples: int, size: int) -> list[tuple[int, int]]:
    return list(pairwise([*range(0, n_samples, size), n_samples]))


def assert_equal(ours: si.BaseRecording, theirs: si.BaseRecording, size: int) -> None:
    """Compare each chunk of each segment: at most one step, or a thousandth of a microvolt."""
    assert isinstance(ours, SinglePassRecording)
    assert ours.get_dtype() == theirs.get_dtype()
    most = 1 if theirs.get_dtype().kind == "i" else 1e-3
    for segment in range(theirs.get_num_segments()):
        for start, end in chunks(theirs.get_num_samples(segment), size):
            place = {"segment_index": segment, "start_frame": start, "end_frame": end}
            expected, found = theirs.get_traces(**place), ours.get_traces(**place)
            assert found.dtype == expected.dtype
            assert found.shape == expected.shape
            difference = np.abs(found.astype("float64") - expected)
            assert difference.max() <= most
            assert (difference > 0.5).mean() < 1e-3


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("chain", CHAINS)
def test_samples_are_those_of_the_single_steps(chain: str, dtype: str) -> None:
    source = recording(traces(5003, dtype), traces(2001, dtype, seed=1))
    theirs = apply(source, CHAINS[chain])
    assert_equal(in_single_pass(theirs), theirs, size=1999)


@pytest.mark.parametrize("n_samples", [1, 2, 20, BLOCK, 601, 1207])
def test_short_recordings_are_the_same(n_samples: int) -> None:
    theirs = apply(recording(traces(n_samples)), CHAINS["default"])
    assert_equal(in_single_pass(theirs), theirs, size=n_samples)


def test_filtered_samples_as_floats_are_the_same() -> None:
    step = {"name": "highpass_filter", "params": {**HIGH_PASS["params"], "dtype": "float32"}}
    theirs = apply(recording(traces(7001)), [step, MEDIAN])
    assert_equal(in_single_pass(theirs), theirs, size=3000)


@pytest.mark.parametrize("step", [SHIFT, HIGH_PASS, UNPADDED], ids=lambda step: step["params"])
def test_extreme_samples_saturate_instead_of_wrapping(step: Step) -> None:
    extremes = np.random.default_rng(0).choice(
        np.array([-32768, -1, 0, 32767], "int16"), (3001, N_CHANNELS), p=[0.3, 0.2, 0.2, 0.3]
    )
    ours = in_single_pass(apply(recording(extremes), [step])).get_traces()
    exact = apply(recording(extremes.astype("float64")), [step]).get_traces()
    assert exact.max() > 33000
    assert exact.min() < -33000
    expected = np.clip(np.rint(exact), -32768, 32767)
    assert np.abs(ours - expected).max() <= 1


def test_a_reference_beyond_the_range_saturates() -> None:
    samples = np.full((50, N_CHANNELS), -30000, "int16")
    samples[:, 0] = 30000
    ours = in_single_pass(apply(recording(samples), [MEDIAN])).get_traces()
    assert (ours[:, 0] == 32767).all()
    assert (ours[:, 1:] == 0).all()


@pytest.mark.parametrize("chain", ["default", "band", "groups"])
@pytest.mark.parametrize("wanted", [[7], [2, 1, 19], [0, 26], list(range(5, 18))], ids=str)
def test_some_channels_are_those_of_all(chain: str, wanted: list[int]) -> None:
    theirs = apply(recording(traces(2500)), CHAINS[chain])
    ours = in_single_pass(theirs)
    place = {"start_frame": 700, "end_frame": 1500, "channel_ids": wanted}
    expected = theirs.get_traces(**place)
    assert ours.get_traces(**place).shape == expected.shape
    assert np.array_equal(ours.get_traces(**place), expected)


def test_properties_and_times_are_kept() -> None:
    source = recording(traces(2000))
    source.set_times(np.arange(2000) / RATE_HZ + 5.0)
    theirs = apply(source, CHAINS["default"])
    ours = in_single_pass(theirs)
    assert ours.channel_ids.tolist() == theirs.channel_ids.tolist()
    assert ours.get_property_keys() == theirs.get_property_keys()
    assert ours.is_filtered()
    assert np.array_equal(ours.get_times(), theirs.get_times())
    assert ours.get_parent() is theirs


def test_workers_write_the_same_file(tmp_path: Path) -> None:
    source = recording(traces(6000)).save(folder=tmp_path / "source")
    source.set_property("inter_sample_shift", np.arange(N_CHANNELS) % 13 / 13)
    theirs = apply(source, CHAINS["default"])
    ours = in_single_pass(theirs)
    how = {"n_jobs": 2, "chunk_size": 2000, "progress_bar": False}
    written = ours.save(folder=tmp_path / "ours", **how)
    expected = theirs.save(folder=tmp_path / "theirs", **how)
    assert np.array_equal(written.get_traces(), expected.get_traces())


def test_it_can_be_sent_to_another_process(tmp_path: Path) -> None:
    source = recording(traces(3000)).save(folder=tmp_path / "source")
    ours = in_single_pass(apply(source, [HIGH_PASS, MEDIAN]))
    pickled = pickle.loads(pickle.dumps(ours))  # noqa: S301
    for copy in (pickled, si.load(ours.to_dict(recursive=True))):
        assert isinstance(copy, SinglePassRecording)
        assert np.array_equal(copy.get_traces(), ours.get_traces())


def test_steps_in_two_parts_are_taken_in_one_pass() -> None:
    theirs = apply(recording(traces(3000)), CHAINS["default"])
    shifted = in_single_pass(apply(recording(traces(3000)), [SHIFT]))
    assert_equal(in_single_pass(apply(shifted, [REMOVAL, HIGH_PASS, MEDIAN])), theirs, size=1000)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [REMOVAL],
        [SHIFT, {"name": "scale", "params": {"gain": 2.0}}],
        [{"name": "common_reference", "params": {"operator": "average"}}],
        [{"name": "common_reference", "params": {"reference": "single", "ref_channel_ids": [1]}}],
        [{"name": "bandpass_filter", "params": {"filter_mode": "ba"}}],
        [{"name": "bandpass_filter", "params": {"direction": "forward"}}],
        [{"name": "highpass_filter", "params": {"dtype": "float64"}}],
    ],
    ids=str,
)
def test_other_steps_stay_as_they_are(steps: list[Step]) -> None:
    theirs = apply(recording(traces(100)), steps)
    assert in_single_pass(theirs) is theirs


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint16"])
def test_other_types_of_samples_stay_as_they_are(dtype: str) -> None:
    theirs = apply(recording(traces(100).clip(0).astype(dtype)), [SHIFT])
    assert in_single_pass(theirs) is theirs


def test_a_recording_shorter_than_the_padding_is_refused() -> None:
    theirs = apply(recording(traces(10)), [UNPADDED])
    with pytest.raises(ValueError, match="must be greater than pad"):
        theirs.get_traces()
    with pytest.raises(ValueError, match="must be greater than the padding"):
        in_single_pass(theirs).get_traces()


@pytest.mark.parametrize(
    ("order", "band", "kind"),
    [(5, 150, "highpass"), (5, (300, 6000), "bandpass"), (2, 1, "highpass"), (1, 300, "highpass")],
)
@pytest.mark.parametrize("n_samples", [BLOCK + 2, 4 * BLOCK, 1000])
def test_blocks_are_filtered_as_by_scipy(order: int, band: Any, kind: str, n_samples: int) -> None:
    sections = iirfilter(order, band, fs=RATE_HZ, btype=kind, output="sos")
    samples = traces(n_samples, "float64")
    expected = sosfiltfilt(sections, samples, axis=0)
    assert np.abs(BlockFilter(sections).apply(samples) - expected).max() < 1e-6
    single = BlockFilter(sections).apply(samples, np.float32)
    assert np.abs(single - expected).max() < 1e-3


@pytest.mark.parametrize("n_channels", [1, 2, 5, 384])
def test_medians_are_those_of_numpy(n_channels: int) -> None:
    rows = np.random.default_rng(0).integers(-4, 4, (200, n_channels)).astype("float32")
    rows[7, n_channels // 2] = np.nan
    with np.errstate(invalid="ignore"):
        expected = np.median(rows, axis=1, keepdims=True)
    assert np.array_equal(row_medians(rows), expected, equal_nan=True)
