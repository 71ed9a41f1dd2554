"""Samples that are in two segments: the end of one is repeated at the start of the next.

SpikeGLX writes such files where its triggers overlap. The samples would be sorted twice.
"""

from dataclasses import dataclass

import numpy as np
import spikeinterface as si

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.clock.sample_times import SampleTimes
from spikeinterface_cloud.recording.messages import list_first
from spikeinterface_cloud.runtime.logging import counted

#: overlaps are compared in pieces of this length
COMPARED_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Overlap:
    """The last frames of one segment that lie within the next one's time."""

    earlier: int
    later: int
    n_frames: int
    begin_s: float
    length_s: float


def without_repeated_samples(recording: si.BaseRecording) -> tuple[si.BaseRecording, list[str]]:
    """Cut off the end of each segment that the next one repeats, and return a note of it.

    Segments whose times overlap but whose samples differ are kept: their clocks may have restarted.

    SpikeGLX files that overlap according to their headers, but hold different samples, are
    refused.
    """
    if recording.get_num_segments() == 1:
        return recording, []
    segments = clock_of(recording).segments
    stops = [segment.n_frames for segment in segments]
    overlaps, earlier = [], 0
    for later in range(1, len(segments)):
        overlap = _find(segments[earlier], segments[later], (earlier, later))
        if overlap is not None and _is_same(recording, overlap):
            overlaps.append(overlap)
            if overlap.n_frames >= segments[later].n_frames:
                stops[later] = 0
                continue
            stops[earlier] -= overlap.n_frames
        elif overlap is not None and segments[later].origin == "firstSample":
            raise RecordingError(_contradiction(overlap))
        earlier = later
    if not overlaps:
        return recording, []
    return _cut(recording, stops), [_describe(overlaps)]


def _find(earlier: SampleTimes, later: SampleTimes, numbers: tuple[int, int]) -> _Overlap | None:
    """Return the overlap in time, None where it is less than half a sample."""
    length_s = earlier.end_s - later.begin_s
    n_frames = length_s / earlier.interval_s
    if n_frames < 0.5 or later.begin_s - earlier.begin_s < earlier.interval_s / 2:
        return None
    return _Overlap(
        earlier=numbers[0],
        later=numbers[1],
        n_frames=round(n_frames),
        begin_s=later.begin_s,
        length_s=min(length_s, later.end_s - later.begin_s),
    )


def _is_same(recording: si.BaseRecording, overlap: _Overlap) -> bool:
    begin = recording.get_num_samples(overlap.earlier) - overlap.n_frames
    n_frames = min(overlap.n_frames, recording.get_num_samples(overlap.later))
    piece = max(int(COMPARED_S * recording.sampling_frequency), 1)
    if begin < 0:
        return False
    for start in range(0, n_frames, piece):
        stop = min(start + piece, n_frames)
        first = recording.get_traces(
            segment_index=overlap.earlier, start_frame=begin + start, end_frame=begin + stop
        )
        second = recording.get_traces(
            segment_index=overlap.later, start_frame=start, end_frame=stop
        )
        if not np.array_equal(first, second):
            return False
    return True


def _cut(recording: si.BaseRecording, stops: list[int]) -> si.BaseRecording:
    kept = [
        recording.select_segments([segment]).frame_slice(start_frame=0, end_frame=stop)
        for segment, stop in enumerate(stops)
        if stop
    ]
    return kept[0] if len(kept) == 1 else si.append_recordings(kept)


def _describe(overlaps: list[_Overlap]) -> str:
    places = list_first(
        f"{each.length_s:.6g} s at {each.begin_s:.6g} s in segments {each.earlier} and {each.later}"
        for each in overlaps
    )
    total_s = sum(each.length_s for each in overlaps)
    return (
        f"the same samples are in two segments {counted(len(overlaps), 'time')}, {total_s:.6g} s "
        f"in all: {places}; they are sorted once, as part of the later segment"
    )


def _contradiction(overlap: _Overlap) -> str:
    return (
        f"firstSample says that segment {overlap.later} begins at {overlap.begin_s:.6g} s, "
        f"{overlap.length_s:.6g} s before segment {overlap.earlier} ends, but their samples there "
        "differ; correct firstSample in the meta files, or remove one of the two files"
    )
