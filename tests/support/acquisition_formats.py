"""Writers of more formats of acquisition systems, for int16 samples and their timestamps.

A step of a sample is `recordings.AP_GAIN_UV`, as in `recordings.simulate`, unless stated otherwise.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import mtscomp
import numpy as np
import pyedflib
from neo.rawio import blackrockrawio, intanrawio, openephysrawio
from spikeinterface.core import BaseRecording

from tests.support.recordings import AP_GAIN_UV

INTAN_STEP_UV = 0.195
INTAN_BLOCK = 128
OPEN_EPHYS_BLOCK = 1024


def samples_of(recording: BaseRecording) -> np.ndarray:
    """Return all samples of the first segment."""
    traces: np.ndarray = recording.get_traces(segment_index=0)
    return traces


# ----- Neuroscope --------------------------------------------------------------------------------


def write_neuroscope(
    folder: Path,
    wideband: BaseRecording | None,
    lfp: str | None = ".lfp",
    stem: str = "session",
    n_channels: int = 8,
) -> Path:
    """Write the .xml of a session, its .dat unless `recording` is None, and an LFP file."""
    folder.mkdir(parents=True, exist_ok=True)
    rate = 30000 if wideband is None else int(wideband.sampling_frequency)
    channels = "".join(f'<channel skip="0">{c}</channel>' for c in range(n_channels))
    # 16 bits over 20 V, amplified so that a step is that of `simulate`
    amplification = 20 / 65536 / (AP_GAIN_UV * 1e-6)
    (folder / f"{stem}.xml").write_text(
        "<?xml version='1.0'?><parameters version='1.0'><acquisitionSystem><nBits>16</nBits>"
        f"<nChannels>{n_channels}</nChannels><samplingRate>{rate}</samplingRate>"
        f"<voltageRange>20</voltageRange><amplification>{amplification}</amplification>"
        "<offset>0</offset></acquisitionSystem><fieldPotentials><lfpSamplingRate>1250"
        "</lfpSamplingRate></fieldPotentials><anatomicalDescription><channelGroups><group>"
        f"{channels}</group></channelGroups></anatomicalDescription></parameters>"
    )
    if wideband is not None:
        samples_of(wideband).tofile(folder / f"{stem}.dat")
    if lfp is not None:
        slow = np.random.default_rng(0).normal(0, 300, (1250 * 40, n_channels)).astype("int16")
        slow.tofile(folder / f"{stem}{lfp}")
    return folder


# ----- Blackrock ---------------------------------------------------------------------------------


def write_blackrock(
    file: Path,
    traces: np.ndarray,
    *,
    labels: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    step: float = AP_GAIN_UV,
    period: int = 1,
    blocks: Sequence[tuple[int, int]] | None = None,
) -> Path:
    """Write every `period`th sample at 30 kHz as .nsX of version 2.3, or 3.0 with `blocks`.

    A step of `traces` is `step` of the channel's unit, uV by default. Each block is a timestamp (in
    samples) and a number of samples.
    """
    traces = traces[::period]
    version = "2.3" if blocks is None else "3.0"
    parts = [_blackrock_header(version, traces.shape[1], 30_000, labels, units, step, period)]
    first = 0
    for timestamp, n_frames in blocks or [(0, len(traces))]:
        head = np.zeros(1, blackrockrawio.NSX_DATA_HEADER_TYPES[version])
        head["header_flag"], head["timestamp"], head["nb_data_points"] = 1, timestamp, n_frames
        parts += [head.tobytes(), traces[first : first + n_frames].tobytes()]
        first += n_frames
    file.write_bytes(b"".join(parts))
    return file


def write_blackrock_ptp(file: Path, traces: np.ndarray, timestamps_ns: np.ndarray) -> Path:
    """Write a packet for each sample, with its time by the Precision Time Protocol."""
    n_channels = traces.shape[1]
    packets = np.zeros(len(traces), blackrockrawio.NSX_DATA_HEADER_TYPES["3.0-ptp"](n_channels))
    packets["reserved"] = packets["num_data_points"] = 1
    packets["timestamps"], packets["samples"] = timestamps_ns, traces
    header = _blackrock_header("3.0", n_channels, 1_000_000_000)
    file.write_bytes(header + packets.tobytes())
    return file


def _blackrock_header(
    version: str,
    n_channels: int,
    timestamp_resolution: int,
    labels: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    step: float = AP_GAIN_UV,
    period: int = 1,
) -> bytes:
    basic = np.zeros(1, blackrockrawio.NSX_BASIC_HEADER_TYPES[version])
    channels = np.zeros(n_channels, blackrockrawio.NSX_EXT_HEADER_TYPES[version])
    basic["file_id"] = b"NEURALCD" if version == "2.3" else b"BRSMPGRP"
    basic["ver_major"], basic["ver_minor"] = map(int, version.split("."))
    basic["bytes_in_headers"], basic["period"] = basic.nbytes + channels.nbytes, period
    basic["timestamp_resolution"], basic["channel_count"] = timestamp_resolution, n_channels
    basic["year"], basic["month"], basic["day"] = 2024, 5, 1
    numbers = np.arange(n_channels) + 1
    channels["type"], channels["electrode_id"] = b"CC", numbers
    channels["units"] = [unit.encode() for unit in units or ["uV"] * n_channels]
    channels["electrode_label"] = [
        label.encode() for label in labels or [f"elec{number}" for number in numbers]
    ]
    channels["min_digital_val"], channels["max_digital_val"] = -1000, 1000
    channels["min_analog_val"], channels["max_analog_val"] = round(-1000 * step), round(1000 * step)
    return basic.tobytes() + channels.tobytes()


# ----- Intan -------------------------------------------------------------------------------------


def write_intan(file: Path, traces: np.ndarray, timestamps: np.ndarray) -> Path:
    """Write whole blocks of 128 samples as an .rhd, in int16 steps of `INTAN_STEP_UV`."""
    n_channels = traces.shape[1]
    n_blocks = len(traces) // INTAN_BLOCK
    blocks = np.zeros(
        n_blocks,
        [("timestamp", "<i4", INTAN_BLOCK), ("data", "<u2", (n_channels, INTAN_BLOCK))],
    )
    n_frames = n_blocks * INTAN_BLOCK
    blocks["timestamp"] = timestamps[:n_frames].reshape(n_blocks, INTAN_BLOCK)
    samples = traces[:n_frames].reshape(n_blocks, INTAN_BLOCK, n_channels).astype("int32") + 32768
    blocks["data"] = samples.transpose(0, 2, 1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_intan_header(n_channels) + blocks.tobytes())
    return file


def write_intan_files(folder: Path, traces: np.ndarray, *, by_channel: bool) -> Path:
    """Write info.rhd, and samples and times in files of their own; return the header."""
    header = folder / "info.rhd"
    header.write_bytes(_intan_header(traces.shape[1]))
    np.arange(len(traces), dtype="<i4").tofile(folder / "time.dat")
    if by_channel:
        for number in range(traces.shape[1]):
            traces[:, number].astype("<i2").tofile(folder / f"amp-A-{number:03d}.dat")
    else:
        traces.astype("<i2").tofile(folder / "amplifier.dat")
    return header


def _intan_header(n_channels: int) -> bytes:
    header = {
        "magic_number": 0xC6912702,
        "major_version": 3,
        "sampling_rate": 30000.0,
        "nb_signal_group": 1,
    }
    fields = [
        *intanrawio.rhd_global_header_base,
        *intanrawio.rhd_global_header_part1,
        *intanrawio.rhd_global_header_v11,
        *intanrawio.rhd_global_header_v13,
        *intanrawio.rhd_global_header_v20,
        *intanrawio.rhd_global_header_final,
    ]
    group = {
        "signal_group_name": "Port A",
        "signal_group_prefix": "A",
        "signal_group_enabled": 1,
        "channel_num": n_channels,
        "amplified_channel_num": n_channels,
    }
    parts = [_packed(fields, header), _packed(intanrawio.rhd_signal_group_header, group)]
    for number in range(n_channels):
        name = f"A-{number:03d}"
        channel = {
            "native_channel_name": name,
            "custom_channel_name": name,
            "native_order": number,
            "custom_order": number,
            "channel_enabled": 1,
        }
        parts.append(_packed(intanrawio.rhd_signal_channel_header, channel))
    return b"".join(parts)


def _packed(fields: Sequence[tuple[str, str]], values: dict[str, Any]) -> bytes:
    parts = []
    for name, kind in fields:
        if kind == "QString":
            text = str(values.get(name, "")).encode("utf-16-le")
            parts.append(np.uint32(len(text)).tobytes() + text)
        else:
            parts.append(np.dtype(kind).type(values.get(name, 0)).tobytes())
    return b"".join(parts)


def write_split_intan(folder: Path, traces: np.ndarray, firsts: Sequence[int], length: int) -> Path:
    """Write a file for each of the sample numbers in `firsts`, of `length` samples."""
    for part, first in enumerate(firsts):
        piece = traces[part * length : (part + 1) * length]
        file = folder / f"session_240506_10{part + 11}12.rhd"
        write_intan(file, piece, np.arange(length) + first)
    return folder


# ----- Open Ephys, legacy format -----------------------------------------------------------------


def write_open_ephys_legacy(
    folder: Path, traces: np.ndarray, timestamps: np.ndarray | None = None
) -> Path:
    """Write a .continuous file for each channel, in whole records, each with its timestamp."""
    folder.mkdir(parents=True)
    n_records = len(traces) // OPEN_EPHYS_BLOCK
    if timestamps is None:
        timestamps = np.arange(n_records) * OPEN_EPHYS_BLOCK
    for c in range(traces.shape[1]):
        fields = {
            "format": "'Open Ephys Data Format'",
            "version": "0.4",
            "header_bytes": "1024",
            "description": "'continuous'",
            "date_created": "'1-May-2024 100000'",
            "channel": f"'CH{c + 1}'",
            "channelType": "'Continuous'",
            "sampleRate": "30000",
            "blockLength": "1024",
            "bufferSize": "1024",
            "bitVolts": str(AP_GAIN_UV),
        }
        header = "".join(f"header.{name} = {value};\n" for name, value in fields.items())
        records = np.zeros(n_records, openephysrawio.continuous_dtype)
        records["timestamp"], records["nb_sample"] = timestamps, OPEN_EPHYS_BLOCK
        samples = traces[: n_records * OPEN_EPHYS_BLOCK, c]
        records["samples"] = samples.reshape(n_records, OPEN_EPHYS_BLOCK)
        file = folder / f"100_CH{c + 1}.continuous"
        file.write_bytes(header.encode().ljust(1024) + records.tobytes())
    return folder


# ----- others ------------------------------------------------------------------------------------


def write_cbin(run: Path, folder: Path, band: str = "ap") -> Path:
    """Compress a band of a SpikeGLX run as IBL does; the .cbin."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = next(run.rglob(f"*.{band}.bin"))
    meta = samples.with_suffix(".meta").read_text()
    header = dict(line.split("=", 1) for line in meta.splitlines())
    target = folder / samples.with_suffix(".cbin").name
    mtscomp.compress(
        samples,
        target,
        target.with_suffix(".ch"),
        sample_rate=float(header["imSampRate"]),
        n_channels=int(header["nSavedChans"]),
        dtype=np.int16,
        check_after_compress=False,
        n_threads=1,
    )
    target.with_suffix(".meta").write_text(meta)
    return target


def write_edf(file: Path, recording: BaseRecording) -> Path:
    """Write EDF+ of a tenth of a microvolt a step, in records of one second."""
    rate = int(recording.sampling_frequency)
    channel: dict[str, str | int | float | None] = {
        "dimension": "uV",
        "sample_frequency": rate,
        "physical_min": -3276.8,
        "physical_max": 3276.7,
        "digital_min": -32768,
        "digital_max": 32767,
        "transducer": "",
        "prefilter": "",
    }
    microvolts = recording.get_traces(segment_index=0, return_in_uV=True).astype("float64")
    n_channels = microvolts.shape[1]
    writer = pyedflib.EdfWriter(str(file), n_channels, file_type=pyedflib.FILETYPE_EDFPLUS)
    writer.setSignalHeaders([{**channel, "label": f"ch{c}"} for c in range(n_channels)])
    writer.writeSamples([np.ascontiguousarray(microvolts[:, c]) for c in range(n_channels)])
    writer.close()
    return file


def write_maxwell(
    file: Path,
    traces: np.ndarray,
    frame_numbers: np.ndarray | None = None,
    rate_hz: float = 20000.0,
    **storage: object,
) -> Path:
    """Write one well of MaxLab's newer format, whose samples are unsigned around 512."""
    n_channels = traces.shape[1]
    mapping = np.zeros(
        n_channels, [("channel", "i4"), ("electrode", "i4"), ("x", "f8"), ("y", "f8")]
    )
    mapping["channel"] = mapping["electrode"] = np.arange(n_channels)
    mapping["x"] = 17.5 * np.arange(n_channels)
    with h5py.File(file, "w") as opened:
        opened["version"] = np.array([b"20190530"])
        well = opened.create_group("wells/well000/rec0000")
        well["settings/sampling"] = np.array([rate_hz])
        well["settings/lsb"] = np.array([AP_GAIN_UV * 1e-6])
        well["settings/mapping"] = mapping
        well.create_dataset("groups/routed/raw", data=(traces.T + 512).astype("uint16"), **storage)
        if frame_numbers is not None:
            well["groups/routed/frame_nos"] = frame_numbers.astype("uint64")
    return file


def write_mda(folder: Path, recording: BaseRecording) -> Path:
    """Write a data set of MountainSort: samples, rate and positions."""
    folder.mkdir(parents=True)
    traces = samples_of(recording)
    header = struct.pack("<5i", -4, 2, 2, traces.shape[1], traces.shape[0])  # -4: int16
    (folder / "raw.mda").write_bytes(header + traces.tobytes())
    (folder / "params.json").write_text('{"samplerate": 30000, "spike_sign": -1}')
    np.savetxt(folder / "geom.csv", recording.get_channel_locations(), delimiter=",")
    return folder


def write_neuralynx(
    folder: Path,
    traces: np.ndarray,
    *,
    header_rate: int = 30000,
    timestamps_us: np.ndarray | None = None,
    n_valid: int | np.ndarray = 512,
) -> Path:
    """Write a .ncs for each channel, in records of 512 samples.

    Timestamps of the records are regular at 30 kHz from 10 s on, whatever `header_rate` is, unless
    given.
    """
    folder.mkdir(parents=True)
    n_records = len(traces) // 512
    record = np.dtype(
        [
            ("time", "<u8"),
            ("channel", "<u4"),
            ("rate", "<u4"),
            ("n", "<u4"),
            ("samples", "<i2", (512,)),
        ]
    )
    if timestamps_us is None:
        timestamps_us = np.round(1e7 + np.arange(n_records) * 512 / 30000 * 1e6)
    for c in range(traces.shape[1]):
        fields = {
            "FileType": "NCS",
            "FileVersion": "3.4",
            "RecordSize": "1044",
            "SamplingFrequency": header_rate,
            "ADMaxValue": 32767,
            "ADBitVolts": f"{AP_GAIN_UV * 1e-6:.12f}",
            "AcquisitionSystem": "AcqSystem1 DigitalLynxSX",
            "AcqEntName": f"CSC{c + 1}",
            "NumADChannels": 1,
            "ADChannel": c,
            "InputRange": 2000,
            "InputInverted": "False",
            "ApplicationName": 'Cheetah "6.3.2"',
            "TimeCreated": "2024/05/01 10:00:00",
            "TimeClosed": "2024/05/01 10:01:00",
        }
        lines = ["######## Neuralynx Data File Header"]
        lines += [f"-{name} {value}" for name, value in fields.items()]
        records = np.zeros(n_records, record)
        records["time"], records["channel"] = timestamps_us, c
        records["rate"], records["n"] = header_rate, n_valid
        records["samples"] = traces[: n_records * 512, c].reshape(n_records, 512)
        header = "\r\n".join(lines).encode("latin-1").ljust(16384, b"\0")
        (folder / f"CSC{c + 1}.ncs").write_bytes(header + records.tobytes())
    return folder
