"""Copy and round chunks of traces."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: rows copied at once, which stay in the cache
N_ROWS = 256


def copy_by_rows(source: Array, target: Array) -> None:
    """Copy an array to one with another order of its axes, in pieces that stay in the cache."""
    for start in range(0, len(source), N_ROWS):
        target[start : start + N_ROWS] = source[start : start + N_ROWS]


def fit_to(dtype: np.dtype[Any], values: Array, *, rounded: bool = True) -> Array:
    """Make floats, in place, the values that samples of this type can have.

    Of an integer type they are rounded, and limited to its range: a cast alone would turn a value
    above the range into one at its lower end.

    >>> fit_to(np.dtype("int16"), np.array([1.5, 40000.0])).tolist()
    [2.0, 32767.0]
    """
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        if rounded:
            np.rint(values, out=values)
        np.clip(values, limits.min, limits.max, out=values)
    return values
