"""Noise is told from spikes, whatever a sorter says on it."""

import pytest
import spikeinterface as si
from spikeinterface.generation import NoiseGeneratorRecording

from spikeinterface_cloud.silence import has_no_spikes


@pytest.mark.parametrize("n_channels", [4, 32])
def test_noise_alone_holds_no_spikes(n_channels: int) -> None:
    noise = NoiseGeneratorRecording(
        num_channels=n_channels, sampling_frequency=30000.0, durations=[5.0], seed=1
    )
    assert has_no_spikes(noise)


def test_a_recording_with_units_holds_spikes() -> None:
    recording, _ = si.generate_ground_truth_recording(
        durations=[5.0], num_channels=8, num_units=4, sampling_frequency=30000.0, seed=0
    )
    assert not has_no_spikes(recording)
