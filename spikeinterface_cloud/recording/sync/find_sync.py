"""The sync line of a stream, from the files that it was recorded to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neo import rawio
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.event_lines import Line, Threshold, clock_line_of
from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.clock.overlaps import without_repeated_samples
from spikeinterface_cloud.recording.formats.imec import header_files
from spikeinterface_cloud.recording.formats.stream_choice import requested_stream
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.sync.open_ephys_sync import open_ephys_sync
from spikeinterface_cloud.recording.sync.spikeglx_sync import spikeglx_sync
from spikeinterface_cloud.recording.sync.sync_line import SyncLine


def find_sync(
    path: Path,
    data_type: str,
    kwargs: Mapping[str, Any],
    clock_lines: Sequence[str] = (),
    thresholds: Mapping[Line, Threshold] | None = None,
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
    clock_lines
        CLOCK_LINE: the sync lines of streams whose files do not say it
    thresholds
        of analog inputs, by EVENTS
    """
    recording = open_recording(path, data_type, kwargs)
    named = [*requested_stream(kwargs).values()]
    name = str(named[0] if named else recording.get_annotation("stream_name") or data_type)
    base = _without_edges(name, recording)
    line = clock_line_of(clock_lines, name)
    threshold = None
    if line is not None:
        named_so = (each for each in thresholds or {} if clock_line_of([str(each)], name) == line)
        threshold = next(((thresholds or {})[each] for each in named_so), None)
    try:
        if header_files(recording):
            return spikeglx_sync(recording, base, line, threshold)
        if isinstance(getattr(recording, "neo_reader", None), rawio.OpenEphysBinaryRawIO):
            return open_ephys_sync(recording, base, line)
    except (RecordingError, SettingsError) as error:  # units can be found without it
        return replace(base, why=str(error))
    if data_type == "nwb":
        return replace(base, shared_clock=path.name)
    return replace(base, why=f"sync lines are read from SpikeGLX and Open Ephys, not {data_type}")


def _without_edges(name: str, recording: BaseRecording) -> SyncLine:
    recording, _ = without_repeated_samples(recording)
    clock = clock_of(recording)
    intervals = clock.intervals_s()
    return SyncLine(
        stream=name,
        sampling_frequency_hz=clock.sampling_frequency_hz,
        start_s=intervals[0][0],
        end_s=intervals[-1][1],
    )
