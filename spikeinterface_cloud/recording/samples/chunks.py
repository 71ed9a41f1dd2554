"""Chunks of samples: short ones from all over a recording, or all of them, one at a time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording
from spikeinterface.core.job_tools import TimeSeriesChunkExecutor

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.recording.reader_errors import CHECK_THE_FILE, is_damage

logger = logging.getLogger(__name__)

#: sampled chunks per segment, and their length
N_SAMPLED_CHUNKS = 10
SAMPLED_CHUNK_S = 0.1

#: sampled chunks of all segments together, which are held in memory at once
MOST_CHUNKS = 100

Traces = npt.NDArray[Any]

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Consecutive samples of all channels."""

    segment: int
    start_frame: int
    #: as stored, (frames, channels)
    traces: Traces


def sample_chunks(recording: BaseRecording) -> list[Chunk]:
    """Return chunks that are spread evenly over each segment, or some of very many segments."""
    chunks = []
    n_frames = int(SAMPLED_CHUNK_S * recording.sampling_frequency)
    n_segments = recording.get_num_segments()
    n_sampled = min(n_segments, MOST_CHUNKS // 2)
    n_in_segment = min(N_SAMPLED_CHUNKS, MOST_CHUNKS // n_sampled)
    for segment in np.linspace(0, n_segments - 1, n_sampled).astype(int).tolist():
        last = max(recording.get_num_samples(segment) - n_frames, 0)
        for start in np.unique(np.linspace(0, last, n_in_segment).astype(int)).tolist():
            traces = _read(recording, segment, start, start + n_frames)
            chunks.append(Chunk(segment=segment, start_frame=start, traces=traces))
    return [chunk for chunk in chunks if len(chunk.traces)]


def constant_channels(traces: Traces) -> npt.NDArray[np.bool_]:
    """Mask the channels that are constant in traces of shape (frames, channels)."""
    constant: npt.NDArray[np.bool_] = np.all(traces == traces[:1], axis=0)
    return constant


def map_all_chunks(
    recording: BaseRecording, function: Callable[[Chunk], Result], searched: str, n_jobs: int = 1
) -> list[Result]:
    """Apply `function`, which has to be picklable, to each chunk of the recording, in order.

    Parameters
    ----------
    searched
        what the function looks for, for the log
    n_jobs
        number of processes
    """
    logger.info("checking every sample for %s", searched)
    executor = TimeSeriesChunkExecutor(
        recording,
        _apply,
        _start_worker,
        (recording, function),
        handle_returns=True,
        job_name="check every sample",
        chunk_duration="1s",  # otherwise each segment is read as a whole
        n_jobs=n_jobs,
    )
    try:
        results: list[Result] = executor.run()
    except Exception as error:  # for a damaged file, readers and HDF5 raise anything here too
        raise RecordingError(
            f"the samples cannot all be read: {one_line(error)}; {_remedy(error)}"
        ) from error
    return results


def _remedy(error: Exception) -> str:
    return CHECK_THE_FILE if is_damage(error) else "export the recording again"


def _start_worker(recording: BaseRecording, function: Callable[..., Any]) -> dict[str, Any]:
    return {"recording": recording, "function": function}


def _apply(segment: int, start_frame: int, end_frame: int, worker: dict[str, Any]) -> Any:
    traces = worker["recording"].get_traces(
        segment_index=segment, start_frame=start_frame, end_frame=end_frame
    )
    return worker["function"](Chunk(segment=segment, start_frame=start_frame, traces=traces))


def _read(recording: BaseRecording, segment: int, start_frame: int, end_frame: int) -> Traces:
    try:
        traces: Traces = recording.get_traces(
            segment_index=segment, start_frame=start_frame, end_frame=end_frame
        )
    except Exception as error:  # for a damaged file, readers and HDF5 raise anything here too
        raise RecordingError(
            f"the traces of segment {segment} cannot be read from frame {start_frame} on: "
            f"{one_line(error)}; {_remedy(error)}"
        ) from error
    if traces.shape[1] != recording.get_num_channels():
        raise RecordingError(
            f"the header has {recording.get_num_channels()} channels, but the samples have "
            f"{traces.shape[1]}; check that the header is complete and belongs to this recording"
        )
    return traces
