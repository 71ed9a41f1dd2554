"""The time of every sample of a segment, in a compact form.

An hour at 30 kHz has 108 million samples, but its clock is a line with a few jumps: the times are
kept at some of the frames (the knots), and between two knots they lie on a straight line.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A place where the clock does not go on by one sampling interval."""

    #: the first frame after it
    frame: int
    #: when the last sample before it is over
    begin_s: float
    #: negative where the clock runs backwards
    length_s: float
    #: whether the reader has put zeros for the missing samples, so that frames count them
    is_filled: bool = False

    @property
    def end_s(self) -> float:
        """When the first sample after it begins."""
        return self.begin_s + self.length_s


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleTimes:
    """The time of each frame of one segment."""

    #: the knots: frames in ascending order, the first is 0
    frames: npt.NDArray[np.int64]
    #: the time of each knot, in seconds
    times_s: npt.NDArray[np.float64]
    n_frames: int
    #: seconds from one sample to the next, where nothing is missing
    interval_s: float
    gaps: tuple[Gap, ...] = ()
    #: what in the file they were read from; None where the file says nothing of time
    origin: str | None = None
    #: what else is to be known of them
    remarks: tuple[str, ...] = ()

    @property
    def begin_s(self) -> float:
        """The time of the first sample."""
        return float(self.times_s[0])

    @property
    def end_s(self) -> float:
        """When the last sample is over."""
        return float(self.at(np.array([self.n_frames - 1.0]))[0]) + self.interval_s

    def at(self, frames: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The times of frames, in seconds; frames between two samples count from the first."""
        asked = np.asarray(frames, dtype="float64")
        whole = np.clip(np.floor(asked), 0, self.n_frames - 1)
        known = np.interp(whole, self.frames, self.times_s)
        beyond = np.maximum(whole - self.frames[-1], 0)
        return np.asarray(known + (beyond + asked - whole) * self.interval_s)

    def with_gaps(self, gaps: Sequence[Gap]) -> "SampleTimes":
        """The same times with other gaps."""
        return replace(self, gaps=tuple(gaps))

    def with_remarks(self, remarks: Sequence[str]) -> "SampleTimes":
        """The same times with more to be known of them."""
        return replace(self, remarks=(*self.remarks, *remarks))

    def stretches_s(self) -> list[tuple[float, float]]:
        """The begin and the end of each continuous stretch, in seconds."""
        begins = [self.begin_s, *(gap.end_s for gap in self.gaps)]
        ends = [*(gap.begin_s for gap in self.gaps), self.end_s]
        return list(zip(begins, ends, strict=True))


def evenly(
    begin_s: float, n_frames: int, interval_s: float, origin: str | None = None
) -> SampleTimes:
    """Times that go on without a gap."""
    return SampleTimes(
        frames=np.zeros(1, dtype="int64"),
        times_s=np.array([begin_s]),
        n_frames=n_frames,
        interval_s=interval_s,
        origin=origin,
    )


def cut(times: SampleTimes, start: int, stop: int) -> SampleTimes:
    """The times of the frames from `start` up to `stop`, numbered from 0."""
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
    """The times of segments that are read as one; a gap is where their clocks do not meet."""
    frames, times_s, gaps = [], [], list(parts[0].gaps)
    n_frames = 0
    for number, part in enumerate(parts):
        closed = cut(part, 0, part.n_frames)
        if number:
            missing_s = part.begin_s - parts[number - 1].end_s
            if abs(missing_s) > part.interval_s / 2:
                gaps.append(
                    Gap(frame=n_frames, begin_s=parts[number - 1].end_s, length_s=missing_s)
                )
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
