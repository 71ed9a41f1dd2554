"""Excerpts of a recording that is too long to be read as a whole."""

import numpy as np
from spikeinterface.core import BaseRecording


def spread_excerpts(
    recording: BaseRecording, n_excerpts: int, duration_s: float
) -> list[tuple[int, int, int]]:
    """Spread excerpts evenly over all segments, in proportion to their lengths.

    Parameters
    ----------
    n_excerpts
        of the whole recording; segments shorter than an excerpt have none, unless all are
    duration_s
        of each excerpt

    Returns
    -------
    list of tuple
        segment index, first frame and end frame of each excerpt
    """
    lengths = [recording.get_num_samples(index) for index in range(recording.get_num_segments())]
    n_frames = max(int(duration_s * recording.sampling_frequency), 1)
    usable = [length if length >= n_frames else 0 for length in lengths]
    if not any(usable):
        usable, n_frames = lengths, max(lengths)
    excerpts = []
    for segment, length in enumerate(usable):
        n_here = min(round(n_excerpts * length / sum(usable)), length // n_frames)
        if length:
            starts = np.linspace(0, max(length - n_frames, 0), max(n_here, 1)).astype(int)
            excerpts += [
                (segment, start, start + min(n_frames, length)) for start in starts.tolist()
            ]
    return excerpts
