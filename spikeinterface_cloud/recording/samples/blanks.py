"""Frames without a signal: acquisition was paused, or an artifact was overwritten.

They are no noise, and lower its estimate: a third of blank frames halves a median deviation. In
them no channel changes; after a filter they ring, so they are looked for before it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si
from scipy.ndimage import binary_opening

#: a channel does not change by less than this part of the largest change: for integers of 16 bits
#: that is less than one, and filtered floats ring for a few milliseconds
NO_CHANGE = 1e-5

#: fewer blank frames in a row are noise of less than a step of the converter
FEWEST_FRAMES = 50

#: signals that are all shorter than this are spikes on silence, which is then no blank
SHORTEST_SIGNAL = 300


def read_signal(
    recording: si.BaseRecording, segment: int, start: int, end: int, *, in_uv: bool = False
) -> npt.NDArray[Any]:
    """Return the traces between two frames, of shape (frames, channels), without blank frames."""
    traces: npt.NDArray[Any] = recording.get_traces(segment, start, end, return_in_uV=in_uv)
    if not in_uv and _before_processing(recording) is recording:
        return traces[~blank_frames(traces)]
    return traces[~are_blank(recording, segment, start, end)]


def are_blank(
    recording: si.BaseRecording, segment: int, start: int, end: int
) -> npt.NDArray[np.bool_]:
    """Tell for each frame between two whether all channels stand still there for long."""
    source = _before_processing(recording)
    return blank_frames(source.get_traces(segment, start, end, channel_ids=recording.channel_ids))


def blank_frames(traces: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell for each frame whether all channels stand still there for long.

    Parameters
    ----------
    traces
        not filtered, of shape (frames, channels)

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(900, 4))
    >>> noise[100:200] = 0.5
    >>> np.flatnonzero(blank_frames(noise))[[0, -1]]
    array([101, 199])
    """
    if not len(traces):
        return np.zeros(0, dtype=bool)
    # as floats: the difference of two integers may be larger than any
    changes = np.abs(np.diff(traces.astype("float32"), axis=0, prepend=traces[:1]))
    largest = changes.max(axis=1, initial=0.0)
    blank = binary_opening(largest <= NO_CHANGE * largest.max(initial=0.0), np.ones(FEWEST_FRAMES))
    # those at an edge may go on beyond it
    signal = np.pad(~blank, SHORTEST_SIGNAL, mode="edge")
    if not blank.all() and not binary_opening(signal, np.ones(SHORTEST_SIGNAL)).any():
        return np.zeros(len(traces), dtype=bool)
    found: npt.NDArray[np.bool_] = blank
    return found


def _before_processing(recording: si.BaseRecording) -> si.BaseRecording:
    """Return what the recording was made of, as far as it has the same frames and channels."""
    while (source := recording.get_parent()) is not None and _has_all_of(source, recording):
        recording = source
    return recording


def _has_all_of(source: si.BaseRecording, recording: si.BaseRecording) -> bool:
    lengths = [
        [each.get_num_samples(segment) for segment in range(each.get_num_segments())]
        for each in (source, recording)
    ]
    return lengths[0] == lengths[1] and set(recording.channel_ids) <= set(source.channel_ids)
