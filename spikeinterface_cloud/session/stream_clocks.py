"""The clocks of a session, from what the job of each stream wrote and from streams not sorted."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spikeinterface_cloud.config.event_lines import Line, Threshold
from spikeinterface_cloud.errors import RecordingError, SettingsError, SourceError
from spikeinterface_cloud.recording.formats.session_streams import SessionStream
from spikeinterface_cloud.recording.sync.find_sync import find_sync
from spikeinterface_cloud.recording.sync.sync_line import SyncLine, read_sync_line
from spikeinterface_cloud.results.layout import SYNC
from spikeinterface_cloud.session.clock import SessionClock, align

logger = logging.getLogger(__name__)


def align_streams(
    streams: Sequence[SessionStream],
    read: Callable[[str], bytes | None],
    auxiliary: Mapping[str, SyncLine],
    reference: SessionStream,
) -> SessionClock:
    """Map the clocks of all streams to that of the reference; they are named by their folders.

    Parameters
    ----------
    streams
        those that were sorted
    read
        returns the content of a file in the results of the session, None if it is not there
    auxiliary
        sync lines of the streams that were not sorted
    reference
        one of either
    """
    lines = {stream.folder: _written(stream.folder, read) for stream in streams}
    lines |= auxiliary
    if reference.folder not in lines:
        lines[reference.folder] = _without_line(reference.folder, "it could not be read")
    others = [line for name, line in lines.items() if name != reference.folder]
    return align(lines[reference.folder], others)


def auxiliary_lines(
    path: Path,
    data_type: str,
    streams: Sequence[SessionStream],
    clock_lines: Sequence[str],
    thresholds: Mapping[Line, Threshold],
) -> dict[str, SyncLine]:
    """Return the sync lines of streams that were not sorted, by their folders.

    Parameters
    ----------
    path
        where their files were fetched to
    clock_lines
        CLOCK_LINE
    thresholds
        of analog inputs, by EVENTS
    """
    lines = {}
    for stream in streams:
        try:
            line = find_sync(path, data_type, stream.kwargs, clock_lines, thresholds)
        except (RecordingError, SettingsError, SourceError) as error:
            logger.warning("%s: %s", stream.folder, error)
            lines[stream.folder] = _without_line(stream.folder, " ".join(str(error).split()))
        else:
            lines[stream.folder] = replace(line, stream=stream.folder)
    return lines


def _written(folder: str, read: Callable[[str], bytes | None]) -> SyncLine:
    """Return the sync line that the job of a stream wrote."""
    name = f"{folder}/{SYNC}"
    content = read(name)
    if content is None:
        return _without_line(folder, f"its job left no {name}")
    try:
        return replace(read_sync_line(content, name), stream=folder)
    except SourceError as error:
        return _without_line(folder, str(error))


def _without_line(folder: str, why: str) -> SyncLine:
    return SyncLine(stream=folder, sampling_frequency_hz=1.0, start_s=0.0, end_s=0.0, why=why)
