"""Distinguish a recording without spikes from a sorter's error.

On an empty recording sorters fail with unrelated errors (an index out of bounds, a division by
zero), which change between versions; so the peaks of the whole recording are counted.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si
from scipy.stats import norm, poisson

from spikeinterface_cloud.recording.samples.blanks import read_signal

#: a peak is lower than this many noise levels below zero: one more than sorters take, as a median
#: reference makes the tails of noise heavier
THRESHOLD = 6.0

#: the noise level is that of so many chunks
CHUNKS = 20
CHUNK_S = 1.0

#: how many times the peaks of Gaussian noise are still no spikes
NOISE_FACTOR = 5.0

#: how rarely noise of that factor has more peaks than are allowed
UNLIKELY = 0.001


def is_noise_only(recording: si.BaseRecording, few_peaks: int = 0) -> bool:
    """Return whether a high-pass filtered recording has no more peaks than noise.

    All of it is read, unless peaks are found before.

    Parameters
    ----------
    few_peaks
        so many in the whole recording are no spikes either, however few the noise has
    """
    threshold = -THRESHOLD * noise_levels(recording)
    n_channels, n_samples = recording.get_num_channels(), recording.get_total_samples()
    most_of_a_channel = max(_most_of_noise(n_samples, n_channels), few_peaks)
    most = max(_most_of_noise(n_samples * n_channels), few_peaks)
    peaks = np.zeros(n_channels, dtype="int64")
    for found in _peaks_by_chunk(recording, threshold):
        peaks += found
        if peaks.max() > most_of_a_channel or peaks.sum() > most:
            return False
    return True


def _most_of_noise(n_values: int, n_alike: int = 1) -> float:
    """Return the most peaks that noise has in `n_values`, the largest of `n_alike` such counts."""
    expected = NOISE_FACTOR * norm.cdf(-THRESHOLD) * n_values
    return float(poisson.isf(UNLIKELY / n_alike, expected))


def _peaks_by_chunk(
    recording: si.BaseRecording, threshold: npt.NDArray[np.float64]
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield how often each channel falls below its threshold, for each chunk of the recording."""
    size = max(int(CHUNK_S * recording.sampling_frequency), 1)
    for segment in range(recording.get_num_segments()):
        n_samples = recording.get_num_samples(segment)
        before = np.zeros((1, len(threshold)), dtype="int8")
        for start in range(0, n_samples, size):
            end = min(start + size, n_samples)
            chunk = recording.get_traces(segment_index=segment, start_frame=start, end_frame=end)
            below = (chunk < threshold).astype("int8")
            yield np.count_nonzero(np.diff(below, axis=0, prepend=before) == 1, axis=0)
            before = below[-1:]


def noise_levels(recording: si.BaseRecording) -> npt.NDArray[np.float64]:
    """Return the noise level of each channel from sampled chunks; 0 for a constant channel."""
    return _noise_levels(_sample(recording))


def _sample(recording: si.BaseRecording) -> list[npt.NDArray[Any]]:
    """Read chunks of each segment, or all of it if it is shorter, without blank frames."""
    generator = np.random.default_rng(0)
    chunks = []
    for segment in range(recording.get_num_segments()):
        n_samples = recording.get_num_samples(segment)
        size = min(int(CHUNK_S * recording.sampling_frequency), n_samples)
        starts = np.unique(generator.integers(0, n_samples - size + 1, CHUNKS)).tolist()
        chunks += [read_signal(recording, segment, start, start + size) for start in starts]
    return chunks


def _noise_levels(chunks: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """Return the standard deviation of Gaussian noise by channel, from its mean absolute value.

    The usual median is a whole number of steps, and noise is often only three or four of them wide.
    """
    signals = [chunk for chunk in chunks if len(chunk)]
    if not signals:
        return np.zeros(chunks[0].shape[1])
    # as floats: the lowest integer has no absolute value
    heights = [np.abs(signal, dtype="float32") for signal in signals]
    deviations = [height.mean(axis=0, dtype="float64") for height in heights]
    sizes = [len(signal) for signal in signals]
    return np.asarray(np.average(deviations, axis=0, weights=sizes) * np.sqrt(np.pi / 2))
