"""The timestamps that files hold, by format.

SpikeInterface gives a segment its start and the rate of the header, or a vector of all times. Most
formats hold more: counters that jump where samples were lost, or the time of each block.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import zarr
from neo import rawio
from probeinterface.neuropixels_tools import parse_spikeglx_meta
from spikeinterface.core.binaryrecordingextractor import BinaryRecordingSegment
from spikeinterface.extractors.mcsh5extractors import MCSH5RecordingSegment
from spikeinterface.extractors.neoextractors.neobaseextractor import NeoRecordingSegment
from spikeinterface.extractors.nwbextractors import NwbRecordingSegment, NwbTimeSeriesSegment

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.sample_times import SampleTimes, evenly_spaced
from spikeinterface_cloud.recording.clock.timestamps import (
    CORRECT,
    BlockTimes,
    Floats,
    Timestamps,
    from_counts,
)
from spikeinterface_cloud.recording.formats.mtscomp_recording import MtscompSegment

FileTimes = Timestamps | BlockTimes | SampleTimes

#: samples of a record in Neuralynx files
NEURALYNX_RECORD = 512

#: the time that Open Ephys gives samples before their stream is synchronized
NOT_SYNCHRONIZED = -1.0


def file_times(segment: Any, rate_hz: float) -> list[FileTimes]:
    """Return all timestamps of a segment that is read from a file, the ones to prefer first."""
    remedy = CORRECT
    if isinstance(segment, NeoRecordingSegment):
        remedy = "leave load_sync_timestamps out of READ_RECORDING_KWARGS"
    vector = Timestamps(origin="the time vector", read=segment.get_times, remedy=remedy)
    times: list[FileTimes | None] = [vector if segment.has_time_vector() else None]
    match segment:
        case NwbRecordingSegment() | NwbTimeSeriesSegment():
            times.append(_nwb(segment))
        case MCSH5RecordingSegment():
            times.append(_mcs(segment._stream["ChannelDataTimeStamps"][()]))
        case MtscompSegment():
            times.append(_spikeglx(segment, segment.meta_path, rate_hz))
        case NeoRecordingSegment():
            times.append(_neo(segment, rate_hz))
        case BinaryRecordingSegment():  # of a SpikeGLX probe that neo cannot read
            file = Path(segment.file_path)
            if file.with_suffix(".meta").is_file():
                times.append(_spikeglx(segment, file, rate_hz))
    return [each for each in times if each is not None]


def has_nwb_timestamps(segment: Any) -> bool:
    """Return whether a segment is read from an NWB series with timestamps instead of a rate."""
    return isinstance(segment, NwbRecordingSegment | NwbTimeSeriesSegment) and (
        _nwb(segment) is not None
    )


def _nwb(segment: Any) -> Timestamps | None:
    is_series = isinstance(segment, NwbRecordingSegment)
    data = segment.electrical_series_data if is_series else segment.timeseries_data
    opened = getattr(getattr(segment.parent_extractor, "_reader", None), "series", None)
    series: Any = {}
    if isinstance(opened, h5py.Group):  # its traces may be linked from another file
        series = opened
    elif isinstance(data, h5py.Dataset):
        series = data.parent
    elif isinstance(data, zarr.Array):
        group = str(PurePosixPath(data.path).parent)
        series = zarr.open_group(store=data.store, path=group, mode="r")
    if "timestamps" not in series:
        return None
    return replace(from_counts("timestamps", series["timestamps"], 1.0), remedy=CORRECT)


def _mcs(rows: npt.NDArray[np.int64]) -> BlockTimes:
    """Each row is the time of a contiguous piece in microseconds, its first and last frame."""
    return BlockTimes(
        origin="ChannelDataTimeStamps",
        frames=rows[:, 1].astype("int64"),
        times_s=rows[:, 0].astype("float64") / 1e6,
    )


def _spikeglx(segment: Any, file: Path, rate_hz: float) -> SampleTimes | None:
    # neo leaves out lines with more than one equals sign, such as command lines
    meta = parse_spikeglx_meta(file.with_suffix(".meta"))
    if "firstSample" not in meta:
        return None
    begin_s = float(meta["firstSample"]) / rate_hz
    n_frames, notes = segment.get_num_samples(), _catgt_notes(meta)
    return evenly_spaced(begin_s, n_frames, 1 / rate_hz, "firstSample", notes)


def _catgt_notes(meta: Mapping[str, str]) -> list[str]:
    """CatGT joins several files, and fills gaps with zeros, or only the first part of each."""
    n_files, command = meta.get("catNFiles", "1"), meta.get("catGTCmdline0", "")
    if n_files == "1" and "-supercat" not in command:
        return []
    note = f"CatGT joined {n_files} files, with zeros where samples are missing between them"
    if limit := re.search(r"-zerofillmax=(\d+)", command):
        note += f", but for {limit[1]} ms at most: after a longer gap, spike times are too early"
    if "-supercat" in command:
        note += "; where it joined several runs, only the first is on its own clock"
    return [note]


# ----- formats that neo reads --------------------------------------------------------------------
# neo's own times are a start and the rate of the header, and for some formats not even the start.


def _neo(segment: Any, rate_hz: float) -> FileTimes | None:
    reader = segment.neo_reader
    match reader:
        case rawio.SpikeGLXRawIO():
            name = str(reader.header["signal_streams"]["name"][segment.stream_index])
            info = reader.signals_info_dict[segment.segment_index, name.removesuffix("-SYNC")]
            return _spikeglx(segment, Path(info["meta_file"]), rate_hz)
        case rawio.OpenEphysBinaryRawIO():
            return _open_ephys(segment, rate_hz)
        case rawio.OpenEphysRawIO():
            return _open_ephys_legacy(segment, rate_hz)
        case rawio.IntanRawIO():
            counts = reader.get_intan_timestamps()
            fits = len(counts) == segment.get_num_samples()
            return from_counts("Intan's timestamps", counts, rate_hz) if fits else None
        case rawio.NeuralynxRawIO():
            return _neuralynx(segment)
        case rawio.BlackrockRawIO():
            return _blackrock(segment)
        case rawio.PlexonRawIO():
            return _plexon(segment)
        case rawio.NeuroExplorerRawIO():
            return _neuroexplorer(segment)
        case rawio.TdtRawIO():
            return _tdt(segment)
        case rawio.MaxwellRawIO():
            traces = reader.h5_file[neo_buffer(segment)["hdf5_path"]]
            numbers = traces.parent.get("frame_nos")
            return None if numbers is None else from_counts("frame_nos", numbers, rate_hz)
        case rawio.SpikeGadgetsRawIO():
            return _spikegadgets(segment, rate_hz)
        case rawio.NeuroNexusRawIO():
            return from_counts("timestamp.xdat", reader._timestamps, rate_hz)
        case _:
            return None


def _open_ephys(segment: Any, rate_hz: float) -> Timestamps | None:
    """Until GUI 0.6, timestamps.npy held the sample numbers; since then it holds seconds."""
    folder = Path(neo_buffer(segment)["file_path"]).parent
    numbers, seconds = folder / "sample_numbers.npy", folder / "timestamps.npy"
    if not numbers.is_file():
        numbers, seconds = seconds, folder / "synchronized_timestamps.npy"
    if not numbers.is_file():
        return None
    counts = np.load(numbers, mmap_mode="r")
    if counts.dtype.kind not in "iu":
        return from_counts(numbers.name, counts, 1.0)
    synchronized = np.load(seconds, mmap_mode="r") if seconds.is_file() else np.empty(0)
    notes = _synchronization_notes(counts, synchronized, rate_hz)
    return from_counts(numbers.name, counts, rate_hz, tuple(notes))


def _synchronization_notes(
    counts: npt.NDArray[np.integer[Any]], seconds: Floats, rate_hz: float
) -> list[str]:
    if not len(seconds) or len(seconds) != len(counts) or seconds[0] == seconds[-1]:
        return []
    if seconds[0] == NOT_SYNCHRONIZED:
        return []
    ends = [0, len(counts) - 1]
    off_s = np.asarray(seconds[ends] - counts[ends] / rate_hz)
    if (np.abs(off_s) * rate_hz < 1).all():
        return []
    return [
        f"the GUI also saved synchronized times, which differ by {off_s[0]:.6g} s at the start and "
        f"{off_s[1]:.6g} s at the end; to use them, set "
        'READ_RECORDING_KWARGS={"load_sync_timestamps": true}'
    ]


def _open_ephys_legacy(segment: Any, rate_hz: float) -> SampleTimes:
    """Files with gaps are refused, so all follows from the first record."""
    records = segment.neo_reader._sigs_memmap[segment.segment_index][_first_channel(segment)]
    begin_s, n_frames = int(records["timestamp"][0]) / rate_hz, segment.get_num_samples()
    return evenly_spaced(begin_s, n_frames, 1 / rate_hz, "timestamps")


def _neuralynx(segment: Any) -> BlockTimes:
    reader = segment.neo_reader
    channel = reader.header["signal_channels"][_first_channel(segment)]
    records = reader._sigs_memmaps[segment.segment_index][channel["name"], channel["id"]]
    partial = np.flatnonzero(records["nb_valid"][:-1] != NEURALYNX_RECORD)
    if len(partial):
        raise RecordingError(
            f"{len(partial)} records within segment {segment.segment_index} are not full (the "
            f"first is record {partial[0]}), and the reader (neo) returns their unused part as "
            "samples; export the recording to another format with Neuralynx's own programs"
        )
    return BlockTimes(
        origin="the timestamps of the records",
        frames=np.arange(len(records)) * NEURALYNX_RECORD,
        times_s=records["timestamp"].astype("float64") / 1e6,
    )


def _blackrock(segment: Any) -> Timestamps | None:
    """With the Precision Time Protocol each sample has a time, otherwise each segment."""
    reader, place = segment.neo_reader, (segment.block_index, segment.segment_index)
    number = int(reader.header["signal_streams"]["id"][segment.stream_index])
    if "timestamps_memmap_kwargs" not in reader._nsx_data_header[number][place[1]]:
        return None

    def read(start: int, stop: int) -> Floats:
        times: Floats = reader._get_blackrock_timestamps(*place, start, stop, segment.stream_index)
        return times

    return Timestamps(origin="PTP timestamps", read=read)


def _plexon(segment: Any) -> BlockTimes:
    """Each fragment has a timestamp; neo concatenates them."""
    fragments = plexon_fragments(segment)
    lengths = fragments["size"] // 2
    return BlockTimes(
        origin="the timestamps of the fragments",
        frames=np.cumsum(lengths) - lengths,
        times_s=fragments["timestamp"] / float(segment.neo_reader._global_ssampling_rate),
        are_counts=True,
    )


def plexon_fragments(segment: Any) -> npt.NDArray[Any]:
    """Return neo's list of the fragments of the stream's first channel."""
    header = segment.neo_reader.header
    channel = header["signal_channels"]["id"][_first_channel(segment)]
    fragments: npt.NDArray[Any] = segment.neo_reader._data_blocks[5][np.int32(channel)]
    return fragments


def _neuroexplorer(segment: Any) -> BlockTimes:
    """Each fragment has a timestamp and its first sample; neo concatenates them."""
    reader = segment.neo_reader
    channel = int(reader.header["signal_channels"]["id"][_first_channel(segment)])
    entity = reader._entity_headers[channel]
    n_fragments, offset = int(entity["n"]), int(entity["offset"])
    counts = np.frombuffer(reader._memmap, "<i4", 2 * n_fragments, offset)
    return BlockTimes(
        origin="the timestamps of the fragments",
        frames=counts[n_fragments:].astype("int64"),
        times_s=counts[:n_fragments] / float(reader.global_header["freq"]),
        are_counts=True,
    )


def _tdt(segment: Any) -> BlockTimes:
    """Count the times of blocks from the start of the first segment."""
    reader = segment.neo_reader
    blocks = reader._sigs_index[segment.segment_index][_first_channel(segment)]
    n_points = int(reader._sig_sample_per_chunk[segment.stream_index])
    begin_s = float(reader._global_t_start)  # NaN where the file does not say
    return BlockTimes(
        origin="the timestamps of the blocks",
        frames=np.arange(len(blocks)) * n_points,
        times_s=blocks["timestamp"].astype("float64") - (begin_s if begin_s > 0 else 0.0),
    )


def _spikegadgets(segment: Any, rate_hz: float) -> Timestamps:
    reader = segment.neo_reader
    columns = slice(reader._timestamp_byte, reader._timestamp_byte + 4)

    def read(start: int, stop: int) -> Floats:
        stamps = np.ascontiguousarray(reader._raw_memmap[start:stop, columns]).view("<u4")
        return np.asarray(stamps[:, 0].astype("float64") / rate_hz)

    return Timestamps(origin="the timestamps of the packets", read=read)


def neo_buffer(segment: Any) -> Mapping[str, Any]:
    """Return neo's description of where in the file the traces are."""
    reader = segment.neo_reader
    buffer: Mapping[str, Any] = reader.get_analogsignal_buffer_description(
        segment.block_index,
        segment.segment_index,
        str(reader.header["signal_streams"]["buffer_id"][segment.stream_index]),
    )
    return buffer


def _first_channel(segment: Any) -> int:
    """Return the index of the stream's first channel among those of all streams."""
    header = segment.neo_reader.header
    stream_id = header["signal_streams"]["id"][segment.stream_index]
    return int(np.flatnonzero(header["signal_channels"]["stream_id"] == stream_id)[0])
