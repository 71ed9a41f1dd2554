"""What a recording says of time: from a segment to the time of each of its samples.

SpikeInterface gives a segment its start and the rate of the header, or the vector of all times.
Most formats say more: counters that jump where samples were lost, or the time of each block.
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import zarr
from spikeinterface.core.binaryrecordingextractor import BinaryRecordingSegment
from spikeinterface.core.channelsaggregationrecording import ChannelsAggregationRecordingSegment
from spikeinterface.core.channelslice import ChannelSliceRecordingSegment
from spikeinterface.core.frameslicerecording import FrameSliceRecordingSegment
from spikeinterface.core.segmentutils import (
    ProxyAppendRecordingSegment,
    ProxyConcatenateRecordingSegment,
)
from spikeinterface.extractors.cbin_ibl import CBinIblRecordingSegment
from spikeinterface.extractors.mcsh5extractors import MCSH5RecordingSegment
from spikeinterface.extractors.neoextractors.neobaseextractor import NeoRecordingSegment
from spikeinterface.extractors.nwbextractors import NwbRecordingSegment, NwbTimeSeriesSegment
from spikeinterface.preprocessing.basepreprocessor import BasePreprocessorSegment

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.file_timestamps import Marks, Timestamps, counted
from spikeinterface_cloud.recording.clock.mark_fit import fit_marks
from spikeinterface_cloud.recording.clock.neo_timestamps import timestamps_of_neo
from spikeinterface_cloud.recording.clock.sample_times import SampleTimes, cut, evenly, join
from spikeinterface_cloud.recording.clock.spikeglx import times_of_meta
from spikeinterface_cloud.recording.clock.timestamp_fit import CHUNK_FRAMES, fit_timestamps


def sample_times(
    segment: Any, sampling_frequency_hz: float, start: int = 0, stop: int | None = None
) -> SampleTimes:
    """The times of a recording segment, from the file that it stands on.

    Parameters
    ----------
    segment
        of any recording that is read, or cut, from one file
    sampling_frequency_hz
        of the recording
    start, stop
        the frames that are asked for; no more timestamps than theirs are read

    Raises
    ------
    RecordingError
        some timestamps are no numbers
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


def has_nwb_timestamps(segment: Any) -> bool:
    """Whether a segment is read from an NWB series with timestamps, in place of a rate."""
    source = source_segment(segment)
    return _of_nwb(_nwb_data(source)) is not None


def source_segment(segment: Any) -> Any:
    """The segment that is read from a file, of which this one is a part."""
    while (parent := _parent(segment)) is not None:
        segment = parent
    return segment


def _parent(segment: Any) -> Any:
    """The segment whose samples these are, or a part of; None of one that is read from a file."""
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
    said = [each for each in _timestamps(segment, rate_hz) if each is not None]
    for each in said:
        times = _fit(each, segment.get_num_samples(), rate_hz, (start, stop))
        if times is not None:
            return times
    # timestamps that say nothing leave no start either
    begin_s = 0.0 if said else float(segment.get_start_time() or 0.0)
    origin = "the start of the segment" if begin_s else None
    return evenly(begin_s + start / rate_hz, stop - start, 1 / rate_hz, origin)


def _fit(
    said: Timestamps | Marks | SampleTimes, n_frames: int, rate_hz: float, wanted: tuple[int, int]
) -> SampleTimes | None:
    start, stop = wanted
    match said:
        case Timestamps():
            chunks = _chunks(said.read, start, stop)
            try:
                times = fit_timestamps(chunks, stop - start, rate_hz, said.origin)
            except ValueError as error:
                raise RecordingError(
                    f"the time of each sample is not known: {error}; repair them, or give a "
                    "start and a rate in their place"
                ) from error
            return None if times is None else times.with_remarks(said.remarks)
        case Marks():
            times = fit_marks(said, n_frames, rate_hz)
            return None if times is None else cut(times, start, stop)
        case SampleTimes():
            return cut(said, start, stop)


def _chunks(
    read: Callable[[int, int], npt.NDArray[np.float64]], start: int, stop: int
) -> Iterator[npt.NDArray[np.float64]]:
    for first in range(start, stop, CHUNK_FRAMES):
        yield read(first, min(first + CHUNK_FRAMES, stop))


def _timestamps(segment: Any, rate_hz: float) -> list[Timestamps | Marks | SampleTimes | None]:
    """What is said of the times, the first that says something counts."""
    vector = Timestamps(origin="the time vector", read=segment.get_times)
    said: list[Timestamps | Marks | SampleTimes | None] = [
        vector if segment.has_time_vector() else None
    ]
    match segment:
        case NwbRecordingSegment() | NwbTimeSeriesSegment():
            said.append(_of_nwb(_nwb_data(segment)))
        case MCSH5RecordingSegment():
            said.append(_of_mcs(segment._stream["ChannelDataTimeStamps"][()]))
        case CBinIblRecordingSegment():
            meta_file = Path(segment._cbuffer.cdata.name).with_suffix(".meta")
            said.append(times_of_meta(meta_file, segment.get_num_samples(), rate_hz))
        case NeoRecordingSegment():
            said.append(timestamps_of_neo(segment, rate_hz))
        case BinaryRecordingSegment():  # of a SpikeGLX probe that neo cannot read
            meta_file = Path(segment.file_path).with_suffix(".meta")
            if meta_file.is_file():
                said.append(times_of_meta(meta_file, segment.get_num_samples(), rate_hz))
    return said


def _nwb_data(segment: Any) -> Any:
    """The samples of a segment that is read from NWB; None of any other."""
    match segment:
        case NwbRecordingSegment():
            return segment.electrical_series_data
        case NwbTimeSeriesSegment():
            return segment.timeseries_data
        case _:
            return None


def _of_nwb(data: Any) -> Timestamps | None:
    series: Any = {}
    if isinstance(data, h5py.Dataset):
        series = data.parent
    elif isinstance(data, zarr.Array):
        group = str(PurePosixPath(data.path).parent)
        series = zarr.open_group(store=data.store, path=group, mode="r")
    if "timestamps" not in series:
        return None
    return counted("timestamps", series["timestamps"], 1.0)


def _of_mcs(rows: npt.NDArray[np.int64]) -> Marks:
    """Each row is the time of a contiguous piece in microseconds, its first and last frame."""
    return Marks(
        origin="ChannelDataTimeStamps",
        frames=rows[:, 1].astype("int64"),
        times_s=rows[:, 0].astype("float64") / 1e6,
    )
