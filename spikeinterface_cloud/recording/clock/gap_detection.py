"""Gaps in timestamps, told from jitter and drift by the medians of short blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeinterface_cloud.recording.clock.file_timestamps import Floats, Frames

#: frames of a block whose median shows on which line it lies: odd, so that no median falls
#: between the times before a gap and those after it
BLOCK_FRAMES = 63

#: a gap is larger than half a sample, and than this many times the jitter
GAP_IN_JITTERS = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocks:
    """Short blocks of timestamps: where each lies, and its largest step, in samples."""

    medians: Floats
    jitters: Floats
    #: the frame after the largest step
    step_frames: Frames
    steps: Floats


def in_blocks(
    times: Floats, first_frame: int, line: tuple[float, float], last_s: float | None
) -> Blocks:
    """The blocks of a chunk of timestamps.

    Parameters
    ----------
    line
        the begin and the interval, in seconds, of times without any gap
    last_s
        the time before the first of these; None of the first chunk
    """
    begin_s, interval_s = line
    frames = first_frame + np.arange(len(times))
    off = (times - begin_s) / interval_s - frames
    steps = np.diff(off, prepend=off[0] if last_s is None else _off(last_s, line, first_frame - 1))
    n_whole = len(times) // BLOCK_FRAMES * BLOCK_FRAMES
    whole, rest = slice(0, n_whole), slice(n_whole, None)
    parts = [
        _describe_blocks(off[part].reshape(-1, length), steps[part], frames[part])
        for part, length in ((whole, BLOCK_FRAMES), (rest, len(times) - n_whole))
        if length and len(off[part])
    ]
    return concatenate(parts)


def _off(time_s: float, line: tuple[float, float], frame: int) -> float:
    begin_s, interval_s = line
    return (time_s - begin_s) / interval_s - frame


def _describe_blocks(off: Floats, steps: Floats, frames: Frames) -> Blocks:
    """Of each row of `off`, with the steps and frames that belong to its samples."""
    medians = np.median(off, axis=1)
    steps, frames = steps.reshape(off.shape), frames.reshape(off.shape)
    rows, largest = np.arange(len(off)), np.abs(steps).argmax(axis=1)
    return Blocks(
        medians=medians,
        jitters=np.median(np.abs(off - medians[:, np.newaxis]), axis=1),
        step_frames=frames[rows, largest],
        steps=steps[rows, largest],
    )


def concatenate(blocks: Sequence[Blocks]) -> Blocks:
    """The blocks of all chunks."""
    return Blocks(
        medians=np.concatenate([each.medians for each in blocks]),
        jitters=np.concatenate([each.jitters for each in blocks]),
        step_frames=np.concatenate([each.step_frames for each in blocks]),
        steps=np.concatenate([each.steps for each in blocks]),
    )


def find_jumps(blocks: Blocks) -> list[tuple[int, float]]:
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
