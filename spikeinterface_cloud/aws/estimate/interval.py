"""A figure with its error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """The least, the likely and the most that a figure may be; all three of one unit."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        """Both together, at their least, likely and most."""
        return Interval(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __mul__(self, other: Interval | float) -> Interval:
        """The product: least by least, most by most."""
        by = other if isinstance(other, Interval) else exactly(other)
        return Interval(self.low * by.low, self.likely * by.likely, self.high * by.high)

    def __truediv__(self, other: Interval | float) -> Interval:
        """The time that `self` takes at the speed `other`: shortest at the highest speed."""
        by = other if isinstance(other, Interval) else exactly(other)
        return Interval(self.low / by.high, self.likely / by.likely, self.high / by.low)

    def at_least(self, other: Interval) -> Interval:
        """Whichever of the two is more, in each of the three cases."""
        return Interval(
            max(self.low, other.low), max(self.likely, other.likely), max(self.high, other.high)
        )

    def at_most(self, limit: float) -> Interval:
        """The figure where it cannot exceed a limit."""
        return Interval(min(self.low, limit), min(self.likely, limit), min(self.high, limit))

    def holds(self, figure: float) -> bool:
        """Whether a figure is within the error."""
        return self.low <= figure <= self.high


def exactly(figure: float) -> Interval:
    """A figure without an error."""
    return Interval(figure, figure, figure)


def total(spans: Iterable[Interval]) -> Interval:
    """The sum, as if all errors were of one mind: wider than the true error, never narrower."""
    together = exactly(0.0)
    for span in spans:
        together += span
    return together
