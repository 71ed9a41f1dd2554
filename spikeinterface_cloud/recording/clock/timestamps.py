"""Timestamps as a file holds them: one for every sample, or one for each block of samples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: what to do where timestamps cannot be
CORRECT = "correct them in the file, or replace them with a start time and a sampling rate"
COPY_AGAIN = "copy the files again, or export the recording to another format"

Floats = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Timestamps:
    """The time of every sample."""

    #: their name in the file
    origin: str
    #: takes the first frame and the end frame, returns seconds; fewer where the file has fewer
    read: Callable[[int, int], Floats]
    notes: tuple[str, ...] = ()
    #: where they cannot be
    remedy: str = COPY_AGAIN


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockTimes:
    """The time of the first sample of each block."""

    #: their name in the file
    origin: str
    #: first frame of each block, ascending from 0
    frames: Frames
    times_s: Floats
    #: whether they are sample counts, which makes the rate of the header exact
    are_counts: bool = False


def from_counts(
    origin: str, counts: Any, rate_hz: float, notes: tuple[str, ...] = ()
) -> Timestamps:
    """Return timestamps from an array of counts at `rate_hz`; the array may stay on disk."""

    def read(start: int, stop: int) -> Floats:
        return np.asarray(np.asarray(counts[start:stop]).astype("float64") / rate_hz)

    return Timestamps(origin=origin, read=read, notes=notes)
