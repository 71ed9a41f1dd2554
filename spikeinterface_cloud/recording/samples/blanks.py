"""Frames without a signal: acquisition was paused, or an artifact was overwritten.

They are no noise, and lower its estimate: a third of blank frames halves a median deviation.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_opening

#: a frame is blank below this part of the usual height of frames; not 0, as filters ring at edges
LOWEST_SIGNAL = 0.01

#: the usual height: artifacts may take a fifth of the frames, and blanks the rest
USUAL = 0.8

#: fewer blank frames in a row are noise of less than a step of the converter
FEWEST_FRAMES = 50

#: signals that are all shorter than this are spikes on silence, which is then no blank
SHORTEST_SIGNAL = 300


def without_blanks(traces: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the frames without those in which all channels are silent for long.

    Parameters
    ----------
    traces
        around 0, of shape (frames, channels)

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(900, 4))
    >>> noise[100:200] = 0.0
    >>> without_blanks(noise).shape
    (800, 4)
    """
    # as floats: the lowest integer has no absolute value
    heights = np.abs(traces, dtype="float32").max(axis=1, initial=0.0)
    silent = heights <= LOWEST_SIGNAL * np.quantile(heights, USUAL)
    blank = binary_opening(silent, np.ones(FEWEST_FRAMES))
    if not blank.all() and not binary_opening(~blank, np.ones(SHORTEST_SIGNAL)).any():
        return traces
    kept: npt.NDArray[Any] = traces[~blank]
    return kept
