"""Frames without a signal: acquisition was paused, or an artifact was overwritten.

They are no noise: of a recording that is blank for half of the time, the noise would be half.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_opening

#: highest absolute value in a blank frame, as a part of the mean: filters ring beside its edges
LOWEST_SIGNAL = 0.01

#: fewer frames in a row may be noise of less than a step of the converter
FEWEST_FRAMES = 50


def without_blanks(traces: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the frames without those in which all channels are silent for long.

    Parameters
    ----------
    traces
        around 0, of shape (frames, channels)

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(300, 4))
    >>> noise[100:200] = 0.0
    >>> without_blanks(noise).shape
    (200, 4)
    """
    heights = np.abs(traces)
    silent = heights.max(axis=1, initial=0.0) <= LOWEST_SIGNAL * heights.mean()
    kept: npt.NDArray[Any] = traces[~binary_opening(silent, np.ones(FEWEST_FRAMES))]
    return kept
