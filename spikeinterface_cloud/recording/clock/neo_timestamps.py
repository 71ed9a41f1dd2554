"""The timestamps in the files that neo reads.

neo's own times are a start and the rate of the header, and for some formats not even the start:
what it keeps of the file besides is taken from here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from neo import rawio

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.file_timestamps import Marks, Timestamps, counted
from spikeinterface_cloud.recording.clock.sample_times import Gap, SampleTimes, evenly
from spikeinterface_cloud.recording.clock.spikeglx import times_of_meta

#: samples of a record in the files of Neuralynx, and of Open Ephys' older format
NEURALYNX_RECORD = 512
OPEN_EPHYS_RECORD = 1024


def timestamps_of_neo(segment: Any, rate_hz: float) -> Timestamps | Marks | SampleTimes | None:
    """What the file of a `NeoRecordingSegment` says of time; None where that is no more than
    the segment's own start."""
    reader = segment.neo_reader
    match reader:
        case rawio.SpikeGLXRawIO():
            return _of_spikeglx(segment, rate_hz)
        case rawio.OpenEphysBinaryRawIO():
            return _of_open_ephys(segment, rate_hz)
        case rawio.OpenEphysRawIO():
            return _of_open_ephys_legacy(segment, rate_hz)
        case rawio.IntanRawIO():
            counts = reader.get_intan_timestamps()
            fits = len(counts) == segment.get_num_samples()
            return counted("Intan's timestamps", counts, rate_hz) if fits else None
        case rawio.NeuralynxRawIO():
            return _of_neuralynx(segment)
        case rawio.BlackrockRawIO():
            return _of_blackrock(segment)
        case rawio.PlexonRawIO():
            return _of_plexon(segment)
        case rawio.TdtRawIO():
            return _of_tdt(segment)
        case rawio.MaxwellRawIO():
            return _of_maxwell(segment, rate_hz)
        case rawio.SpikeGadgetsRawIO():
            return _of_spikegadgets(segment, rate_hz)
        case rawio.NeuroNexusRawIO():
            return counted("timestamp.xdat", reader._timestamps, rate_hz)
        case _:
            return None


def _of_spikeglx(segment: Any, rate_hz: float) -> SampleTimes | None:
    reader = segment.neo_reader
    name = str(reader.header["signal_streams"]["name"][segment.stream_index])
    info = reader.signals_info_dict[segment.segment_index, name.removesuffix("-SYNC")]
    return times_of_meta(Path(info["meta_file"]), segment.get_num_samples(), rate_hz)


def _of_open_ephys(segment: Any, rate_hz: float) -> Timestamps | None:
    """Sample numbers, which the GUI kept as `timestamps.npy` until 0.6; then these are seconds."""
    folder = Path(_buffer(segment)["file_path"]).parent
    numbers, seconds = folder / "sample_numbers.npy", folder / "timestamps.npy"
    if not numbers.is_file():
        numbers, seconds = seconds, folder / "synchronized_timestamps.npy"
    if not numbers.is_file():
        return None
    counts = np.load(numbers, mmap_mode="r")
    if counts.dtype.kind not in "iu":
        return counted(numbers.name, counts, 1.0)
    synchronized = np.load(seconds, mmap_mode="r") if seconds.is_file() else np.empty(0)
    remarks = _remarks_on_synchronization(counts, synchronized, rate_hz)
    return counted(numbers.name, counts, rate_hz, tuple(remarks))


def _remarks_on_synchronization(
    counts: npt.NDArray[np.integer[Any]], seconds: npt.NDArray[np.float64], rate_hz: float
) -> list[str]:
    """Other times for the same samples, which SpikeInterface takes only when it is asked to."""
    if not len(seconds) or len(seconds) != len(counts) or seconds[0] == seconds[-1]:
        return []
    ends = [0, len(counts) - 1]
    off_s = np.asarray(seconds[ends] - counts[ends] / rate_hz)
    if (np.abs(off_s) * rate_hz < 1).all():
        return []
    return [
        f"the GUI's synchronized times differ by {off_s[0]:.6g} s at its start and "
        f"{off_s[1]:.6g} s at its end; "
        'READ_RECORDING_KWARGS={"load_sync_timestamps": true} follows these'
    ]


def _of_open_ephys_legacy(segment: Any, rate_hz: float) -> SampleTimes:
    """neo counts the frames that are missing, and gives zeros for them."""
    records = segment.neo_reader._sigs_memmap[segment.segment_index][_first_channel(segment)]
    numbers = records["timestamp"].astype("int64")
    jumps = np.flatnonzero(np.diff(numbers) != OPEN_EPHYS_RECORD)
    times = evenly(numbers[0] / rate_hz, segment.get_num_samples(), 1 / rate_hz, "timestamps")
    gaps = [
        Gap(
            frame=int(numbers[record + 1] - numbers[0]),
            begin_s=float(numbers[record] + OPEN_EPHYS_RECORD) / rate_hz,
            length_s=float(numbers[record + 1] - numbers[record] - OPEN_EPHYS_RECORD) / rate_hz,
            is_filled=True,
        )
        for record in jumps
    ]
    return times.with_gaps(gaps)


def _of_neuralynx(segment: Any) -> Marks:
    """The time of each record in microseconds.

    Raises
    ------
    RecordingError
        a record within the segment is not full, and neo takes all of it for samples
    """
    reader = segment.neo_reader
    channel = reader.header["signal_channels"][_first_channel(segment)]
    records = reader._sigs_memmaps[segment.segment_index][channel["name"], channel["id"]]
    partial = np.flatnonzero(records["nb_valid"][:-1] != NEURALYNX_RECORD)
    if len(partial):
        raise RecordingError(
            f"{len(partial)} records within segment {segment.segment_index} are not full (the "
            f"first is record {partial[0]}), and the reader (neo) takes what else is in them for "
            "samples: export the recording to another format with Neuralynx' own programs"
        )
    return Marks(
        origin="the timestamps of the records",
        frames=np.arange(len(records)) * NEURALYNX_RECORD,
        times_s=records["timestamp"].astype("float64") / 1e6,
    )


def _of_blackrock(segment: Any) -> Timestamps | None:
    """Precision Time Protocol gives each sample its time, other files each segment."""
    reader, place = segment.neo_reader, (segment.block_index, segment.segment_index)
    number = int(reader.header["signal_streams"]["id"][segment.stream_index])
    if "timestamps_memmap_kwargs" not in reader._nsx_data_header[number][place[1]]:
        return None

    def read(start: int, stop: int) -> npt.NDArray[np.float64]:
        times: npt.NDArray[np.float64] = reader._get_blackrock_timestamps(
            *place, start, stop, segment.stream_index
        )
        return times

    return Timestamps(origin="PTP timestamps", read=read)


def _of_plexon(segment: Any) -> Marks:
    """Each fragment has a timestamp; neo puts one after the other."""
    reader = segment.neo_reader
    fragments = plexon_fragments(segment)
    lengths = fragments["size"] // 2
    return Marks(
        origin="the timestamps of the fragments",
        frames=np.cumsum(lengths) - lengths,
        times_s=fragments["timestamp"] / float(reader._global_ssampling_rate),
        are_counts=True,
    )


def plexon_fragments(segment: Any) -> npt.NDArray[Any]:
    """neo's list of the fragments of the stream's first channel."""
    header = segment.neo_reader.header
    channel = header["signal_channels"]["id"][_first_channel(segment)]
    fragments: npt.NDArray[Any] = segment.neo_reader._data_blocks[5][np.int32(channel)]
    return fragments


def _of_tdt(segment: Any) -> Marks:
    """The time of each block of samples, counted from the start of the first segment."""
    reader = segment.neo_reader
    blocks = reader._sigs_index[segment.segment_index][_first_channel(segment)]
    n_points = int(reader._sig_sample_per_chunk[segment.stream_index])
    begin_s = float(reader._global_t_start)  # NaN where the file does not say
    return Marks(
        origin="the timestamps of the blocks",
        frames=np.arange(len(blocks)) * n_points,
        times_s=blocks["timestamp"].astype("float64") - (begin_s if begin_s > 0 else 0.0),
    )


def _of_maxwell(segment: Any, rate_hz: float) -> Timestamps | None:
    """Frame numbers beside the traces."""
    traces = segment.neo_reader.h5_file[_buffer(segment)["hdf5_path"]]
    numbers = traces.parent.get("frame_nos")
    return None if numbers is None else counted("frame_nos", numbers, rate_hz)


def _of_spikegadgets(segment: Any, rate_hz: float) -> Timestamps:
    reader = segment.neo_reader
    columns = slice(reader._timestamp_byte, reader._timestamp_byte + 4)

    def read(start: int, stop: int) -> npt.NDArray[np.float64]:
        stamps = np.ascontiguousarray(reader._raw_memmap[start:stop, columns]).view("<u4")
        return np.asarray(stamps[:, 0].astype("float64") / rate_hz)

    return Timestamps(origin="the timestamps of the packets", read=read)


def _buffer(segment: Any) -> Mapping[str, Any]:
    """Where in the file the traces are."""
    reader = segment.neo_reader
    buffer: Mapping[str, Any] = reader.get_analogsignal_buffer_description(
        segment.block_index,
        segment.segment_index,
        str(reader.header["signal_streams"]["buffer_id"][segment.stream_index]),
    )
    return buffer


def _first_channel(segment: Any) -> int:
    """The index of the stream's first channel among those of all streams."""
    header = segment.neo_reader.header
    stream_id = header["signal_streams"]["id"][segment.stream_index]
    return int(np.flatnonzero(header["signal_channels"]["stream_id"] == stream_id)[0])
