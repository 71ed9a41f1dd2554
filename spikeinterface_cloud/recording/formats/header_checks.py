"""Whether the files of a recording are as long, and sampled as fast, as their headers say.

Most readers take the length of the file for the length of the recording, and its rate from the
header, without comparing either.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.format_timestamps import NEURALYNX_RECORD
from spikeinterface_cloud.recording.formats.axona_files import check_tetrodes
from spikeinterface_cloud.recording.formats.intan_files import check_intan_files
from spikeinterface_cloud.recording.formats.intan_session import check_session
from spikeinterface_cloud.recording.formats.open_ephys_files import check_open_ephys
from spikeinterface_cloud.recording.formats.rates import RATE_TOLERANCE, rates_differ
from spikeinterface_cloud.recording.formats.readers import Reader
from spikeinterface_cloud.recording.formats.record_checks import (
    NCS_HEADER_BYTES,
    NCS_RECORD,
    check_neuralynx_records,
    check_tdt_files,
)
from spikeinterface_cloud.recording.formats.zarr_chunks import check_chunks
from spikeinterface_cloud.runtime.logging import format_bytes

#: keys of the rate in a SpikeGLX meta file: of a probe, of NI-DAQ, and of a OneBox
SPIKEGLX_RATES = ("imSampRate", "niSampRate", "obSampRate")

#: durations are written with few digits
ROUNDING_S = 0.05

#: records of a Neuralynx file that are compared
N_RECORDS = 10_000


def check_headers(reader: Reader, recording: Any, n_frames: int | None = None) -> None:
    """Compare the files of a recording with their headers.

    Of Zarr, only the chunks of the first `n_frames` are looked at, if not all are wanted.
    """
    match reader.name:
        case "spikeglx":
            stream = str(recording.stream_id)
            for info in recording.neo_reader.signals_info_list:
                if info["stream_name"] == stream:
                    check_spikeglx_file(Path(info["bin_file"]), info["meta"], info["num_chan"])
        case "openephys":
            check_open_ephys(recording, n_frames)
        case "axona":
            check_tetrodes(recording.neo_reader)
        case "intan":
            check_intan_files(recording.neo_reader)
        case "zarr":
            n_segments = recording.get_num_segments() if n_frames is None else 1
            for segment in range(n_segments):
                check_chunks(recording._root[f"traces_seg{segment}"], n_frames)
        case "zarr_array":
            check_chunks(recording._root, n_frames)
        case "neuroscope":
            neo_reader = recording.neo_reader
            frame_bytes = 2 * recording.get_num_channels()
            header = Path(neo_reader.xml_file_path).name
            _check_whole_frames(Path(neo_reader.data_file_path), frame_bytes, header)
        case "neuralynx":
            folder = Path(recording._kwargs["folder_path"])
            _check_neuralynx_rate(folder, float(recording.sampling_frequency))
            check_neuralynx_records(folder, recording._kwargs.get("exclude_filename"))
        case "tdt":
            check_tdt_files(Path(recording._kwargs["folder_path"]))
        case "binary" | "whitematter":
            described = recording.get_binary_description()
            dtype, n_channels = np.dtype(described["dtype"]), described["num_channels"]
            layout = f"{n_channels} channels of {dtype}"
            frame_bytes, offset = dtype.itemsize * n_channels, described["file_offset"]
            for file in described["file_paths"]:
                _check_whole_frames(Path(file), frame_bytes, layout, offset)
        case "split_intan_files":
            check_session(recording, recording._kwargs["mode"])


def check_spikeglx_file(file: Path, meta: Mapping[str, str], n_channels: int) -> None:
    """Compare a SpikeGLX binary file with its meta file."""
    if "fileSizeBytes" not in meta:
        return
    size, expected = file.stat().st_size, int(meta["fileSizeBytes"])
    if size > expected:
        raise RecordingError(
            f"{file.name} has {size - expected} bytes more than the {expected} of its meta file: "
            "something was appended, or the meta file belongs to another recording; copy both "
            "again from the acquisition computer, or correct fileSizeBytes and fileTimeSecs in "
            "the meta file if the file is right"
        )
    if size < expected or size % (2 * n_channels):
        raise RecordingError(
            f"{file.name} is truncated: it has {format_bytes(size)} ({size} bytes) where its "
            f"meta file says {format_bytes(expected)} ({expected} bytes, {n_channels} channels); "
            "copy it again from the acquisition computer, or correct fileSizeBytes and "
            "fileTimeSecs in the meta file if it was cut on purpose"
        )
    header_rate = next((meta[name] for name in SPIKEGLX_RATES if name in meta), None)
    if header_rate is None or "fileTimeSecs" not in meta:
        return
    rate, duration_s = float(header_rate), float(meta["fileTimeSecs"])
    n_samples = expected / (2 * n_channels)
    if duration_s <= 0 or rate <= 0 or n_samples <= 0:
        return
    expected_s = n_samples / rate
    if abs(expected_s - duration_s) > RATE_TOLERANCE * duration_s + ROUNDING_S:
        raise RecordingError(
            f"the meta file of {file.name} contradicts itself: {n_samples:.0f} samples at "
            f"{rate:g} Hz last {expected_s:.6g} s, but fileTimeSecs is {duration_s:.6g} s, "
            f"which implies {n_samples / duration_s:.6g} Hz; replace it with the meta file that "
            "belongs to this file, or correct it"
        )


def _check_whole_frames(file: Path, frame_bytes: int, layout: str, offset: int = 0) -> None:
    """Refuse a file without a whole number of frames after `offset` bytes."""
    size = file.stat().st_size - offset
    if size % frame_bytes:
        raise RecordingError(
            f"{file.name} has {size} bytes of samples, not a multiple of the {frame_bytes} bytes "
            f"of one sample of all channels ({layout}): the number of channels is wrong, or the "
            "file was cut; correct the number, or copy the file again"
        )


def _check_neuralynx_rate(folder: Path, rate_hz: float) -> None:
    """Refuse a rate that no .ncs file has; neo splits a segment at each unexpected timestamp."""
    rates = [_rate_of_records(file) for file in sorted(folder.glob("*.[nN][cC][sS]"))]
    implied = sorted({round(rate, 1) for rate in rates if rate is not None})
    if implied and all(rates_differ(rate_hz, rate) for rate in implied):
        listing = ", ".join(f"{round(rate, -1):g}" for rate in implied)
        raise RecordingError(
            f"the headers of the .ncs files say {rate_hz:g} Hz, but the timestamps of their "
            f"records imply {listing} Hz; correct SamplingFrequency in the headers, or export the "
            "files again"
        )


def _rate_of_records(file: Path) -> float | None:
    n_records = (file.stat().st_size - NCS_HEADER_BYTES) // NCS_RECORD.itemsize
    if n_records < 2:
        return None
    records = np.memmap(
        file, NCS_RECORD, mode="r", offset=NCS_HEADER_BYTES, shape=(min(n_records, N_RECORDS),)
    )
    steps_us = np.diff(records["timestamp"].astype("int64"))
    full = steps_us[(steps_us > 0) & (records["nb_valid"][:-1] == NEURALYNX_RECORD)]
    return float(NEURALYNX_RECORD / np.median(full) * 1e6) if full.size else None
