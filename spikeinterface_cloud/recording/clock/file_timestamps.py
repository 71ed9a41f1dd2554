"""The timestamps of a file, as they are read: of every sample, or of each block of samples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Timestamps:
    """The time of every sample."""

    #: what the file calls them
    origin: str
    #: from the first frame and the one after the last to seconds; fewer where the file has fewer
    read: Callable[[int, int], Floats]
    #: what else is to be known of them
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """The time of the first sample of each block."""

    #: what the file calls them
    origin: str
    #: in ascending order, the first is 0
    frames: Frames
    times_s: Floats
    #: whether they count samples, so that the rate of the header is the clock's own
    are_counts: bool = False


def counted(
    origin: str, counts: Any, per_second: float, remarks: tuple[str, ...] = ()
) -> Timestamps:
    """Timestamps from an array of counts, which need not be in memory."""

    def read(start: int, stop: int) -> Floats:
        return np.asarray(np.asarray(counts[start:stop]).astype("float64") / per_second)

    return Timestamps(origin=origin, read=read, remarks=remarks)
