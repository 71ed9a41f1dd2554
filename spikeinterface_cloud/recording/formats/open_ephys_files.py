"""Whether the files of an Open Ephys recording are whole, and belong together."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from neo.rawio import OpenEphysBinaryRawIO

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.format_timestamps import neo_buffer
from spikeinterface_cloud.recording.formats.open_ephys_legacy import check_legacy
from spikeinterface_cloud.recording.formats.open_ephys_names import STRUCTURE, USE_ZARR
from spikeinterface_cloud.recording.formats.rates import rates_differ

#: places at which timestamps are compared, and the samples between two of them
N_PLACES = 200
STRIDE = 500


def check_open_ephys(recording: Any, n_frames: int | None = None) -> None:
    """Refuse a recording whose files differ in length, rate or gains, lie elsewhere, or have gaps.

    Of the legacy format only the first `n_frames` are looked at for gaps, if not all are wanted.
    """
    _refuse_files_elsewhere(recording)
    reader = recording.neo_reader
    if not isinstance(reader, OpenEphysBinaryRawIO):
        check_legacy(reader, float(recording.sampling_frequency), n_frames)
        return
    headers = []
    for number, segment in enumerate(recording.segments):
        # SpikeInterface's own list of these folders is wrong where the source is above the session
        folder = Path(neo_buffer(segment)["file_path"]).parent
        headers.append(_channels(folder))
        _check_rate(folder, float(recording.sampling_frequency))
        files = [folder / name for name in ("sample_numbers.npy", "timestamps.npy")]
        file = next((each for each in files if each.is_file()), None)
        if file is None:
            continue
        expected = np.load(file, mmap_mode="r", allow_pickle=False).shape[0]
        n_samples = recording.get_num_samples(number)
        if n_samples < expected:
            raise RecordingError(
                f"{folder.name}/continuous.dat is truncated: it has {n_samples} samples "
                f"where {file.name} has {expected}; copy it again from the acquisition computer "
                f"({USE_ZARR})"
            )
    if any(header != headers[0] for header in headers):
        raise RecordingError(
            "the recordings of this experiment differ in their channels or gains (bit_volts in "
            "structure.oebin); put each into an experiment of its own, and sort them one by one"
        )


def _channels(folder: Path) -> list[tuple[str, float]]:
    """Return name and gain of each channel of the stream in a folder."""
    structure = json.loads((folder.parents[1] / STRUCTURE).read_text())
    return [
        (str(channel.get("channel_name")), float(channel.get("bit_volts", 0)))
        for stream in structure["continuous"]
        if Path(stream["folder_name"]).name == folder.name
        for channel in stream["channels"]
    ]


def _refuse_files_elsewhere(recording: Any) -> None:
    """Refuse traces outside the source: `structure.oebin` may name any folder of the machine."""
    source = os.path.normpath(recording._kwargs["folder_path"])
    for block in getattr(recording.neo_reader, "_buffer_descriptions", {}).values():
        for buffer in (buffer for segment in block.values() for buffer in segment.values()):
            file = Path(os.path.normpath(buffer["file_path"]))
            if not file.is_relative_to(source):
                raise RecordingError(
                    f"structure.oebin names {file}, which is not part of the source; copy the "
                    "recording again with all its folders"
                )


def _check_rate(folder: Path, rate_hz: float) -> None:
    """Since version 0.6 the GUI writes the number of each sample, and its time in seconds."""
    numbers_file, times_file = folder / "sample_numbers.npy", folder / "timestamps.npy"
    if not numbers_file.is_file() or not times_file.is_file():
        return
    numbers = np.load(numbers_file, mmap_mode="r", allow_pickle=False)
    times = np.load(times_file, mmap_mode="r", allow_pickle=False)
    n_samples = min(len(numbers), len(times))
    if times.dtype.kind != "f" or n_samples < 2:
        return
    stride = min(STRIDE, n_samples - 1)
    places = np.unique(np.linspace(0, n_samples - 1 - stride, N_PLACES).astype(int))
    steps = (numbers[places + stride] - numbers[places]).astype("float64")
    durations_s = np.asarray(times[places + stride] - times[places])
    usable = np.isfinite(durations_s) & (durations_s > 0)
    if not usable.any():
        return
    implied = float(np.median(steps[usable] / durations_s[usable]))
    if implied > 0 and rates_differ(rate_hz, implied):
        raise RecordingError(
            f"{folder.name}: structure.oebin says {rate_hz:g} Hz, but the times in timestamps.npy "
            f"imply {implied:g} Hz; replace structure.oebin with the one of this recording"
        )
