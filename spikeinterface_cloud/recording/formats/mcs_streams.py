"""Which stream of a Multi Channel Systems HDF5 file is the recording.

SpikeInterface's reader takes the first stream of the first recording, whatever else is there.
"""

from collections.abc import Mapping
from typing import Any

import h5py

from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.formats.stream_choice import Stream, choose_stream

#: parts of a file's only recording
STREAMS = "AnalogStream"


def with_stream(file: h5py.File, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return READ_RECORDING_KWARGS that name the stream to read, by its number.

    Several recordings, or streams that could be the recording, raise `SettingsError`. A file that
    has none is left to the reader.
    """
    recordings = list(file.get("Data", {}))
    if len(recordings) > 1:
        raise SettingsError(
            f"the file holds {len(recordings)} recordings ({', '.join(recordings)}), of which only "
            "the first can be read; export each to a file of its own, and sort them one by one"
        )
    found = file["Data"][recordings[0]].get(STREAMS, {}) if recordings else {}
    streams = [_stream(name, found[name]) for name in found if "ChannelData" in found[name]]
    if len(streams) < 2:
        return dict(kwargs)
    requested = kwargs.get("stream_id")
    wanted = {} if requested is None else {"stream_id": str(requested)}
    return {**kwargs, "stream_id": int(choose_stream(streams, wanted).identifier)}


def _stream(name: str, group: h5py.Group) -> Stream:
    info = group["InfoChannel"][:]
    label = group.attrs.get("Label", name)
    return Stream(
        identifier=name.rpartition("_")[2],
        name=label.decode() if isinstance(label, bytes) else str(label),
        n_channels=len(info),
        sampling_frequency_hz=1e6 / float(info["Tick"][0]),
    )
