"""Where each segment of a recording lies in the time of its session."""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import CloudJobError, RecordingError
from spikeinterface_cloud.recording.advice import one_line
from spikeinterface_cloud.recording.clock.sample_times import SampleTimes
from spikeinterface_cloud.recording.clock.timestamps import sample_times

#: the clocks that were read, as long as their recordings are there
_known: "WeakKeyDictionary[BaseRecording, Clock]" = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The time of every sample of a recording as it was opened."""

    segments: Sequence[SampleTimes]
    sampling_frequency_hz: float
    #: added to the times of each segment, so that none begins before the one ahead of it ends
    shifts_s: Sequence[float]

    @property
    def begin_s(self) -> float:
        """The time of the first sample."""
        return self.segments[0].begin_s

    def times_s(
        self, segment: int, frames: npt.NDArray[np.int64], sampling_frequency_hz: float
    ) -> npt.NDArray[np.float64]:
        """The times of frames of a segment, in seconds.

        Parameters
        ----------
        sampling_frequency_hz
            of what was sorted, which preprocessing may have resampled
        """
        scale = self.sampling_frequency_hz / sampling_frequency_hz
        return np.asarray(self.segments[segment].at(frames * scale) + self.shifts_s[segment])

    def intervals_s(self) -> list[tuple[float, float]]:
        """The begin and the end of each continuous stretch, in seconds, in the order of time."""
        stretches = sorted(
            (begin + shift, end + shift)
            for segment, shift in zip(self.segments, self.shifts_s, strict=True)
            for begin, end in segment.stretches_s()
        )
        apart = stretches[:1]
        for begin, end in stretches[1:]:
            last_begin, last_end = apart[-1]
            if begin < last_end - 0.5 / self.sampling_frequency_hz:
                apart[-1] = (last_begin, max(last_end, end))
            else:
                apart.append((begin, end))
        return apart


def clock_of(recording: BaseRecording) -> Clock:
    """The clock of a recording; segments that would overlap are laid one after the other.

    The timestamps are read once, and only those of the frames that the recording has.

    Raises
    ------
    RecordingError
        they cannot be read, or are no numbers
    """
    if recording not in _known:
        rate_hz = float(recording.sampling_frequency)
        segments = _read_times(recording, rate_hz)
        _known[recording] = Clock(
            segments=segments,
            sampling_frequency_hz=rate_hz,
            shifts_s=_shifts_s(segments, 0.5 / rate_hz),
        )
    return _known[recording]


def _read_times(recording: BaseRecording, rate_hz: float) -> list[SampleTimes]:
    try:
        return [sample_times(segment, rate_hz) for segment in recording.segments]
    except CloudJobError:
        raise
    except Exception as error:  # of a damaged file, neo, numpy and HDF5 raise anything
        raise RecordingError(
            f"the timestamps of the recording cannot be read: {one_line(error)}; copy its files "
            "again, or export them to another format"
        ) from error


def _shifts_s(segments: Sequence[SampleTimes], tolerance_s: float) -> list[float]:
    shifts_s: list[float] = []
    last_end_s = -np.inf
    for segment in segments:
        ends_s = [end for _, end in segment.stretches_s()]
        begins_s = [begin for begin, _ in segment.stretches_s()]
        overlap_s = last_end_s - min(begins_s)
        shift_s = float(overlap_s) if overlap_s > tolerance_s else 0.0
        shifts_s.append(shift_s)
        last_end_s = max(ends_s) + shift_s
    return shifts_s
