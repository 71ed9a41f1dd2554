"""Edges and pulses of the lines of a stream, in seconds on its own clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentEdges:
    """When a line rose and fell in one segment of the recording."""

    rising_s: Seconds
    falling_s: Seconds
    #: whether the line was high already when the segment started
    high_at_start: bool = False

    @property
    def high_at_end(self) -> bool:
        """Whether the line was still high when the segment ended."""
        return len(self.rising_s) + self.high_at_start > len(self.falling_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulses:
    """When a line rose, and for how long it was high."""

    rising_s: Seconds
    #: NaN where the line was still high when the segment ended
    duration_s: Seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class LineEdges:
    """When a line rose and fell."""

    line: str
    segments: Sequence[SegmentEdges]

    @property
    def rising_s(self) -> Seconds:
        """The times of all rising edges."""
        return np.concatenate([each.rising_s for each in self.segments])

    @property
    def falling_s(self) -> Seconds:
        """The times of all falling edges."""
        return np.concatenate([each.falling_s for each in self.segments])

    @property
    def pulses(self) -> Pulses:
        """The pulses whose rising edge was recorded."""
        durations = []
        for each in self.segments:
            ends = each.falling_s[1:] if each.high_at_start else each.falling_s
            if each.high_at_end:
                ends = np.append(ends, np.nan)
            durations.append((ends - each.rising_s) if len(each.rising_s) else each.rising_s)
        return Pulses(rising_s=self.rising_s, duration_s=np.concatenate(durations))

    def notes(self) -> list[str]:
        """Return what the pulses lack, a sentence each."""
        notes = []
        begun = sum(each.high_at_start for each in self.segments)
        if begun:
            notes.append(
                f"{self.line} was high already when {_recordings(begun)} started: that pulse is "
                "not among the events, as its start is unknown"
            )
        open_pulses = sum(each.high_at_end and len(each.rising_s) > 0 for each in self.segments)
        if open_pulses:
            notes.append(
                f"{self.line} was still high when {_recordings(open_pulses)} ended: the last pulse "
                "has no duration"
            )
        return notes


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamLines:
    """The lines of a stream that changed or were high."""

    #: by name
    lines: Mapping[str, LineEdges]
    #: lines that were left out, and other doubts, a sentence each
    notes: Sequence[str] = ()


def _recordings(n: int) -> str:
    return "the recording" if n == 1 else f"{n} of its parts"
