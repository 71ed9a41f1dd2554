"""Noise is told from spikes, whatever a sorter says on it."""

import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.preprocessing as spre
from spikeinterface.generation import NoiseGeneratorRecording

from spikeinterface_cloud.sorting.spike_check import is_noise_only, noise_levels


@pytest.mark.parametrize("n_channels", [4, 32])
def test_pure_noise_has_no_spikes(n_channels: int) -> None:
    noise = NoiseGeneratorRecording(
        num_channels=n_channels, sampling_frequency=30000.0, durations=[5.0], seed=1
    )
    assert is_noise_only(noise)


def test_coarsely_digitized_noise_has_no_spikes() -> None:
    """As Neuropixels 1.0 has it, behind a median reference: 10 uV in steps of 2.3."""
    samples = np.random.default_rng(0).normal(0.0, 10.0 / 2.34, size=(300_000, 16))
    noise = si.NumpyRecording([np.round(samples).astype("int16")], sampling_frequency=30000.0)
    assert is_noise_only(spre.common_reference(spre.highpass_filter(noise, freq_min=300.0)))


def test_recording_with_units_has_spikes() -> None:
    recording, _ = si.generate_ground_truth_recording(
        durations=[5.0], num_channels=8, num_units=4, sampling_frequency=30000.0, seed=0
    )
    assert not is_noise_only(recording)


def test_short_segment_hides_no_spikes() -> None:
    recording, _ = si.generate_ground_truth_recording(
        durations=[5.0], num_channels=8, num_units=4, sampling_frequency=30000.0, seed=0
    )
    stub = recording.frame_slice(start_frame=0, end_frame=3)
    assert not is_noise_only(si.append_recordings([recording, stub]))
    whole, cut = noise_levels(recording), noise_levels(si.append_recordings([stub, recording]))
    assert cut == pytest.approx(whole, rel=0.05)


def test_the_whole_recording_is_searched_for_spikes() -> None:
    """Twenty spikes at the end of two minutes, which excerpts may well miss."""
    samples = np.random.default_rng(0).normal(0.0, 5.0, size=(1_200_000, 1)).astype("float32")
    samples[-2000::100] = -100.0
    recording = si.NumpyRecording([samples], sampling_frequency=10_000.0)
    assert not is_noise_only(recording)
    assert is_noise_only(recording, few_peaks=20)
    assert not is_noise_only(recording, few_peaks=19)


def test_a_peak_across_chunks_is_counted_once() -> None:
    samples = np.random.default_rng(0).normal(0.0, 5.0, size=(40_000, 1)).astype("float32")
    samples[9_990:10_010] = samples[19_999:20_001] = -100.0
    recording = si.NumpyRecording([samples], sampling_frequency=10_000.0)
    assert is_noise_only(recording, few_peaks=2)
    assert not is_noise_only(recording, few_peaks=1)


def test_blank_frames_are_no_noise() -> None:
    samples = np.random.default_rng(0).normal(0.0, 10.0, (120_000, 2))
    samples[20_000:90_000] = 0
    levels = noise_levels(si.NumpyRecording(samples, 30_000.0))
    np.testing.assert_allclose(levels, 10.0, rtol=0.03)


@pytest.mark.parametrize("n_channels", [1, 4])
def test_spikes_on_silence_are_no_noise(n_channels: int) -> None:
    samples = np.zeros((300_000, n_channels), dtype="int16")
    for frame in range(3_000, 297_000, 6_000):
        samples[frame : frame + 30] = np.round(-12 * np.hanning(30))[:, np.newaxis]
    recording = si.NumpyRecording(samples, 30_000.0)
    assert noise_levels(recording).max() < 0.1
    assert not is_noise_only(recording)


def test_saturated_stretches_are_no_noise() -> None:
    samples = np.random.default_rng(0).normal(0.0, 50.0, (60_000, 1)).astype("int16")
    samples[10_000:13_000] = -(2**15)
    assert noise_levels(si.NumpyRecording(samples, 30_000.0))[0] == pytest.approx(50.0, rel=0.03)


def test_the_noise_level_is_a_standard_deviation() -> None:
    samples = np.random.default_rng(0).normal(0.0, [0.3, 4.0, 0.0], size=(60_000, 3))
    levels = noise_levels(si.NumpyRecording([samples.astype("float32")], 10_000.0))
    assert levels == pytest.approx([0.3, 4.0, 0.0], rel=0.02)
