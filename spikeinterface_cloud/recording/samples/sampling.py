"""The samples of a recording: short chunks from all over it, or all of them, a chunk at a time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording
from spikeinterface.core.job_tools import TimeSeriesChunkExecutor

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.advice import CHECK_THE_FILE, is_damage, one_line

logger = logging.getLogger(__name__)

#: chunks that are looked at, evenly spread over each segment, and their length
N_SAMPLED_CHUNKS = 10
SAMPLED_CHUNK_S = 0.1

#: chunks of all segments together, which are held in memory at once
MOST_CHUNKS = 100

Traces = npt.NDArray[Any]

Seen = TypeVar("Seen")


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledChunk:
    """Consecutive samples of all channels."""

    segment: int
    start_frame: int
    #: as stored, (frames, channels)
    traces: Traces


def sample(recording: BaseRecording) -> list[SampledChunk]:
    """Chunks that are evenly spread over each segment; `RecordingError` if one cannot be read.

    Of very many segments some are looked at, evenly spread too.
    """
    chunks = []
    n_frames = int(SAMPLED_CHUNK_S * recording.sampling_frequency)
    n_segments = recording.get_num_segments()
    n_sampled = min(n_segments, MOST_CHUNKS // 2)
    n_in_segment = min(N_SAMPLED_CHUNKS, MOST_CHUNKS // n_sampled)
    for segment in np.linspace(0, n_segments - 1, n_sampled).astype(int).tolist():
        last = max(recording.get_num_samples(segment) - n_frames, 0)
        for start in np.unique(np.linspace(0, last, n_in_segment).astype(int)).tolist():
            traces = _read(recording, segment, start, start + n_frames)
            chunks.append(SampledChunk(segment=segment, start_frame=start, traces=traces))
    return chunks


def look_at_all(
    recording: BaseRecording, look: Callable[[SampledChunk], Seen], reason: str
) -> list[Seen]:
    """What `look`, a function of a module, sees in each chunk of the whole recording, in order.

    Raises `RecordingError` if a chunk cannot be read.
    """
    logger.info("looking at every sample: %s", reason)
    executor = TimeSeriesChunkExecutor(
        recording,
        _look_at_chunk,
        _start_worker,
        (recording, look),
        handle_returns=True,
        job_name="look at every sample",
        chunk_duration="1s",  # else each segment is read as a whole
        n_jobs=1,
    )
    try:
        seen: list[Seen] = executor.run()
    except Exception as error:  # of a damaged file, readers and HDF5 raise anything here too
        raise RecordingError(
            f"the samples cannot all be read: {one_line(error)}; {_remedy(error)}"
        ) from error
    return seen


def _remedy(error: Exception) -> str:
    return CHECK_THE_FILE if is_damage(error) else "export the recording again"


def _start_worker(recording: BaseRecording, look: Callable[..., Any]) -> dict[str, Any]:
    return {"recording": recording, "look": look}


def _look_at_chunk(segment: int, start_frame: int, end_frame: int, worker: dict[str, Any]) -> Any:
    traces = worker["recording"].get_traces(
        segment_index=segment, start_frame=start_frame, end_frame=end_frame
    )
    return worker["look"](SampledChunk(segment=segment, start_frame=start_frame, traces=traces))


def _read(recording: BaseRecording, segment: int, start_frame: int, end_frame: int) -> Traces:
    try:
        traces: Traces = recording.get_traces(
            segment_index=segment, start_frame=start_frame, end_frame=end_frame
        )
    except Exception as error:  # of a damaged file, readers and HDF5 raise anything here too
        raise RecordingError(
            f"the traces of segment {segment} cannot be read from frame {start_frame} on: "
            f"{one_line(error)}; {_remedy(error)}"
        ) from error
    if traces.shape[1] != recording.get_num_channels():
        raise RecordingError(
            f"the header tells of {recording.get_num_channels()} channels and the samples of "
            f"{traces.shape[1]}; check that the header is whole and of this recording"
        )
    return traces
