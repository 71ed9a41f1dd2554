"""Where each segment of a recording lies in the time of its session."""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import CloudJobError, RecordingError
from spikeinterface_cloud.recording.clock.sample_times import SampleTimes
from spikeinterface_cloud.recording.clock.segment_times import sample_times
from spikeinterface_cloud.recording.messages import one_line

_clocks: "WeakKeyDictionary[BaseRecording, Clock]" = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The time of every sample of a recording as it was opened."""

    segments: Sequence[SampleTimes]
    sampling_frequency_hz: float
    #: added to the times of each segment, so that none begins before the previous one ends
    shifts_s: Sequence[float]

    @property
    def begin_s(self) -> float:
        """The time of the first sample."""
        return self.segments[0].begin_s

    def times_s(
        self, segment: int, frames: npt.NDArray[np.int64], sampling_frequency_hz: float
    ) -> npt.NDArray[np.float64]:
        """Return the times of frames of a segment, in seconds.

        Parameters
        ----------
        sampling_frequency_hz
            of the frames, which preprocessing may have resampled
        """
        scale = self.sampling_frequency_hz / sampling_frequency_hz
        return np.asarray(self.segments[segment].at(frames * scale) + self.shifts_s[segment])

    def frames(self, times_s: npt.NDArray[np.float64]) -> list[npt.NDArray[np.int64]]:
        """Return the frames of each segment that were recorded at these times, in order.

        Times at which nothing was recorded have none.
        """
        found = []
        for segment, shift_s in zip(self.segments, self.shifts_s, strict=True):
            wanted_s = np.sort(times_s) - shift_s
            knots = np.append(segment.frames, segment.n_frames - 1)
            frames = np.round(np.interp(wanted_s, segment.at(knots), knots))
            off_s = np.abs(segment.at(frames) - wanted_s)
            found.append(np.unique(frames[off_s < 0.51 * segment.interval_s]).astype("int64"))
        return found

    def intervals_s(self) -> list[tuple[float, float]]:
        """Return start and end of each continuous stretch, in seconds, in order of time."""
        intervals = sorted(
            (begin + shift, end + shift)
            for segment, shift in zip(self.segments, self.shifts_s, strict=True)
            for begin, end in segment.intervals_s()
        )
        merged = intervals[:1]
        for begin, end in intervals[1:]:
            last_begin, last_end = merged[-1]
            if begin < last_end - 0.5 / self.sampling_frequency_hz:
                merged[-1] = (last_begin, max(last_end, end))
            else:
                merged.append((begin, end))
        return merged


def clock_of(recording: BaseRecording) -> Clock:
    """Return the clock of a recording; overlapping segments are shifted one after the other.

    Timestamps are read once per recording object.
    """
    if recording not in _clocks:
        rate_hz = float(recording.sampling_frequency)
        segments = _read_times(recording, rate_hz)
        _clocks[recording] = Clock(
            segments=segments,
            sampling_frequency_hz=rate_hz,
            shifts_s=_shifts_s(segments, 0.5 / rate_hz),
        )
    return _clocks[recording]


def _read_times(recording: BaseRecording, rate_hz: float) -> list[SampleTimes]:
    try:
        return [sample_times(segment, rate_hz) for segment in recording.segments]
    except CloudJobError:
        raise
    except Exception as error:  # for a damaged file, neo, numpy and HDF5 raise anything
        raise RecordingError(
            f"the timestamps of the recording cannot be read: {one_line(error)}; copy its files "
            "again, or export them to another format"
        ) from error


def _shifts_s(segments: Sequence[SampleTimes], tolerance_s: float) -> list[float]:
    shifts_s: list[float] = []
    last_end_s = -np.inf
    for segment in segments:
        begins_s, ends_s = zip(*segment.intervals_s(), strict=True)
        overlap_s = last_end_s - min(begins_s)
        shift_s = float(overlap_s) if overlap_s > tolerance_s else 0.0
        shifts_s.append(shift_s)
        last_end_s = max(ends_s) + shift_s
    return shifts_s
