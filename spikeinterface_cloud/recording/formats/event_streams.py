"""The files of streams whose events are read besides the recording."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from spikeinterface_cloud.config.artifact_triggers import FORMATS, unknown_stream
from spikeinterface_cloud.recording.formats.session_streams import SessionStream, list_streams
from spikeinterface_cloud.recording.formats.stream_choice import STREAM_PARAMETERS
from spikeinterface_cloud.recording.formats.streams import needed_files


def find_stream(
    data_type: str,
    names: Sequence[PurePosixPath],
    kwargs: Mapping[str, object],
    stream: str,
    folder_name: str = "",
) -> SessionStream:
    """Return the stream of a session that a user named.

    Parameters
    ----------
    names
        the files of the session
    kwargs
        READ_RECORDING_KWARGS of another stream of it
    folder_name
        of the source, where it is a local folder
    """
    common = {name: value for name, value in kwargs.items() if name not in STREAM_PARAMETERS}
    sizes = dict.fromkeys(names, 0)
    found = list_streams(data_type, sizes, common, folder_name=folder_name)
    streams = [*found.auxiliary, *found.sortable]
    for each in streams:
        if each.is_named(stream):
            return each
    raise unknown_stream(stream, [each.folder for each in streams])


def event_files(
    data_type: str,
    names: Sequence[PurePosixPath],
    kwargs: Mapping[str, object],
    streams: Sequence[str],
    folder_name: str = "",
) -> list[PurePosixPath]:
    """Return the files that the events of `streams` are read from; none in a format without them.

    The parameters are `find_stream`'s.
    """
    if data_type not in FORMATS:
        return []
    found = [find_stream(data_type, names, kwargs, each, folder_name) for each in streams]
    return [file for each in found for file in needed_files(data_type, names, each.kwargs)]
