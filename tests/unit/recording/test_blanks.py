"""What is blank for most of the time is checked where it is not."""

import numpy as np
import pytest
from spikeinterface.core import NumpyRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.checks import check_samples

RATE_HZ = 30_000.0
N_FRAMES, N_CHANNELS = 300_000, 4


def blanked(samples: np.ndarray, gain_uv: float | None = None) -> NumpyRecording:
    """Return ten seconds of which six are blank."""
    shown = samples.copy()
    shown[np.arange(N_FRAMES) // 30_000 % 5 >= 2] = 0
    recording = NumpyRecording([shown], RATE_HZ)
    recording.set_dummy_probe_from_locations(np.array([[0.0, 20.0 * n] for n in range(N_CHANNELS)]))
    if gain_uv is not None:
        recording.set_channel_gains(gain_uv)
        recording.set_channel_offsets(0.0)
    return recording


def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 30.0, (N_FRAMES, N_CHANNELS))


def test_wrong_byte_order_is_refused() -> None:
    with pytest.raises(RecordingError, match="in the other byte order"):
        check_samples(blanked(noise().astype("int16").byteswap()))


def test_impossible_gain_is_removed() -> None:
    recording, notes = check_samples(blanked(noise().astype("int16"), gain_uv=195_000.0))
    assert not recording.has_scaleable_traces()
    assert any("would make the noise" in note for note in notes)


def test_volts_become_microvolts() -> None:
    recording, _ = check_samples(blanked((noise() * 1e-6).astype("float32")))
    shown = recording.get_traces(end_frame=60_000, return_in_uV=True)
    assert shown.std() == pytest.approx(30.0, rel=0.05)
