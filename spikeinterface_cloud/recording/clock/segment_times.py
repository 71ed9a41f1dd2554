"""The time of each sample of a recording segment, from the file that the segment is read from."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from spikeinterface.core.channelsaggregationrecording import ChannelsAggregationRecordingSegment
from spikeinterface.core.channelslice import ChannelSliceRecordingSegment
from spikeinterface.core.frameslicerecording import FrameSliceRecordingSegment
from spikeinterface.core.segmentutils import (
    ProxyAppendRecordingSegment,
    ProxyConcatenateRecordingSegment,
)
from spikeinterface.preprocessing.basepreprocessor import BasePreprocessorSegment

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.fit import CHUNK_FRAMES, fit_block_times, fit_timestamps
from spikeinterface_cloud.recording.clock.format_timestamps import FileTimes, file_times
from spikeinterface_cloud.recording.clock.sample_times import SampleTimes, cut, evenly_spaced, join
from spikeinterface_cloud.recording.clock.timestamps import BlockTimes, Floats, Timestamps


def sample_times(
    segment: Any, sampling_frequency_hz: float, start: int = 0, stop: int | None = None
) -> SampleTimes:
    """Return the times of a recording segment; timestamps of other frames are not read.

    Parameters
    ----------
    segment
        of a recording that is read from one file, or cut from such a recording
    start, stop
        first frame and end frame
    """
    stop = segment.get_num_samples() if stop is None else stop
    match segment:
        case FrameSliceRecordingSegment():
            start, stop = start + segment.start_frame, stop + segment.start_frame
        case ProxyConcatenateRecordingSegment():
            parts = [sample_times(each, sampling_frequency_hz) for each in segment.parent_segments]
            return cut(join(parts), start, stop)
        case _:
            pass
    parent = _parent(segment)
    if parent is None:
        return _times_of_file(segment, sampling_frequency_hz, start, stop)
    return sample_times(parent, sampling_frequency_hz, start, stop)


def times_of_frames(segment: Any, sampling_frequency_hz: float) -> Callable[[int, int], Floats]:
    """Return a function that gives the times of frames: those in the file, if it has them all.

    It takes the first frame and the end frame, and returns seconds.
    """
    times = sample_times(segment, sampling_frequency_hz)
    source = source_segment(segment)

    def fitted(start: int, stop: int) -> Floats:
        return times.at(np.arange(start, stop))

    if source.get_num_samples() != segment.get_num_samples():
        return fitted
    stored = next(
        (
            each.read
            for each in file_times(source, sampling_frequency_hz)
            if isinstance(each, Timestamps) and each.origin == times.origin
        ),
        None,
    )
    if stored is None:
        return fitted

    def read(start: int, stop: int) -> Floats:
        found = np.asarray(stored(start, stop), dtype="float64")
        return np.concatenate([found, fitted(start + len(found), stop)])

    return read


def source_segment(segment: Any) -> Any:
    """Return the segment that is read from a file, which this one is derived from."""
    while (parent := _parent(segment)) is not None:
        segment = parent
    return segment


def source_frames(segment: Any) -> tuple[Any, int]:
    """Return the segment that is read from a file, and its frame that is this one's first."""
    first = 0
    while (parent := _parent(segment)) is not None:
        if isinstance(segment, FrameSliceRecordingSegment):
            first += segment.start_frame
        segment = parent
    return segment, first


def _parent(segment: Any) -> Any:
    match segment:
        case FrameSliceRecordingSegment() | ChannelSliceRecordingSegment():
            return segment._parent_recording_segment
        case ChannelsAggregationRecordingSegment():
            return segment._parent_segments[0]
        case ProxyAppendRecordingSegment():
            return segment.parent_segment
        case BasePreprocessorSegment():
            return segment.parent_recording_segment
        case _:
            return None


def _times_of_file(segment: Any, rate_hz: float, start: int, stop: int) -> SampleTimes:
    candidates = file_times(segment, rate_hz)
    for candidate in candidates:
        times = _fit(candidate, segment.get_num_samples(), rate_hz, (start, stop))
        if times is not None:
            return times
    # where timestamps are unusable, the start derived from them is too
    begin_s = 0.0 if candidates else float(segment.get_start_time() or 0.0)
    origin = "the start of the segment" if begin_s else None
    return evenly_spaced(begin_s + start / rate_hz, stop - start, 1 / rate_hz, origin)


def _fit(
    times: FileTimes, n_frames: int, rate_hz: float, frames: tuple[int, int]
) -> SampleTimes | None:
    start, stop = frames
    match times:
        case Timestamps():
            chunks = _chunks(times.read, start, stop)
            try:
                fitted = fit_timestamps(chunks, stop - start, rate_hz, times.origin)
            except ValueError as error:
                raise RecordingError(
                    f"the times of the samples are unknown: {error}; {times.remedy}"
                ) from error
            return fitted and replace(fitted, notes=(*fitted.notes, *times.notes))
        case BlockTimes():
            fitted = fit_block_times(times, n_frames, rate_hz)
            return fitted and cut(fitted, start, stop)
        case SampleTimes():
            return cut(times, start, stop)


def _chunks(read: Callable[[int, int], Floats], start: int, stop: int) -> Iterator[Floats]:
    for first in range(start, stop, CHUNK_FRAMES):
        yield read(first, min(first + CHUNK_FRAMES, stop))
