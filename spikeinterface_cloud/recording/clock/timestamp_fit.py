"""From the timestamps of a file to times in a compact form.

Timestamps are counts of samples, or seconds with some jitter, and their true rate may differ
from what the header says. What is kept of them differs from each by half a sampling interval at
most; a gap is where the times before and after it lie on different lines.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from spikeinterface_cloud.recording.clock.file_timestamps import Floats, Frames
from spikeinterface_cloud.recording.clock.gap_detection import (
    Blocks,
    concatenate,
    find_jumps,
    in_blocks,
)
from spikeinterface_cloud.recording.clock.sample_times import Gap, SampleTimes

#: frames of a block that one straight line is tried on
LINE_FRAMES = 1008

#: timestamps that are read at once: whole blocks of this length, and of those for the gaps
CHUNK_FRAMES = LINE_FRAMES * 1000

#: where lines last so much longer than short ones, something is missing in most of them
SHORT_LINE_FRAMES = 64
LARGEST_EXCESS = 1.05

#: how far a kept time may be from the timestamp, in sampling intervals
LARGEST_ERROR = 0.5


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
    blocks: list[Blocks] = []
    seen, interval_s, first_s, last_s = 0, 1 / sampling_frequency_hz, 0.0, None
    all_same = True
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
        blocks.append(in_blocks(times, seen, (first_s, interval_s), last_s))
        seen, last_s = seen + len(times), float(times[-1])
        all_same = all_same and bool(np.all(times == first_s))
    if not knots or (seen > 1 and all_same):
        return None
    all_blocks = concatenate(blocks)
    fitted = _with_gaps(
        np.concatenate([frames for frames, _ in knots]),
        np.concatenate([times for _, times in knots]),
        [(frame, size * interval_s) for frame, size in find_jumps(all_blocks)],
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
    """The interval in most lines of the first chunk, whatever is missing in the others.

    Where something is missing in most of them, as between bursts, that of short lines.
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
