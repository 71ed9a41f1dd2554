"""A figure with its error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """The lowest, the likely and the highest value of a figure, in one unit."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        """Add the lowest, the likely and the highest values."""
        return Interval(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __mul__(self, other: Interval | float) -> Interval:
        """Multiply low by low, and high by high."""
        by = other if isinstance(other, Interval) else exactly(other)
        return Interval(self.low * by.low, self.likely * by.likely, self.high * by.high)

    def __truediv__(self, other: Interval | float) -> Interval:
        """Return the time that `self` takes at the speed `other`: shortest at the highest speed."""
        by = other if isinstance(other, Interval) else exactly(other)
        return Interval(self.low / by.high, self.likely / by.likely, self.high / by.low)

    def at_least(self, other: Interval) -> Interval:
        """Return the larger of the two in each of the three cases."""
        return Interval(
            max(self.low, other.low), max(self.likely, other.likely), max(self.high, other.high)
        )

    def at_most(self, limit: float) -> Interval:
        """Return the figure, bounded by a limit."""
        return Interval(min(self.low, limit), min(self.likely, limit), min(self.high, limit))

    def contains(self, figure: float) -> bool:
        """Return whether a figure is within the error."""
        return self.low <= figure <= self.high


def exactly(figure: float) -> Interval:
    """Return a figure without an error."""
    return Interval(figure, figure, figure)


def total(intervals: Iterable[Interval]) -> Interval:
    """Return the sum as if all errors had one sign: wider than the true error, never narrower."""
    return sum(intervals, start=exactly(0.0))
