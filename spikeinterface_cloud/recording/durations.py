"""Whether the rate that a header names fits the size of the samples and how long they lasted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikeinterface_cloud.errors import RecordingError

#: clocks differ by far less; a header of another band or probe by far more
TOLERANCE = 0.01

#: where a meta file names the rate: of a probe, of NI-DAQ, and of a OneBox
SPIKEGLX_RATES = ("imSampRate", "niSampRate", "obSampRate")

#: durations are written with few digits
ROUNDING_S = 0.05

#: Neuralynx's records: the time of the first sample in microseconds, and up to 512 samples
NCS_HEADER_BYTES = 16384
NCS_RECORD = np.dtype(
    [("time", "<u8"), ("channel", "<u4"), ("rate", "<u4"), ("n", "<u4"), ("samples", "<i2", (512,))]
)

#: records that are looked at
N_RECORDS = 10_000

#: places at which the times of samples are looked at, and the samples between them
N_PLACES = 200
STRIDE = 500


def check_spikeglx_duration(file: Path, meta: Mapping[str, str], n_channels: int) -> None:
    """Raise `RecordingError` if a meta file's own rate, size and duration contradict each other."""
    said = next((meta[name] for name in SPIKEGLX_RATES if name in meta), None)
    if said is None or "fileTimeSecs" not in meta or "fileSizeBytes" not in meta:
        return
    rate, lasted_s = float(said), float(meta["fileTimeSecs"])
    n_samples = int(meta["fileSizeBytes"]) / (2 * n_channels)
    if lasted_s <= 0 or rate <= 0 or n_samples <= 0:
        return
    expected_s = n_samples / rate
    if abs(expected_s - lasted_s) > TOLERANCE * lasted_s + ROUNDING_S:
        raise RecordingError(
            f"the meta file of {file.name} contradicts itself: {n_samples:.0f} samples at "
            f"{rate:g} Hz last {expected_s:.6g} s, and it says {lasted_s:.6g} s (fileTimeSecs), "
            f"which is {n_samples / lasted_s:.6g} Hz; put the meta file of this file in its place, "
            "or correct it"
        )


def check_cbin_duration(folder: Path, recording: Any) -> None:
    """Raise `RecordingError` if the index of a compressed file tells of another rate."""
    file = Path(recording._kwargs["cbin_file_path"]).with_suffix(".ch")
    if not file.is_file():
        return
    said = json.loads(file.read_text()).get("sample_rate")
    rate = float(recording.sampling_frequency)
    if said and abs(float(said) / rate - 1) > TOLERANCE:
        raise RecordingError(
            f"{file.name} says that {folder.name} was sampled at {float(said):g} Hz, and its meta "
            f"file says {rate:g} Hz; put the files that belong together into the folder"
        )


def check_open_ephys_rate(folder: Path, rate_hz: float) -> None:
    """Raise `RecordingError` if the times of an Open Ephys stream tell of another rate.

    Since its version 0.6 the GUI writes the number of each sample, and its time in seconds.
    """
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
    lasted_s = np.asarray(times[places + stride] - times[places])
    usable = np.isfinite(lasted_s) & (lasted_s > 0)
    if not usable.any():
        return
    implied = float(np.median(steps[usable] / lasted_s[usable]))
    if implied > 0 and abs(rate_hz / implied - 1) > TOLERANCE:
        raise RecordingError(
            f"{folder.name}: structure.oebin says {rate_hz:g} Hz, and the times in timestamps.npy "
            f"are those of {implied:g} Hz; put the structure.oebin of this recording in its place"
        )


def check_whole_samples(file: Path, frame_bytes: int, said: str, offset: int = 0) -> None:
    """Raise `RecordingError` if a file is no whole number of samples of all channels.

    Parameters
    ----------
    frame_bytes
        of one sample of all channels
    said
        by what, and what, is said of the channels
    offset
        bytes before the first sample
    """
    size = file.stat().st_size - offset
    if size % frame_bytes:
        raise RecordingError(
            f"{file.name} has {size} bytes of samples, no multiple of the {frame_bytes} of one "
            f"sample of all channels ({said}): the number of channels is that of another recording,"
            " or the file was cut; give the right number, or copy the file again"
        )


def check_neuralynx_rate(folder: Path, rate_hz: float) -> None:
    """Raise `RecordingError` if no .ncs file in a folder has the times of this rate.

    Neo takes the rate from the header, and makes a segment of each record that does not follow on.
    """
    rates = [_rate_of_records(file) for file in sorted(folder.glob("*.[nN][cC][sS]"))]
    implied = sorted({round(rate, 1) for rate in rates if rate is not None})
    if implied and all(abs(rate_hz / rate - 1) > TOLERANCE for rate in implied):
        listing = ", ".join(f"{round(rate, -1):g}" for rate in implied)
        raise RecordingError(
            f"the .ncs files say that they were sampled at {rate_hz:g} Hz, and the times of their "
            f"records are those of {listing} Hz; correct SamplingFrequency in their headers, or "
            "export them again"
        )


def _rate_of_records(file: Path) -> float | None:
    n_records = (file.stat().st_size - NCS_HEADER_BYTES) // NCS_RECORD.itemsize
    if n_records < 2:
        return None
    records = np.memmap(
        file, NCS_RECORD, mode="r", offset=NCS_HEADER_BYTES, shape=(min(n_records, N_RECORDS),)
    )
    steps_us = np.diff(records["time"].astype("int64"))
    full = steps_us[(steps_us > 0) & (records["n"][:-1] == NCS_RECORD["samples"].shape[0])]
    if not full.size:
        return None
    return float(NCS_RECORD["samples"].shape[0] / np.median(full) * 1e6)
