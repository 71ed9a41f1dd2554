"""The time of every sample of a segment, in compact form.

An hour at 30 kHz has 108 million samples, but its clock is a line with a few jumps: times are kept
at some of the frames (the knots) and interpolated linearly between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A place where the clock does not advance by one sampling interval."""

    #: the first frame after it
    frame: int
    #: end of the last sample before it
    begin_s: float
    #: negative where the clock runs backwards
    length_s: float

    @property
    def end_s(self) -> float:
        """Start of the first sample after the gap."""
        return self.begin_s + self.length_s


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleTimes:
    """The time of each frame of one segment."""

    #: frames of the knots, ascending from 0
    frames: npt.NDArray[np.int64]
    #: the time of each knot, in seconds
    times_s: npt.NDArray[np.float64]
    n_frames: int
    #: from one sample to the next, outside gaps
    interval_s: float
    gaps: tuple[Gap, ...] = ()
    #: the timestamps in the file that they come from; None where the file has none
    origin: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def begin_s(self) -> float:
        """The time of the first sample."""
        return float(self.times_s[0])

    @property
    def end_s(self) -> float:
        """The end of the last sample."""
        return float(self.at(np.array([self.n_frames - 1.0]))[0]) + self.interval_s

    def at(self, frames: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the times of frames, in seconds; fractions of a frame are added to its time."""
        fractional = np.asarray(frames, dtype="float64")
        whole = np.clip(np.floor(fractional), 0, self.n_frames - 1)
        known = np.interp(whole, self.frames, self.times_s)
        beyond = np.maximum(whole - self.frames[-1], 0)
        return np.asarray(known + (beyond + fractional - whole) * self.interval_s)

    def intervals_s(self) -> list[tuple[float, float]]:
        """Return start and end of each continuous stretch, in seconds."""
        begins = [self.begin_s, *(gap.end_s for gap in self.gaps)]
        ends = [*(gap.begin_s for gap in self.gaps), self.end_s]
        return list(zip(begins, ends, strict=True))


def evenly_spaced(
    begin_s: float,
    n_frames: int,
    interval_s: float,
    origin: str | None = None,
    notes: Sequence[str] = (),
) -> SampleTimes:
    """Return times without a gap."""
    return SampleTimes(
        frames=np.zeros(1, dtype="int64"),
        times_s=np.array([begin_s]),
        n_frames=n_frames,
        interval_s=interval_s,
        origin=origin,
        notes=tuple(notes),
    )


def cut(times: SampleTimes, start: int, stop: int) -> SampleTimes:
    """Return the times of the frames from `start` up to `stop`, renumbered from 0."""
    inside = (times.frames > start) & (times.frames < stop - 1)
    frames = np.unique([start, *times.frames[inside].tolist(), max(stop - 1, start)])
    return replace(
        times,
        frames=frames.astype("int64") - start,
        times_s=times.at(frames),
        n_frames=stop - start,
        gaps=tuple(
            replace(gap, frame=gap.frame - start) for gap in times.gaps if start < gap.frame < stop
        ),
    )


def join(parts: Sequence[SampleTimes]) -> SampleTimes:
    """Return the times of concatenated segments, with a gap where their clocks do not meet."""
    frames, times_s, gaps = [], [], list(parts[0].gaps)
    n_frames = 0
    for number, part in enumerate(parts):
        closed = cut(part, 0, part.n_frames)
        if number:
            end_s = parts[number - 1].end_s
            missing_s = part.begin_s - end_s
            if abs(missing_s) > part.interval_s / 2:
                gaps.append(Gap(frame=n_frames, begin_s=end_s, length_s=missing_s))
            gaps += [replace(gap, frame=gap.frame + n_frames) for gap in part.gaps]
        frames.append(closed.frames + n_frames)
        times_s.append(closed.times_s)
        n_frames += part.n_frames
    return replace(
        parts[0],
        frames=np.concatenate(frames),
        times_s=np.concatenate(times_s),
        n_frames=n_frames,
        gaps=tuple(gaps),
    )
