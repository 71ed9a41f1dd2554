"""Layout of an electrical series in NWB, and unique names for its channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording
from spikeinterface.core.channelslice import ChannelSliceRecordingSegment
from spikeinterface.extractors.nwbextractors import read_file_from_backend

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.formats.hdf5 import check_all_written, check_codecs
from spikeinterface_cloud.recording.formats.nwb_items import referenced
from spikeinterface_cloud.recording.formats.rates import rates_differ
from spikeinterface_cloud.recording.messages import add_note

#: part of the width and length of a probe that may be lost in depth, as of one that is tilted
NEGLIGIBLE_DEPTH = 0.05

#: the ids of the electrodes of a series, None where it names none
ElectrodeIds = npt.NDArray[Any] | None


class RenamedChannels(BaseRecording):  # type: ignore[misc]
    """A recording with other channel ids, for one whose ids are not unique.

    SpikeInterface's own renaming looks channels up by their ids.
    """

    def __init__(self, recording: BaseRecording, channel_ids: list[Any]) -> None:
        """Rename the channels of `recording`, in order."""
        super().__init__(
            sampling_frequency=recording.sampling_frequency,
            channel_ids=channel_ids,
            dtype=recording.dtype,
        )
        for segment in recording.segments:
            indices = np.arange(len(channel_ids))
            self.add_recording_segment(ChannelSliceRecordingSegment(segment, indices))
        self._parent = recording
        recording.copy_metadata(self)
        if recording.has_probe():
            groups = recording.get_channel_groups()
            self.set_probegroup(recording.get_probegroup(), check_overlap=False)
            self.set_channel_groups(groups)
        self._kwargs = {"recording": recording, "channel_ids": channel_ids}


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedSeries:
    """What the reader of a series does not find out by itself."""

    electrode_ids: ElectrodeIds
    #: parameters of the reader
    kwargs: Mapping[str, bool]


def check_series(
    path: Path | str, series_path: str, stream_mode: str | None = None
) -> CheckedSeries:
    """Check the series at `series_path`, and return its electrodes and how it has to be read."""
    file = read_file_from_backend(file_path=path, stream_mode=stream_mode)
    try:
        series = file[series_path]
        if isinstance(file, h5py.File):
            name = str(path).partition("?")[0].rpartition("/")[2]
            check_codecs(file, name, series_path)
            if stream_mode is None and isinstance(series["data"], h5py.Dataset):
                check_all_written(series["data"], name)
        rows = series["electrodes"][:] if "electrodes" in series else None
        if rows is not None:
            _check_shape(series_path, tuple(series["data"].shape), len(rows))
        _check_rate(series_path, series)
        has_conversion = "conversion" in series["data"].attrs
        if not has_conversion and not isinstance(file, h5py.File):
            raise RecordingError(
                f"the data of {series_path} have no attribute `conversion`; write NWB's default, "
                "1.0, or the volts of a step into their .zattrs (and into .zmetadata)"
            )
        return CheckedSeries(
            electrode_ids=_electrode_ids(file, series, rows),
            # which alone knows the default; in Zarr, it would load pickled objects
            kwargs={} if has_conversion else {"use_pynwb": True},
        )
    finally:
        if hasattr(file, "close"):  # a Zarr group has nothing to close
            file.close()


def with_unique_ids(recording: BaseRecording, ids: ElectrodeIds) -> BaseRecording:
    """Replace channel names that are not unique by the ids of the electrodes.

    The names stay a property, `channel_name`. Where the ids repeat as well, the recording is
    returned unchanged, and refused by `check_recording`.
    """
    names = recording.channel_ids
    if len(np.unique(names)) == len(names) or ids is None or len(np.unique(ids)) < len(names):
        return recording
    renamed = RenamedChannels(recording, ids.tolist())
    renamed.set_property("channel_name", np.asarray(names).astype(str))
    add_note(
        renamed, "the channel names are not unique: the ids of the electrodes are used instead"
    )
    return renamed


def refuse_lost_depths(recording: Any) -> None:
    """Raise `RecordingError` if contacts of a probe differ in rel_z, which the reader ignores."""
    reader = recording._reader
    positions = reader.locations()
    if positions is None or positions.shape[1] < 3:
        return
    groups = reader.groups()
    for name in [None] if groups is None else np.unique(groups):
        extents = np.ptp(positions if name is None else positions[groups == name], axis=0)
        if extents[2] > NEGLIGIBLE_DEPTH * extents[:2].max():
            where = "" if name is None else f" of {name}"
            raise RecordingError(
                f"the electrodes{where} differ in rel_z, and sorters use rel_x and rel_y only; "
                "give the probe as PROBE_FILE, in two dimensions, across and along the shank, or "
                "write these into rel_x and rel_y"
            )


def keep_gains_of_series(recording: Any) -> None:
    """Undo what the columns `gain_to_uV` and `offset_to_uV` of the electrodes have replaced.

    One table serves every series of a file, so the numbers of the series itself are right, unless
    it has none: then its conversion is 1.
    """
    reader = recording._reader
    gain = np.asarray(reader.gain_to_volts(), dtype="float64")
    if np.all(gain == 1):
        return
    of_series = {
        "gain_to_uV": gain * 1e6,
        "offset_to_uV": np.multiply(reader.offset_to_volts(), 1e6),
    }
    for name, values in of_series.items():
        if name in reader.column_names:
            column = np.asarray(recording.get_property(name), dtype="float64")
            recording.set_property(name, np.broadcast_to(values, column.shape).astype("float64"))
            if not np.allclose(column, values):
                add_note(
                    recording,
                    f"the column {name} of the electrodes differs from the conversion of the "
                    "series, which is used",
                )


def _check_shape(series_path: str, shape: tuple[int, ...], n_electrodes: int) -> None:
    n_columns = shape[1] if len(shape) > 1 else 1
    if n_columns == n_electrodes or not shape:
        return
    if len(shape) == 2 and shape[0] == n_electrodes:
        raise RecordingError(
            f"the data of {series_path} are transposed: they have {shape[0]} rows and {shape[1]} "
            f"columns for {n_electrodes} electrodes, but NWB has a row for each sample and a "
            "column for each electrode; write the series again with data.T"
        )
    raise RecordingError(
        f"the data of {series_path} have the shape {'x'.join(map(str, shape))}, but the series "
        f"names {n_electrodes} electrodes; write it again with a column for each electrode"
    )


def _check_rate(series_path: str, series: Mapping[str, Any]) -> None:
    """Compare the rate of a series with its timestamps, where it has both."""
    if "starting_time" not in series or "timestamps" not in series:
        return
    stamps = series["timestamps"]
    rate = float(series["starting_time"].attrs["rate"])
    n_intervals = min(int(stamps.shape[0]), 100_000) - 1
    duration_s = float(stamps[n_intervals] - stamps[0]) if n_intervals > 0 else 0.0
    if duration_s <= 0:
        return
    implied = n_intervals / duration_s
    if rates_differ(rate, implied):
        raise RecordingError(
            f"{series_path} has a rate of {rate:g} Hz, but its timestamps imply {implied:g} Hz; "
            "write it again with only the correct one of them"
        )


def _electrode_ids(file: Any, series: Any, rows: npt.NDArray[Any] | None) -> ElectrodeIds:
    if rows is None or "table" not in series["electrodes"].attrs:
        return None
    table = referenced(file, series["electrodes"].attrs["table"])
    if table.name is None:  # only this reference leads to it, so its links were not checked
        raise RecordingError(
            "the table of electrodes has no place in the file, only a reference; export it again"
        )
    ids = np.asarray(table["id"][:])
    return ids[rows] if len(rows) and rows.max() < len(ids) and rows.min() >= 0 else None
