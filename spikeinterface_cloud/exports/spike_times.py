"""From frames of the segments to seconds of the session, by the clock of the recording."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import spikeinterface as si

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """Where each segment of a recording lies in the time of its session."""

    #: as opened: it knows its times, and need not have its samples any more
    recording: si.BaseRecording
    #: of what was sorted, which preprocessing may have resampled, in Hz
    sampling_frequency_hz: float
    #: added to the times that the recording itself gives to each segment, in seconds
    shifts_s: tuple[float, ...]

    def times_s(self, segment: int, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The times of frames of a segment, in seconds."""
        scale = self.recording.sampling_frequency / self.sampling_frequency_hz
        own: npt.NDArray[np.float64] = self._own_times_s(segment, frames * scale)
        return np.asarray(own + self.shifts_s[segment])

    def intervals_s(self) -> list[tuple[float, float]]:
        """The begin and the end of each segment, in seconds."""
        found = []
        for segment, shift in enumerate(self.shifts_s):
            begin, end = _bounds_s(self.recording, segment)
            found.append((begin + shift, end + shift))
        return found

    def _own_times_s(
        self, segment: int, frames: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        if self.recording.has_time_vector(segment_index=segment):
            times = self.recording.get_times(segment_index=segment)
            whole = np.clip(frames.astype("int64"), 0, len(times) - 1)
            begins = np.asarray(times[whole], dtype="float64")
            return np.asarray(begins + (frames - whole) / self.recording.sampling_frequency)
        begin, _ = _bounds_s(self.recording, segment)
        return np.asarray(begin + frames / self.recording.sampling_frequency)


def clock_of(recording: si.BaseRecording, sampling_frequency_hz: float) -> Clock:
    """The clock of a recording; segments that would overlap are laid one after the other.

    Parameters
    ----------
    sampling_frequency_hz
        of what was sorted
    """
    shifts_s: list[float] = []
    last_end_s = -np.inf
    for segment in range(recording.get_num_segments()):
        begin_s, end_s = _bounds_s(recording, segment)
        shift_s = max(last_end_s - begin_s, 0.0) if segment else 0.0
        shifts_s.append(shift_s)
        last_end_s = end_s + shift_s
    if any(shifts_s):
        logger.warning(
            "the %d segments have no times of their own: their spikes are written as if each "
            "began where the one before it ended",
            len(shifts_s),
        )
    return Clock(
        recording=recording,
        sampling_frequency_hz=sampling_frequency_hz,
        shifts_s=tuple(shifts_s),
    )


def _bounds_s(recording: si.BaseRecording, segment: int) -> tuple[float, float]:
    """When a segment begins, and when its last sample is over."""
    begin = float(recording.get_start_time(segment_index=segment))
    last = float(recording.get_end_time(segment_index=segment))
    return begin, last + 1 / recording.sampling_frequency
