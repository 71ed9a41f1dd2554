"""From a timestamp for each block of samples to times in a compact form."""

import numpy as np

from spikeinterface_cloud.recording.clock.file_timestamps import Floats, Marks
from spikeinterface_cloud.recording.clock.gap_detection import GAP_IN_JITTERS
from spikeinterface_cloud.recording.clock.sample_times import Gap, SampleTimes

#: how much slower or faster a clock may run than the header says
LARGEST_DRIFT = 1e-3

#: by how many samples the times of blocks may jitter: they are rounded to microseconds, or to
#: ticks of a clock that is no slower than the samples
LARGEST_JITTER = 4.0


def fit_marks(marks: Marks, n_frames: int, sampling_frequency_hz: float) -> SampleTimes | None:
    """Times from a timestamp for each block of samples; None where there are no blocks.

    Parameters
    ----------
    n_frames
        of the segment
    sampling_frequency_hz
        as the header says
    """
    if not len(marks.frames):
        return None
    is_last = np.append(np.diff(marks.frames) > 0, True)  # of blocks without samples
    frames, times_s = marks.frames[is_last], marks.times_s[is_last]
    lengths = np.diff(frames)
    interval_s = _interval_s(marks, 1 / sampling_frequency_hz)
    missing = np.diff(times_s) / interval_s - lengths
    odd = np.flatnonzero(np.abs(missing) > _largest_jitter(missing))
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


def _interval_s(marks: Marks, nominal_s: float) -> float:
    """The clock's own interval, unless most blocks come after a pause."""
    lengths = np.diff(marks.frames)
    typical = np.diff(marks.times_s)[lengths > 0] / lengths[lengths > 0]
    if marks.are_counts or not len(typical):
        return nominal_s
    median = float(np.median(typical))
    return median if abs(median / nominal_s - 1) < LARGEST_DRIFT else nominal_s


def _largest_jitter(missing: Floats) -> float:
    """In samples; what is more is a gap."""
    jitter = float(np.median(np.abs(missing - np.median(missing)))) if len(missing) else 0.0
    return min(max(0.5, 2 * GAP_IN_JITTERS * jitter), LARGEST_JITTER)
