"""Fit `SampleTimes` to the timestamps of a file.

Timestamps are sample counts, or seconds with some jitter, and their true rate may differ from that
of the header. Fitted times differ from the timestamps by half a sampling interval at most.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from spikeinterface_cloud.recording.clock.gap_detection import (
    GAP_IN_JITTERS,
    Blocks,
    concatenate,
    describe_blocks,
    find_jumps,
)
from spikeinterface_cloud.recording.clock.sample_times import Gap, SampleTimes
from spikeinterface_cloud.recording.clock.timestamps import BlockTimes, Floats, Frames

#: frames of a block that one straight line is tried on
LINE_FRAMES = 1008

#: timestamps that are read at once: a multiple of LINE_FRAMES and of gap_detection.BLOCK_FRAMES
CHUNK_FRAMES = LINE_FRAMES * 1000

#: if lines last longer than short ones by more than this factor, most of them have a gap
SHORT_LINE_FRAMES = 64
LARGEST_EXCESS = 1.05

#: how far a fitted time may be from its timestamp, in sampling intervals
LARGEST_ERROR = 0.5

#: relative difference between the rate of block times and that of the header
LARGEST_DRIFT = 1e-3

#: jitter of block times, in samples: they are rounded to microseconds, or to ticks of a clock that
#: is no slower than the samples
LARGEST_JITTER = 4.0

#: for how long timestamps may stand still, or jitter: a little longer than those of whole seconds
COARSEST_S = 1.2

#: for how many of its steps a clock may stand still, and for how long in any case
STILL_STEPS, STILL_S = 4, 0.1


def fit_timestamps(
    chunks: Iterable[Floats], n_frames: int, sampling_frequency_hz: float, origin: str
) -> SampleTimes | None:
    """Fit the timestamp of every sample.

    Timestamps that are NaN or infinite, stand still, or are in no order raise `ValueError`.

    Parameters
    ----------
    chunks
        of `CHUNK_FRAMES` timestamps each, in seconds
    n_frames
        of the segment; where timestamps are missing at the end, times continue evenly
    sampling_frequency_hz
        from the header
    origin
        the name of the timestamps in the file

    Returns
    -------
    SampleTimes or None
        None where there are no timestamps, or all are the same
    """
    knots: list[tuple[Frames, Floats]] = []
    blocks: list[Blocks] = []
    n_read, interval_s, first_s, last_s = 0, 1 / sampling_frequency_hz, 0.0, None
    all_same = True
    still = _LongestStill()
    for chunk in chunks:
        times = np.asarray(chunk[: n_frames - n_read], dtype="float64")
        if not len(times):
            break
        if not np.isfinite(times).all():
            n_bad = np.count_nonzero(~np.isfinite(times))
            raise ValueError(f"{n_bad} timestamps are NaN or infinite")
        if not n_read:
            first_s, interval_s = float(times[0]), _typical_interval(times, interval_s)
        if not interval_s > 0:
            return None
        frames = _knots(times, interval_s)
        knots.append((frames + n_read, times[frames]))
        blocks.append(describe_blocks(times, n_read, (first_s, interval_s), last_s))
        still.add(times, n_read, last_s)
        n_read, last_s = n_read + len(times), float(times[-1])
        all_same = all_same and bool(np.all(times == first_s))
    if not knots or (n_read > 1 and all_same):
        return None
    if still.n_frames > still.most_frames(sampling_frequency_hz):
        raise ValueError(f"{still.n_frames} samples from {still.frame} on have the same timestamp")
    return _sample_times(knots, concatenate(blocks), n_frames, interval_s, origin)


class _LongestStill:
    """The longest run of samples with the same timestamp."""

    def __init__(self) -> None:
        self.frame, self.n_frames = 0, 0
        self._begin = self._end = self._n_runs = 0

    def most_frames(self, rate_hz: float) -> float:
        """Return how long a run may be where timestamps are as coarse as these."""
        usual = STILL_STEPS * self._end / max(self._n_runs, 1)
        return min(COARSEST_S * rate_hz, max(usual, STILL_S * rate_hz))

    def add(self, times: Floats, first_frame: int, last_s: float | None) -> None:
        """Add a chunk; `last_s` is the timestamp before it, None for the first chunk."""
        before = np.nan if last_s is None else last_s
        changes = first_frame + np.flatnonzero(np.diff(times, prepend=before))
        edges = np.concatenate([[self._begin], changes, [first_frame + len(times)]])
        longest = int(np.diff(edges).argmax())
        if (n_frames := int(edges[longest + 1] - edges[longest])) > self.n_frames:
            self.frame, self.n_frames = int(edges[longest]), n_frames
        self._begin, self._end = int(edges[-2]), int(edges[-1])
        self._n_runs += len(changes)


def _sample_times(
    knots: list[tuple[Frames, Floats]],
    blocks: Blocks,
    n_frames: int,
    interval_s: float,
    origin: str,
) -> SampleTimes:
    frames, times_s = (np.concatenate(part) for part in zip(*knots, strict=True))
    jitter_s = float(np.median(blocks.jitters)) * interval_s
    if jitter_s > COARSEST_S:
        raise ValueError(f"the timestamps are in no order: they jitter by {jitter_s:.3g} s")
    notes = tuple(_notes(n_frames - 1 - int(frames[-1]), jitter_s, interval_s))
    jumps = [(frame, size * interval_s) for frame, size in find_jumps(blocks)]
    if n_steps := int(frames[-1]):
        missing_s = sum(length_s for _, length_s in jumps)
        interval_s = float(times_s[-1] - times_s[0] - missing_s) / n_steps
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
        notes=notes,
    )


def _notes(n_missing: int, jitter_s: float, interval_s: float) -> Iterator[str]:
    if n_missing:
        yield (
            f"the timestamps end {n_missing} samples before the traces; from there on, times "
            "continue at the sampling rate"
        )
    if jitter_s > LARGEST_ERROR * interval_s:
        yield f"the timestamps jitter by {jitter_s:.3g} s, and so do the spike times"


def _typical_interval(times: Floats, nominal_s: float) -> float:
    """Return the interval in most lines of the first chunk, whatever is missing in the others.

    Where something is missing in most lines, as between bursts, short lines are used.
    """
    if len(times) < LINE_FRAMES:
        return nominal_s
    long_s = float(np.median(_durations_s(times, LINE_FRAMES))) / (LINE_FRAMES - 1)
    short = _durations_s(times, SHORT_LINE_FRAMES)
    # the mean, as rounded timestamps make a short line last a few steps of their own
    short = short[(short >= 0) & (short <= 1.5 * np.median(short))]
    short_s = float(short.mean()) / (SHORT_LINE_FRAMES - 1) if short.size else long_s
    typical = short_s if long_s > LARGEST_EXCESS * short_s else long_s
    return typical if typical > 0 else nominal_s


def _durations_s(times: Floats, n_frames: int) -> Floats:
    n_lines = len(times) // n_frames
    lines = times[: n_lines * n_frames].reshape(n_lines, n_frames)
    return np.asarray(lines[:, -1] - lines[:, 0])


def _knots(times: Floats, interval_s: float) -> Frames:
    """Return the frames whose times are kept."""
    tolerance_s = LARGEST_ERROR * interval_s
    n_blocks = len(times) // LINE_FRAMES
    blocks = times[: n_blocks * LINE_FRAMES].reshape(n_blocks, LINE_FRAMES)
    ramp = np.arange(LINE_FRAMES) / (LINE_FRAMES - 1)
    lines = blocks[:, :1] + (blocks[:, -1:] - blocks[:, :1]) * ramp
    is_line = np.abs(blocks - lines).max(axis=1, initial=0.0) <= tolerance_s
    starts = np.arange(n_blocks) * LINE_FRAMES
    knots = [starts[is_line], starts[is_line] + LINE_FRAMES - 1]
    for start in starts[~is_line]:
        knots.append(start + _knots_of_block(times[start : start + LINE_FRAMES], interval_s))
    rest = times[n_blocks * LINE_FRAMES :]
    if len(rest):
        knots.append(n_blocks * LINE_FRAMES + _knots_of_block(rest, interval_s))
    return np.sort(np.concatenate(knots)).astype("int64")


def _knots_of_block(times: Floats, interval_s: float) -> Frames:
    """Return its ends and both sides of each jump, or every frame where that is not enough."""
    frames = np.arange(len(times))
    steps = np.flatnonzero(np.abs(np.diff(times) - interval_s) > LARGEST_ERROR * interval_s)
    knots = np.unique(np.concatenate([[0], steps, steps + 1, [len(times) - 1]])).astype("int64")
    errors_s = np.abs(np.interp(frames, knots, times[knots]) - times)
    return knots if errors_s.max() <= LARGEST_ERROR * interval_s else frames


def fit_block_times(
    blocks: BlockTimes, n_frames: int, sampling_frequency_hz: float
) -> SampleTimes | None:
    """Fit a timestamp for each block of samples; return None where there are no blocks.

    Parameters
    ----------
    n_frames
        of the segment
    sampling_frequency_hz
        from the header
    """
    if not len(blocks.frames):
        return None
    is_last = np.append(np.diff(blocks.frames) > 0, True)  # of blocks without samples
    frames, times_s = blocks.frames[is_last], blocks.times_s[is_last]
    lengths = np.diff(frames)
    interval_s = _block_interval(blocks, 1 / sampling_frequency_hz)
    missing = np.diff(times_s) / interval_s - lengths
    jitter = float(np.median(np.abs(missing - np.median(missing)))) if len(missing) else 0.0
    largest_jitter = min(max(0.5, 2 * GAP_IN_JITTERS * jitter), LARGEST_JITTER)
    before_gap = np.flatnonzero(np.abs(missing) > largest_jitter)
    ends_s = times_s[before_gap] + (lengths[before_gap] - 1) * interval_s
    last_s = times_s[-1] + (n_frames - 1 - frames[-1]) * interval_s
    all_times = np.concatenate([times_s, ends_s, [last_s]])
    knots, first = np.unique(
        np.concatenate([frames, frames[before_gap + 1] - 1, [n_frames - 1]]), return_index=True
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
            for block, end_s in zip(before_gap, ends_s, strict=True)
        ),
        origin=blocks.origin,
    )


def _block_interval(blocks: BlockTimes, nominal_s: float) -> float:
    """Return the clock's own interval, or the nominal one where most blocks follow a pause."""
    lengths = np.diff(blocks.frames)
    typical = np.diff(blocks.times_s)[lengths > 0] / lengths[lengths > 0]
    if blocks.are_counts or not len(typical):
        return nominal_s
    median = float(np.median(typical))
    return median if abs(median / nominal_s - 1) < LARGEST_DRIFT else nominal_s
