"""Samples of another type or byte order, and places without a signal."""

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.samples.chunks import sample_chunks
from spikeinterface_cloud.recording.samples.number_type import check_number_type
from spikeinterface_cloud.recording.samples.odd_places import note_odd_places

RATE_HZ = 30_000.0


def noise(scale: float, n_channels: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(0, scale, (60_000, n_channels)).round().astype("int16")


def with_channel(samples: np.ndarray, offset: float) -> np.ndarray:
    """Return the samples, of which every other channel is far from 0."""
    shifted = samples.copy()
    shifted[:, 1::2] += offset
    return shifted


def check(samples: np.ndarray) -> None:
    recording = NumpyRecording([samples], RATE_HZ)
    check_number_type(recording, [chunk.traces for chunk in sample_chunks(recording)])


ORDER = "their noise is far smaller in the other byte order"
FLOAT_ORDER = "of an ordinary size in the other byte order only"
PAIRS = "each looks like two samples of 16 bits"
FULL = "the noise of many channels fills its whole range, as no amplifier's does"
NARROW = "of an ordinary size as floats of 32 bits only"
WIDE = "of an ordinary size as floats of 64 bits only"
DOUBLES = "they look like halves of floats of 64 bits"


@pytest.mark.parametrize("scale", [2.0, 30.0, 1000.0])
def test_samples_of_another_type_are_refused(scale: float) -> None:
    samples = noise(scale)
    floats = (samples * 0.195).astype("float32")
    rng = np.random.default_rng(0)
    for read, reason in (
        (samples.byteswap(), ORDER),
        ((samples.byteswap().astype("int32") + 32768).astype("uint16"), ORDER),
        ((samples.byteswap().astype("int32") + 32768).astype(">u2"), ORDER),
        (np.clip(samples.byteswap(), -32767, 32767).astype("int32"), ORDER),
        (samples.view("int32"), PAIRS),
        (floats.view("int16"), FULL),
        (floats.view("uint8"), FULL),
        (floats.byteswap().view(">i2"), FULL),
        (floats.byteswap(), FLOAT_ORDER),
        (floats.astype("float64").byteswap(), FLOAT_ORDER),
        (samples.astype("float32").byteswap(), FLOAT_ORDER),
        (samples.byteswap().astype("float32"), ORDER),
        (samples.byteswap().astype("float32") * np.float32(0.195), ORDER),
        (samples.byteswap() * 2.34375e-6, ORDER),
        (rng.normal(0, scale, (60_000, 8)).astype("float32").view("float64"), NARROW),
        (rng.normal(0, scale, 540_000).astype("float32").view("float64").reshape(-1, 9), NARROW),
        (rng.normal(0, scale * 1e-6, (60_000, 4)).view("float32"), WIDE),
        (rng.normal(0, scale, 270_001).view("float32")[1:-1].reshape(-1, 8), WIDE),
        (samples.astype("float64").view("float32").reshape(-1, 8), DOUBLES),
        (samples.astype("float64").view("float32").reshape(-1, 1), DOUBLES),
        ((samples[:, :3] * 0.25).view("float32").reshape(-1, 3), DOUBLES),
        (samples[:, :4].astype(">f8").view(">f4").reshape(-1, 4), DOUBLES),
    ):
        with pytest.raises(RecordingError, match=f"{reason}; correct dtype in READ_RECORDING"):
            check(read)


@pytest.mark.parametrize("scale", [1.3, 1.95])
def test_samples_clipped_in_many_places_are_refused(scale: float) -> None:
    """As of numbers with swapped bytes that a program scaled to the range of 16 bits."""
    wide = scale * noise(40.0).byteswap()
    samples = np.clip(wide.round(), -(2**15), 2**15 - 1).astype("int16")
    with pytest.raises(RecordingError, match="fills its whole range"):
        check(samples)


def test_spikes_and_artifacts_at_the_ends_of_the_range_are_taken() -> None:
    samples = noise(1000.0)
    samples[::20] = 32767
    samples[5::40] = -32768
    check(samples)


@pytest.mark.parametrize("n_channels", [4, 8])
def test_a_few_channels_that_are_full_of_noise_are_taken(n_channels: int) -> None:
    samples = noise(20.0, n_channels)
    rng = np.random.default_rng(1)
    for channel in range(n_channels // 4):
        samples[:, channel] = rng.integers(-(2**15), 2**15, len(samples))
    check(samples)
    check(samples.astype("float32"))


@pytest.mark.parametrize("scale", [0.25, 0.3, 1.0])
def test_bytes_of_little_noise_are_taken(scale: float) -> None:
    samples = noise(scale).astype("int8")
    samples[1000::3000] = -40
    check(samples)


def test_bytes_of_wider_samples_are_refused() -> None:
    with pytest.raises(RecordingError, match="halves of samples of 16 bits"):
        check(noise(20.0).view("uint8"))


@pytest.mark.parametrize("scale", [0.3, 2.0, 30.0, 1000.0, 5000.0])
@pytest.mark.parametrize(
    "written",
    [
        lambda samples: samples,
        lambda samples: samples.astype("int32"),
        lambda samples: samples.astype("int32") * 256,  # 24 bits, left-aligned
        lambda samples: samples.astype("int32") * 65536,
        lambda samples: samples.astype("int32") + 2**30,
        lambda samples: (samples.astype("int64") + 2**31).astype("uint32"),
        lambda samples: (samples // 16) * 16,  # 12 bits, left-aligned
        lambda samples: np.clip(samples // 500, -127, 127) * 256,  # 8 bits, left-aligned
        lambda samples: (samples.astype("int32") + 32768).astype("uint16"),
        lambda samples: (np.clip(samples, -2048, 2047) + 2048).astype("uint16"),
        lambda samples: (samples // 256 + 128).astype("uint8"),
        lambda samples: samples.astype("float32"),
        lambda samples: samples.astype(">f4") * np.float32(0.195),
        lambda samples: samples * 2.34375e-6,
        lambda samples: samples * 0.195 + 17.1,
        lambda samples: samples * np.linspace(0, 1, len(samples))[:, np.newaxis] ** 8,
        lambda samples: with_channel(samples.astype("float64"), 32767.0),
        lambda samples: with_channel(samples * 1e-6, 0.5),
        lambda samples: with_channel((samples * 1e-6).astype("float32"), 0.5),
        lambda samples: with_channel((samples[:, :2] * 0.25), 32767.0),
        lambda samples: (samples * ([1, 0] * 4)).astype("float32"),  # every other one is dead
        lambda samples: samples[:, :1] * np.array([[1.0, 0.0]], "float32"),
    ],
)
def test_samples_of_any_right_type_are_taken(scale: float, written: object) -> None:
    check(written(noise(scale)))  # type: ignore[operator]


def test_places_without_a_signal_and_with_much_noise_are_noted() -> None:
    samples = noise(20.0)
    samples[10_000:25_000] = 0
    samples[42_000:56_000] = noise(2000.0)[:14_000]
    recording = NumpyRecording([samples], RATE_HZ)
    notes: list[str] = []
    note_odd_places(recording, sample_chunks(recording), notes)
    assert len(notes) == 2
    assert "all channels are constant in 2 of the 10 places" in notes[0]
    assert "more than 10 times their usual noise in 2 of the 10 places" in notes[1]


def test_an_even_recording_has_no_notes() -> None:
    recording = NumpyRecording([noise(20.0)], RATE_HZ)
    notes: list[str] = []
    note_odd_places(recording, sample_chunks(recording), notes)
    assert notes == []
