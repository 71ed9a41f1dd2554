"""The sync line of a stream, from the files that it was recorded to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neo import rawio
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.event_lines import Threshold
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.clock.overlaps import without_repeated_samples
from spikeinterface_cloud.recording.formats.imec import header_files
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.sync.open_ephys_sync import open_ephys_sync
from spikeinterface_cloud.recording.sync.spikeglx_sync import spikeglx_sync
from spikeinterface_cloud.recording.sync.sync_line import SyncLine

#: READ_RECORDING_KWARGS that choose a stream
STREAM_KEYS = ("stream_id", "stream_name", "electrical_series_path")


def find_sync(
    path: Path,
    data_type: str,
    kwargs: Mapping[str, Any],
    line: str | None = None,
    threshold: Threshold | None = None,
) -> SyncLine:
    """Return the edges of a stream's sync line, on the clock of its spike times.

    Where there is no usable line, it has no edges, and says why.

    Parameters
    ----------
    path
        the fetched recording
    data_type
        the reader
    kwargs
        READ_RECORDING_KWARGS, which name the stream
    line
        the sync line, where the files do not say it
    threshold
        of that line, if it is an analog input
    """
    recording = open_recording(path, data_type, kwargs)
    named = next((str(kwargs[key]) for key in STREAM_KEYS if kwargs.get(key) is not None), None)
    name = named or str(recording.get_annotation("stream_name") or data_type)
    if header_files(recording):
        return spikeglx_sync(recording, _without_edges(name, recording), line, threshold)
    if isinstance(getattr(recording, "neo_reader", None), rawio.OpenEphysBinaryRawIO):
        return open_ephys_sync(recording, _without_edges(name, recording), line)
    if data_type == "nwb":
        return _without_edges(name, recording, shared_clock=path.name)
    return _without_edges(
        name, recording, why=f"sync lines are read from SpikeGLX and Open Ephys, not {data_type}"
    )


def _without_edges(
    name: str, recording: BaseRecording, why: str | None = None, shared_clock: str | None = None
) -> SyncLine:
    recording, _ = without_repeated_samples(recording)
    clock = clock_of(recording)
    intervals = clock.intervals_s()
    return SyncLine(
        stream=name,
        sampling_frequency_hz=clock.sampling_frequency_hz,
        start_s=intervals[0][0],
        end_s=intervals[-1][1],
        why=why,
        shared_clock=shared_clock,
    )
