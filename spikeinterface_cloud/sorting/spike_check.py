"""Distinguish a recording without spikes from a sorter's error.

On an empty recording sorters fail with unrelated errors (an index out of bounds, a division by
zero), which change between versions; so the peaks are counted.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si

#: a peak is lower than this many noise levels below zero: one more than sorters take, as a median
#: reference makes the tails of noise heavier
THRESHOLD = 6.0

CHUNKS = 20
CHUNK_S = 1.0

#: how many times the peaks of Gaussian noise are still no spikes
NOISE_FACTOR = 5.0

#: so few peaks in all chunks are no units, however few the noise has
FEW_PEAKS = 20


def is_noise_only(recording: si.BaseRecording) -> bool:
    """Return whether a high-pass filtered recording has no more peaks than noise."""
    chunks = _sample(recording)
    threshold = -THRESHOLD * _noise_levels(chunks)
    below = [chunk < threshold for chunk in chunks]
    peaks = sum(
        int(np.count_nonzero(np.diff(chunk.astype(np.int8), axis=0) == 1)) for chunk in below
    )
    n_values = sum(chunk.size for chunk in below)
    expected = NormalDist().cdf(-THRESHOLD) * n_values
    return bool(peaks <= max(FEW_PEAKS, NOISE_FACTOR * expected))


def noise_levels(recording: si.BaseRecording) -> npt.NDArray[np.float64]:
    """Return the noise level of each channel from sampled chunks; 0 for a constant channel."""
    return _noise_levels(_sample(recording))


def _sample(recording: si.BaseRecording) -> list[npt.NDArray[Any]]:
    """Read chunks of each segment, or the whole segment if it is shorter than a chunk."""
    generator = np.random.default_rng(0)
    chunks = []
    for segment in range(recording.get_num_segments()):
        n_samples = recording.get_num_samples(segment)
        size = min(int(CHUNK_S * recording.sampling_frequency), n_samples)
        starts = np.unique(generator.integers(0, n_samples - size + 1, CHUNKS)).tolist()
        chunks += [
            recording.get_traces(segment_index=segment, start_frame=start, end_frame=start + size)
            for start in starts
        ]
    return chunks


def _noise_levels(chunks: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """Return the standard deviation of Gaussian noise by channel, from its mean absolute value.

    The usual median is a whole number of steps, and noise is often only three or four of them wide.
    """
    deviations = [np.abs(chunk).mean(axis=0, dtype="float64") for chunk in chunks]
    sizes = [len(chunk) for chunk in chunks]
    return np.asarray(np.average(deviations, axis=0, weights=sizes) * np.sqrt(np.pi / 2))
