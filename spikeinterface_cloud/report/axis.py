"""The axes of a plot: where a value lies, and which values are written beside it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: the steps between ticks are these times a power of ten
STEPS = (1.0, 2.0, 5.0, 10.0)

MOST_TICKS = 6

#: in characters; a longer one is written with a power of ten
LONGEST_NUMBER = 5
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One axis of a plot."""

    label: str
    lower: float
    upper: float
    logarithmic: bool = False
    #: for values with an order but no scale
    without_ticks: bool = False

    def fraction(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the positions of the values between `lower` (0) and `upper` (1)."""
        numbers = np.asarray(values, dtype="float64")
        lower, upper = self.lower, self.upper
        if self.logarithmic:
            numbers, lower, upper = np.log10(numbers), math.log10(lower), math.log10(upper)
        return (numbers - lower) / (upper - lower)

    def ticks(self) -> list[float]:
        """Return a handful of round values along the axis.

        >>> Axis(label="depth", lower=0, upper=3840).ticks()
        [0.0, 1000.0, 2000.0, 3000.0]
        >>> Axis(label="frequency", lower=5, upper=15000, logarithmic=True).ticks()
        [10.0, 100.0, 1000.0, 10000.0]
        """
        if self.without_ticks:
            return []
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.lower)), math.floor(math.log10(self.upper))
            every = max(1, math.ceil((last - first + 1) / MOST_TICKS))
            return [10.0**power for power in range(first, last + 1, every)]
        step = _round_step((self.upper - self.lower) / MOST_TICKS)
        first, last = math.ceil(self.lower / step), math.floor(self.upper / step)
        return [float(step * multiple) for multiple in range(first, last + 1)]


def spanning(label: str, values: npt.ArrayLike, margin: float = 0.04) -> Axis:
    """Return an axis over all finite values, extended by `margin` (a fraction of their range)."""
    numbers = np.asarray(values, dtype="float64")
    numbers = numbers[np.isfinite(numbers)]
    lower, upper = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 1.0)
    around = (upper - lower) * margin or max(abs(upper), 1.0) * 0.1
    return Axis(label=label, lower=lower - around, upper=upper + around)


def number(value: float) -> str:
    """Format a tick label.

    >>> number(1000.0), number(0.25), number(-50.0), number(1e-4), number(200000.0)
    ('1000', '0.25', '-50', '10⁻⁴', '2·10⁵')
    """
    text = f"{round(value, 10):g}"
    if len(text) <= LONGEST_NUMBER:
        return text
    factor, _, power = f"{value:.3e}".partition("e")
    written = f"10{str(int(power)).translate(SUPERSCRIPT)}"
    return written if float(factor) == 1.0 else f"{float(factor):g}·{written}"


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in STEPS if step * power >= least * 0.999)
