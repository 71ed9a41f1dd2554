"""Integers of every type and zero level: the same microvolts for sorters as in the file."""

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import BaseRecording, NumpyRecording

from spikeinterface_cloud.preprocessing.pipeline import SORTER_DTYPES, preprocess
from spikeinterface_cloud.recording.checks import check_recording
from tests.support.recordings import neuropixels_probe

pytestmark = [
    pytest.mark.integration,
    # recordings in memory leave no provenance behind, which SpikeInterface remarks
    pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning"),
]

RATE_HZ = 30000.0
N_FRAMES = 45000
N_CHANNELS = 6
GAIN_UV = 0.195

#: frames that no check samples: the chunks begin every 4,666 frames and last 3,000
UNSAMPLED = slice(4000, 4030)


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_collect() -> Iterator[None]:
    """SpikeInterface collects garbage after each chunk it writes: what is imported is none."""
    gc.freeze()
    yield
    gc.unfreeze()


def noise(seed: int = 0) -> np.ndarray:
    """Return noise in steps of an amplifier around 0."""
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(0, 30, (N_FRAMES, N_CHANNELS))).astype("int64")


def recording_of(
    steps: np.ndarray, dtype: str, zero: int, *, with_gain: bool = True, says_zero: bool = True
) -> BaseRecording:
    recording = NumpyRecording([(steps + zero).astype(dtype)], RATE_HZ)
    if with_gain:
        recording.set_channel_gains(GAIN_UV)
        recording.set_channel_offsets(-zero * GAIN_UV if says_zero else 0.0)
    recording.set_probe(neuropixels_probe(N_CHANNELS))
    return recording


TYPES = [
    # type, zero level, lowest and highest value there is, type that sorters read
    ("uint8", 128, (0, 255), "int16"),
    ("uint8", 100, (0, 255), "int16"),
    ("uint16", 512, (0, 1023), "int16"),
    ("uint16", 2048, (0, 4095), "int16"),
    ("uint16", 8192, (0, 16383), "int16"),
    ("uint16", 32768, (0, 65535), "int16"),
    ("uint16", 20000, (0, 65535), "float32"),
    ("uint16", 20000, (0, 50000), "int16"),
    ("uint16", 45000, (0, 65535), "float32"),
    ("uint16", 32760, (0, 65535), "float32"),
    ("uint32", 2048, (0, 4095), "float32"),
    ("uint32", 2**31, (2**31 - 10**6, 2**31 + 10**6), "float32"),
    ("int8", 0, (-128, 127), "int16"),
    ("int16", 0, (-32768, 32767), "int16"),
    (">i2", 0, (-32768, 32767), "int16"),
    ("int16", -500, (-32768, 32767), "int16"),
    ("int32", 0, (-(2**23), 2**23 - 1), "float32"),
    ("int32", 2**30, (2**30 - 10**6, 2**30 + 10**6), "float32"),
    ("int32", -(2**29), (-(2**29) - 10**6, -(2**29) + 10**6), "float32"),
    ("int64", 2**40, (2**40 - 10**6, 2**40 + 10**6), "float32"),
    (">u2", 2048, (0, 4095), "int16"),
]


@pytest.mark.parametrize("says_zero", [True, False])
@pytest.mark.parametrize(("dtype", "zero", "ends", "expected"), TYPES)
def test_sorters_get_the_microvolts_of_the_file(
    tmp_path: Path,
    dtype: str,
    zero: int,
    ends: tuple[int, int],
    expected: str,
    says_zero: bool,
) -> None:
    """Sample by sample, at both ends of the range as well, where no check has looked."""
    steps = np.clip(noise(), ends[0] - zero, ends[1] - zero)
    steps[UNSAMPLED, :3], steps[UNSAMPLED, 3:] = ends[0] - zero, ends[1] - zero
    recording = recording_of(steps, dtype, zero, says_zero=says_zero)
    checked, _ = check_recording(recording)
    done = preprocess(checked, "none", {"kilosort4": {}}, tmp_path / "p")
    in_file_uv = steps * GAIN_UV + (0.0 if says_zero else zero * GAIN_UV)
    for result in (checked, done.for_sorting):
        gains, offsets = result.get_channel_gains(), result.get_channel_offsets()
        got_uv = result.get_traces().astype("float64") * gains + offsets
        np.testing.assert_allclose(got_uv, in_file_uv, rtol=1e-9, atol=1e-5)
    assert done.for_sorting.dtype in SORTER_DTYPES
    if says_zero or zero != 32760:  # a median that is a hair off the middle is the middle
        assert done.for_sorting.dtype == np.dtype(expected)


@pytest.mark.parametrize(("dtype", "zero", "ends", "expected"), TYPES)
def test_without_gains_samples_are_only_shifted(
    tmp_path: Path, dtype: str, zero: int, ends: tuple[int, int], expected: str
) -> None:
    """To their zero, or near it."""
    steps = np.clip(noise(), ends[0] - zero, ends[1] - zero)
    steps[UNSAMPLED, :3], steps[UNSAMPLED, 3:] = ends[0] - zero, ends[1] - zero
    checked, _ = check_recording(recording_of(steps, dtype, zero, with_gain=False))
    done = preprocess(checked, "none", {"kilosort4": {}}, tmp_path / "p")
    moved = steps - done.for_sorting.get_traces().astype("int64")
    assert len(np.unique(moved)) == 1 or dtype in ("int32", "int64")  # each channel by itself
    assert (np.ptp(moved, axis=0) == 0).all()
    assert np.abs(np.median(done.for_sorting.get_traces(), axis=0)).max() < 1000


def test_each_channel_has_its_own_zero_level(tmp_path: Path) -> None:
    """As the offsets of its channels say."""
    zeros = np.array([2000, 2048, 2100, 1990, 2048, 2060])
    recording = recording_of(noise() + zeros, "uint16", 0)
    recording.set_channel_offsets(-zeros * GAIN_UV)
    checked, notes = check_recording(recording)
    assert "around 1990 to 2100, which becomes 0 in int16" in notes[0]
    np.testing.assert_array_equal(checked.get_traces(), noise())
    np.testing.assert_allclose(checked.get_channel_offsets(), 0, atol=1e-9)
    done = preprocess(checked, "none", {"kilosort4": {}}, tmp_path / "p")
    np.testing.assert_array_equal(done.for_sorting.get_traces(), noise())


def test_saturated_samples_are_not_wrapped(tmp_path: Path) -> None:
    """An amplifier whose zero is at 20000, and that reaches 65535: 45535 is no int16."""
    steps = noise()
    steps[9000:9060] = 65535 - 20000
    checked, _ = check_recording(recording_of(steps, "uint16", 20000))
    done = preprocess(checked, "none", {"kilosort4": {}}, tmp_path / "p")
    traces = done.for_sorting.get_traces()
    assert traces.max() == 45535
    assert traces.min() == steps.min()


# ----- saturation --------------------------------------------------------------------------------


def saturation_notes(steps: np.ndarray, dtype: str, zero: int = 0) -> list[str]:
    notes = check_recording(recording_of(steps, dtype, zero))[1]
    return [note for note in notes if "saturated" in note]


@pytest.mark.parametrize(
    ("dtype", "zero", "end"),
    [
        ("int16", 0, 32767),
        ("int16", 0, -32768),
        ("int16", 0, 511),  # Neuropixels 1.0: 10 bits
        ("int16", 0, -512),
        ("uint16", 32768, 32767),
        ("uint16", 2048, -2048),
        ("uint16", 2048, 2047),
    ],
)
def test_saturation_is_noted_with_its_place_and_size(dtype: str, zero: int, end: int) -> None:
    """As far as the chunks that are looked at show it."""
    steps = noise()
    steps[1000:1020, [1, 4]] = end
    (note,) = saturation_notes(steps, dtype, zero)
    assert "40 samples of 2 channels" in note
    assert f"({end + zero})" in note
    assert "in 1 of the 10 places that were sampled, first at 0.0333333 s;" in note


def test_an_ordinary_signal_is_not_saturated() -> None:
    """Its peaks touch no end, or touch it for a sample; and a constant channel is no amplifier."""
    assert saturation_notes(noise(), "int16") == []
    steps = noise()
    steps[::5000, 2] = 32767
    assert saturation_notes(steps, "int16") == []
    steps = noise()
    steps[:, 2] = -512
    assert saturation_notes(steps, "int16") == []
