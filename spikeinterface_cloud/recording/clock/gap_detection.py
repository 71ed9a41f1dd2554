"""Gaps in timestamps, distinguished from jitter and drift by the medians of short blocks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from spikeinterface_cloud.recording.clock.timestamps import Floats, Frames

#: frames of a block; odd, so that no median falls between the times before and after a gap
BLOCK_FRAMES = 63

#: a gap is larger than half a sample, and than this many times the jitter
GAP_IN_JITTERS = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocks:
    """Deviations of short blocks of timestamps from a line without gaps, in samples."""

    medians: Floats
    jitters: Floats
    #: the frame after the largest step
    step_frames: Frames
    steps: Floats


def describe_blocks(
    times: Floats, first_frame: int, line: tuple[float, float], last_s: float | None
) -> Blocks:
    """Return the blocks of a chunk of timestamps.

    Parameters
    ----------
    line
        start and interval, in seconds, of times without any gap
    last_s
        the timestamp before this chunk; None for the first chunk
    """
    begin_s, interval_s = line
    frames = first_frame + np.arange(len(times))
    deviations = (times - begin_s) / interval_s - frames
    before = deviations[0]
    if last_s is not None:
        before = (last_s - begin_s) / interval_s - (first_frame - 1)
    steps = np.diff(deviations, prepend=before)
    n_whole = len(times) // BLOCK_FRAMES * BLOCK_FRAMES
    whole, rest = slice(0, n_whole), slice(n_whole, None)
    parts = [
        _describe(deviations[part].reshape(-1, length), steps[part], frames[part])
        for part, length in ((whole, BLOCK_FRAMES), (rest, len(times) - n_whole))
        if length and len(deviations[part])
    ]
    return concatenate(parts)


def _describe(deviations: Floats, steps: Floats, frames: Frames) -> Blocks:
    """Describe the rows of `deviations`; `steps` and `frames` belong to the same samples."""
    medians = np.median(deviations, axis=1)
    steps, frames = steps.reshape(deviations.shape), frames.reshape(deviations.shape)
    rows, largest = np.arange(len(deviations)), np.abs(steps).argmax(axis=1)
    return Blocks(
        medians=medians,
        jitters=np.median(np.abs(deviations - medians[:, np.newaxis]), axis=1),
        step_frames=frames[rows, largest],
        steps=steps[rows, largest],
    )


def concatenate(blocks: Sequence[Blocks]) -> Blocks:
    """Return the blocks of all chunks."""
    names = [each.name for each in fields(Blocks)]
    return Blocks(**{n: np.concatenate([getattr(each, n) for each in blocks]) for n in names})


def find_jumps(blocks: Blocks) -> list[tuple[int, float]]:
    """Return the first frame after each gap, and the number of samples missing there."""
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
