"""Gaps in the clock of a recording.

A reader that is given the time of every sample takes the rate from the first of them, and counts
on as if nothing were missing; what was lost in between is only seen by looking.
"""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording
from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor, read_file_from_backend

#: times that are read at once
CHUNK_FRAMES = 1_000_000

#: a step this many times the sampling interval has lost a sample
GAP_IN_INTERVALS = 1.5

SHOWN_GAPS = 3


def find_gaps(recording: BaseRecording) -> list[str]:
    """A warning for each segment in whose times something is missing, or runs backwards."""
    warnings = []
    interval_s = 1 / recording.sampling_frequency
    for segment in range(recording.get_num_segments()):
        n_frames = recording.get_num_samples(segment)
        where_s, lengths_s = _gaps(_times(recording, segment), n_frames, interval_s)
        if len(where_s):
            kept = recording.has_time_vector(segment_index=segment)
            warnings.append(_describe(segment, where_s, lengths_s, kept=kept))
    return warnings


def _describe(segment: int, where_s: list[float], lengths_s: list[float], *, kept: bool) -> str:
    shown = zip(where_s[:SHOWN_GAPS], lengths_s[:SHOWN_GAPS], strict=True)
    places = ", ".join(f"{length:.6g} s at {where:.6g} s" for where, length in shown)
    more = f" and {len(where_s) - SHOWN_GAPS} more" if len(where_s) > SHOWN_GAPS else ""
    advice = (
        "spike times follow the file's own times"
        if kept
        else "spike times are counted as if nothing were missing; "
        'READ_RECORDING_KWARGS={"load_time_vector": true} follows the file\'s own times'
    )
    return (
        f"the times of segment {segment} have {len(where_s)} gaps, {sum(lengths_s):.6g} s in all: "
        f"{places}{more}; {advice}"
    )


def _gaps(
    times: Iterator[npt.NDArray[np.float64]], n_frames: int, interval_s: float
) -> tuple[list[float], list[float]]:
    """Where, and how long, time is missing; a negative length is a clock that ran backwards."""
    where: list[float] = []
    lengths: list[float] = []
    seen = 0
    previous = np.empty(0)
    for chunk in times:
        joined = np.concatenate([previous, chunk[: n_frames - seen]])
        steps = np.diff(joined)
        odd = np.flatnonzero((steps > GAP_IN_INTERVALS * interval_s) | (steps <= 0))
        where += joined[odd].tolist()
        lengths += (steps[odd] - interval_s).tolist()
        seen += len(chunk)
        previous = joined[-1:]
        if seen >= n_frames:
            break
    return where, lengths


def _times(recording: BaseRecording, segment: int) -> Iterator[npt.NDArray[np.float64]]:
    """The time of every sample, in chunks; nothing when the recording has a rate instead."""
    if recording.has_time_vector(segment_index=segment):
        n_frames = recording.get_num_samples(segment)
        for start in range(0, n_frames, CHUNK_FRAMES):
            end = min(start + CHUNK_FRAMES, n_frames)
            yield recording.get_times(segment_index=segment, start_frame=start, end_frame=end)
        return
    source: Any = recording
    while source.get_parent() is not None:
        source = source.get_parent()
    if not isinstance(source, NwbRecordingExtractor):
        return
    file = read_file_from_backend(file_path=source.file_path, stream_mode=source.stream_mode)
    series = file[source.electrical_series_path]
    if "timestamps" in series:
        for start in range(0, series["timestamps"].shape[0], CHUNK_FRAMES):
            yield np.asarray(series["timestamps"][start : start + CHUNK_FRAMES], dtype="float64")
    if isinstance(file, h5py.File):
        file.close()
