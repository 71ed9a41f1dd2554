"""From the timestamps of a file to times in a compact form.

Timestamps are counts of samples, or seconds with some jitter, and their true rate may differ
from what the header says. What is kept of them differs from each by half a sampling interval at
most; a gap is where the times before and after it lie on different lines.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikeinterface_cloud.recording.sample_times import Gap, SampleTimes

Floats = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int64]

#: frames of a block that one straight line is tried on
LINE_FRAMES = 1008

#: frames of a block whose median shows on which line it lies: odd, so that no median falls
#: between the times before a gap and those after it
MEDIAN_FRAMES = 63

#: timestamps that are read at once, a multiple of both
CHUNK_FRAMES = LINE_FRAMES * 1000

#: how far a kept time may be from the timestamp, in sampling intervals
LARGEST_ERROR = 0.5

#: how much slower or faster a clock may run than the header says
LARGEST_DRIFT = 1e-3

#: by how many samples the times of blocks may jitter: they are rounded to microseconds, or to
#: ticks of a clock that is no slower than the samples
LARGEST_JITTER_OF_BLOCKS = 4.0

#: a gap is larger than half a sample, and than this many times the jitter
GAP_IN_JITTERS = 4.0


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Blocks:
    """Short blocks of timestamps: where each lies, and its largest step, in samples."""

    medians: Floats
    jitters: Floats
    #: the frame after the largest step
    step_frames: Frames
    steps: Floats


def fit_timestamps(
    chunks: Iterable[Floats], n_frames: int, sampling_frequency_hz: float, origin: str
) -> SampleTimes | None:
    """Times from the timestamp of every sample.

    Parameters
    ----------
    chunks
        of `CHUNK_FRAMES` timestamps each, in seconds
    n_frames
        of the segment; what is missing of the timestamps goes on evenly
    sampling_frequency_hz
        as the header says
    origin
        what the timestamps are called

    Returns
    -------
    None where the timestamps say nothing: there are none, or all are the same

    Raises
    ------
    ValueError
        some are no numbers
    """
    knots: list[tuple[Frames, Floats]] = []
    blocks: list[_Blocks] = []
    seen, interval_s, first_s, last_s = 0, 1 / sampling_frequency_hz, 0.0, None
    for chunk in chunks:
        times = np.asarray(chunk[: n_frames - seen], dtype="float64")
        if not len(times):
            break
        if not np.isfinite(times).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(times))} timestamps are no numbers")
        if not seen:
            first_s, interval_s = float(times[0]), _typical_interval(times, interval_s)
        if not interval_s > 0:
            return None
        frames, kept = _knots(times, interval_s)
        knots.append((frames + seen, kept))
        blocks.append(_in_blocks(times, seen, (first_s, interval_s), last_s))
        seen, last_s = seen + len(times), float(times[-1])
    if not knots or (seen > 1 and first_s == last_s):
        return None
    all_blocks = _concatenate(blocks)
    fitted = _with_gaps(
        np.concatenate([frames for frames, _ in knots]),
        np.concatenate([times for _, times in knots]),
        [(frame, size * interval_s) for frame, size in _jumps(all_blocks)],
        (n_frames, interval_s, origin),
    )
    jitter_s = float(np.median(all_blocks.jitters)) * interval_s
    return replace(fitted, remarks=tuple(_remarks(n_frames - seen, jitter_s, interval_s)))


def _remarks(n_missing: int, jitter_s: float, interval_s: float) -> Iterator[str]:
    if n_missing:
        yield f"the timestamps end {n_missing} samples before the traces, and go on evenly"
    if jitter_s > LARGEST_ERROR * interval_s:
        yield f"the timestamps jitter by {jitter_s:.3g} s, and spike times with them"


def _with_gaps(
    frames: Frames,
    times_s: Floats,
    jumps: list[tuple[int, float]],
    facts: tuple[int, float, str],
) -> SampleTimes:
    n_frames, interval_s, origin = facts
    n_steps = int(frames[-1])
    if n_steps:
        missing = sum(length_s for _, length_s in jumps)
        interval_s = float(times_s[-1] - times_s[0] - missing) / n_steps
    before = np.interp([frame - 1 for frame, _ in jumps], frames, times_s)
    return SampleTimes(
        frames=frames,
        times_s=times_s,
        n_frames=n_frames,
        interval_s=interval_s,
        gaps=tuple(
            Gap(frame=frame, begin_s=float(time) + interval_s, length_s=length_s)
            for (frame, length_s), time in zip(jumps, before, strict=True)
        ),
        origin=origin,
    )


def _typical_interval(times: Floats, nominal_s: float) -> float:
    """The interval in most blocks of the first chunk, whatever is missing in the others."""
    n_blocks = len(times) // LINE_FRAMES
    if not n_blocks:
        return nominal_s
    blocks = times[: n_blocks * LINE_FRAMES].reshape(n_blocks, LINE_FRAMES)
    typical = float(np.median(blocks[:, -1] - blocks[:, 0])) / (LINE_FRAMES - 1)
    return typical if typical > 0 else nominal_s


def _knots(times: Floats, interval_s: float) -> tuple[Frames, Floats]:
    """The frames whose times are kept, and these times."""
    tolerance_s = LARGEST_ERROR * interval_s
    n_blocks = len(times) // LINE_FRAMES
    blocks = times[: n_blocks * LINE_FRAMES].reshape(n_blocks, LINE_FRAMES)
    ramp = np.arange(LINE_FRAMES) / (LINE_FRAMES - 1)
    lines = blocks[:, :1] + (blocks[:, -1:] - blocks[:, :1]) * ramp
    is_line = np.abs(blocks - lines).max(axis=1, initial=0.0) <= tolerance_s
    starts = np.arange(n_blocks) * LINE_FRAMES
    found = [starts[is_line], starts[is_line] + LINE_FRAMES - 1]
    for start in starts[~is_line]:
        block = times[start : start + LINE_FRAMES]
        found.append(start + _knots_of_block(block, interval_s))
    rest = times[n_blocks * LINE_FRAMES :]
    if len(rest):
        found.append(n_blocks * LINE_FRAMES + _knots_of_block(rest, interval_s))
    frames = np.sort(np.concatenate(found)).astype("int64")
    return frames, times[frames]


def _knots_of_block(times: Floats, interval_s: float) -> Frames:
    """Its ends, and both sides of each jump; all of it where that is not enough."""
    frames = np.arange(len(times))
    steps = np.flatnonzero(np.abs(np.diff(times) - interval_s) > LARGEST_ERROR * interval_s)
    knots = np.unique(np.concatenate([[0], steps, steps + 1, [len(times) - 1]])).astype("int64")
    errors_s = np.abs(np.interp(frames, knots, times[knots]) - times)
    return knots if errors_s.max() <= LARGEST_ERROR * interval_s else frames


def _in_blocks(
    times: Floats, first_frame: int, line: tuple[float, float], last_s: float | None
) -> _Blocks:
    """The times as samples off the line that they would lie on without any gap."""
    begin_s, interval_s = line
    frames = first_frame + np.arange(len(times))
    off = (times - begin_s) / interval_s - frames
    steps = np.diff(off, prepend=off[0] if last_s is None else _off(last_s, line, first_frame - 1))
    n_whole = len(times) // MEDIAN_FRAMES * MEDIAN_FRAMES
    whole, rest = slice(0, n_whole), slice(n_whole, None)
    parts = [
        _describe_blocks(off[part].reshape(-1, length), steps[part], frames[part])
        for part, length in ((whole, MEDIAN_FRAMES), (rest, len(times) - n_whole))
        if length and len(off[part])
    ]
    return _concatenate(parts)


def _off(time_s: float, line: tuple[float, float], frame: int) -> float:
    begin_s, interval_s = line
    return (time_s - begin_s) / interval_s - frame


def _describe_blocks(off: Floats, steps: Floats, frames: Frames) -> _Blocks:
    """Of each row of `off`, with the steps and frames that belong to its samples."""
    medians = np.median(off, axis=1)
    steps, frames = steps.reshape(off.shape), frames.reshape(off.shape)
    rows, largest = np.arange(len(off)), np.abs(steps).argmax(axis=1)
    return _Blocks(
        medians=medians,
        jitters=np.median(np.abs(off - medians[:, np.newaxis]), axis=1),
        step_frames=frames[rows, largest],
        steps=steps[rows, largest],
    )


def _concatenate(blocks: Sequence[_Blocks]) -> _Blocks:
    return _Blocks(
        medians=np.concatenate([each.medians for each in blocks]),
        jitters=np.concatenate([each.jitters for each in blocks]),
        step_frames=np.concatenate([each.step_frames for each in blocks]),
        steps=np.concatenate([each.steps for each in blocks]),
    )


def _jumps(blocks: _Blocks) -> list[tuple[int, float]]:
    """The first frame after each gap, and how many samples are missing there."""
    jumps = {}
    shifts = np.diff(blocks.medians)
    shifts -= np.median(shifts) if len(shifts) else 0.0
    jitters = np.maximum(blocks.jitters[1:], blocks.jitters[:-1])
    is_shifted = np.abs(shifts) > np.maximum(0.5, GAP_IN_JITTERS * jitters)
    edges = np.flatnonzero(np.diff(is_shifted.astype("int8"), prepend=0, append=0))
    for start, stop in edges.reshape(-1, 2):
        size = float(shifts[start:stop].sum())
        near = slice(start, stop + 1)
        if abs(size) > 0.5:
            largest = int(np.abs(blocks.steps[near]).argmax())
            jumps[int(blocks.step_frames[near][largest])] = size
    jitter = float(np.median(blocks.jitters))
    for block in {0, len(blocks.medians) - 2, len(blocks.medians) - 1} - {-1}:
        frame, step = int(blocks.step_frames[block]), float(blocks.steps[block])
        if abs(step) > max(0.5, 2 * GAP_IN_JITTERS * jitter) and frame not in jumps:
            jumps[frame] = step
    return sorted(jumps.items())


def fit_marks(marks: Marks, n_frames: int, sampling_frequency_hz: float) -> SampleTimes | None:
    """Times from a timestamp for each block of samples; None where there are no blocks.

    Parameters
    ----------
    n_frames, sampling_frequency_hz
        as for `fit_timestamps`
    """
    frames, times_s = marks.frames, marks.times_s
    if not len(frames):
        return None
    lengths = np.diff(frames)
    interval_s = 1 / sampling_frequency_hz
    typical = float(np.median(np.diff(times_s) / lengths)) if len(lengths) else interval_s
    is_drift = abs(typical / interval_s - 1) < LARGEST_DRIFT
    if is_drift and not marks.are_counts:  # else most blocks come after a pause
        interval_s = typical
    missing = np.diff(times_s) / interval_s - lengths
    jitter = float(np.median(np.abs(missing - np.median(missing)))) if len(missing) else 0.0
    largest_jitter = min(max(0.5, 2 * GAP_IN_JITTERS * jitter), LARGEST_JITTER_OF_BLOCKS)
    odd = np.flatnonzero(np.abs(missing) > largest_jitter)
    ends_s = times_s[odd] + (lengths[odd] - 1) * interval_s
    last_s = times_s[-1] + (n_frames - 1 - frames[-1]) * interval_s
    all_times = np.concatenate([times_s, ends_s, [last_s]])
    knots, first = np.unique(
        np.concatenate([frames, frames[odd + 1] - 1, [n_frames - 1]]), return_index=True
    )
    return SampleTimes(
        frames=knots.astype("int64"),
        times_s=all_times[first],
        n_frames=n_frames,
        interval_s=interval_s,
        gaps=tuple(
            Gap(
                frame=int(frames[block + 1]),
                begin_s=float(end_s) + interval_s,
                length_s=float(missing[block]) * interval_s,
            )
            for block, end_s in zip(odd, ends_s, strict=True)
        ),
        origin=marks.origin,
    )
