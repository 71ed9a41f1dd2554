"""Which stream of a Multi Channel Systems HDF5 file is the recording, and its gains.

SpikeInterface's reader takes the first stream of the first recording, whatever else is there, and
the gain of the first channel for all.
"""

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.stream_choice import Stream, choose_stream

#: parts of a file's only recording
STREAMS = "AnalogStream"

#: of a stream: its contiguous pieces
TIMES = "ChannelDataTimeStamps"


def with_stream(file: h5py.File, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return READ_RECORDING_KWARGS that name the stream to read, by its number.

    Several recordings, or streams that could be the recording, raise `SettingsError`, and times
    that SpikeInterface refuses `RecordingError`. A file that has none is left to the reader.
    """
    recordings = list(file.get("Data", {}))
    if len(recordings) > 1:
        raise SettingsError(
            f"the file holds {len(recordings)} recordings ({', '.join(recordings)}), of which only "
            "the first can be read; export each to a file of its own, and sort them one by one"
        )
    found = file["Data"][recordings[0]].get(STREAMS, {}) if recordings else {}
    streams = [_stream(name, found[name]) for name in found if "ChannelData" in found[name]]
    requested = kwargs.get("stream_id")
    wanted = {} if requested is None else {"stream_id": str(requested)}
    if len(streams) > 1:
        kwargs = {**kwargs, "stream_id": int(choose_stream(streams, wanted).identifier)}
    read = found.get(f"Stream_{kwargs.get('stream_id', 0)}")
    if read is not None and TIMES in read:
        _refuse_late_begin(read[TIMES][()])
    return dict(kwargs)


def _refuse_late_begin(pieces: npt.NDArray[np.int64]) -> None:
    """Refuse pieces (time in us, first and last frame) of which the first begins too late.

    SpikeInterface compares the time with the number of the last frame.
    """
    begin_us, _, last = map(int, pieces[0])
    if begin_us and begin_us >= last:
        raise RecordingError(
            f"the recording begins at {begin_us / 1e6:g} s ({TIMES}), which SpikeInterface's "
            "reader refuses; export it from its start, so that its times begin at 0"
        )


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
