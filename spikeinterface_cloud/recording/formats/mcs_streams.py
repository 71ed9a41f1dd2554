"""Which stream of a Multi Channel Systems HDF5 file is the recording, and its gains.

SpikeInterface's reader takes the first stream of the first recording, whatever else is there, and
the gain of the first channel for all.
"""

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError, SettingsError
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


def correct_gains(recording: BaseRecording) -> None:
    """Give each channel its own gain and offset; `RecordingError` if they are not in their rows.

    A sample is (number - ADZero) * ConversionFactor * 10^Exponent volts.
    """
    source = recording._kwargs
    with h5py.File(source["file_path"]) as file:
        streams = file["Data/Recording_0"][STREAMS]
        info = streams[f"Stream_{source['stream_id']}"]["InfoChannel"][:]
    if "RowIndex" in info.dtype.names and np.any(info["RowIndex"] != np.arange(len(info))):
        raise RecordingError(
            "the channels of InfoChannel are in another order than the rows of samples (RowIndex), "
            "which the reader (SpikeInterface) does not follow; write the samples to a raw file "
            "with McsPyDataTools, and sort it with DATA_TYPE=binary"
        )
    gains = 1e6 * info["ConversionFactor"] * 10.0 ** info["Exponent"]
    recording.set_channel_gains(gains)
    recording.set_channel_offsets(-info["ADZero"] * gains)


def _stream(name: str, group: h5py.Group) -> Stream:
    info = group["InfoChannel"][:]
    label = group.attrs.get("Label", name)
    return Stream(
        identifier=name.rpartition("_")[2],
        name=label.decode() if isinstance(label, bytes) else str(label),
        n_channels=len(info),
        sampling_frequency_hz=1e6 / float(info["Tick"][0]),
    )
