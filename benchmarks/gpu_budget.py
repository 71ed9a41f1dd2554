"""The time of a benchmark, shared out to its parts beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import accumulate

#: a part with less is left out
LEAST_S = 5.0


class Budget:
    """The shares of parts that run one after the other; what one leaves, the later ones may use."""

    def __init__(
        self,
        seconds: float,
        shares: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._started = clock()
        whole = sum(shares.values())
        ends = accumulate(seconds * share / whole for share in shares.values())
        self._ends = dict(zip(shares, ends, strict=True))

    @property
    def elapsed_s(self) -> float:
        """The seconds since the start."""
        return self._clock() - self._started

    def left_s(self, part: str) -> float:
        """Return how long the part may take from now on; 0 or less: no time is left."""
        return self._ends[part] - self.elapsed_s
