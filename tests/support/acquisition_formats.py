"""Writers of more formats of acquisition systems, with the samples of `recordings.simulate`.

Each lays int16 samples out as the system's own description of its format says.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

import h5py
import mtscomp
import numpy as np
import pyedflib
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
    folder: Path, recording: BaseRecording, number: int, period: int, stem: str = "session"
) -> Path:
    """Write one .nsX of version 2.3: every `period`th sample of a clock of 30 kHz."""
    folder.mkdir(parents=True, exist_ok=True)
    traces = samples_of(recording)[::period]
    n_channels = traces.shape[1]
    n_bytes = 314 + 66 * n_channels
    header = struct.pack(
        "<8sBBI16s256sII8HI",
        b"NEURALCD",
        2,
        3,
        n_bytes,
        b"test",
        b"",
        period,
        30000,
        *(2024, 5, 3, 1, 10, 0, 0, 0),
        n_channels,
    )
    # a digital range of 1000 steps for as many microvolts as they are
    analog = round(1000 * AP_GAIN_UV)
    for c in range(n_channels):
        header += struct.pack(
            "<2sH16sBBhhhh16sIIHIIH",
            b"CC",
            c + 1,
            f"chan{c + 1}".encode(),
            *(1, c + 1, -1000, 1000, -analog, analog, b"uV", 0, 0, 0, 0, 0, 0),
        )
    packet = struct.pack("<BII", 1, 0, len(traces))
    file = folder / f"{stem}.ns{number}"
    file.write_bytes(header + packet + traces.tobytes())
    return file


# ----- Intan -------------------------------------------------------------------------------------


def _intan_text(text: str) -> bytes:
    return struct.pack("<I", len(text) * 2) + text.encode("utf-16-le")


def write_intan(file: Path, microvolts: np.ndarray, first_sample: int = 0) -> Path:
    """Write an .rhd of RHX 3.0 with amplifier channels alone, whole blocks of 128 samples."""
    n_channels = microvolts.shape[1]
    header = struct.pack(
        "<Ihhfh6fh2f",
        *(0xC6912702, 3, 0, 30000.0, 1),
        *(1.0, 0.1, 7500.0, 1.0, 0.1, 7500.0, 0, 1000.0, 1000.0),
    )
    header += _intan_text("") * 3 + struct.pack("<hh", 0, 0) + _intan_text("")
    header += struct.pack("<h", 1) + _intan_text("Port A") + _intan_text("A")
    header += struct.pack("<hhh", 1, n_channels, n_channels)
    for c in range(n_channels):
        header += _intan_text(f"A-{c:03d}") * 2
        header += struct.pack("<10h2f", c, c, 0, 1, c, 0, 0, 0, 0, 0, 1e5, 0.0)
    blocks = []
    for start in range(0, len(microvolts) // INTAN_BLOCK * INTAN_BLOCK, INTAN_BLOCK):
        steps = np.round(microvolts[start : start + INTAN_BLOCK] / INTAN_STEP_UV) + 32768
        numbers = np.arange(start, start + INTAN_BLOCK, dtype="<i4") + first_sample
        blocks.append(numbers.astype("<i4").tobytes() + steps.astype("<u2").T.tobytes())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(header + b"".join(blocks))
    return file


def write_split_intan(
    folder: Path, microvolts: np.ndarray, firsts: Sequence[int], length: int
) -> Path:
    """Write a file for each of the sample numbers in `firsts`, of `length` samples."""
    for part, first in enumerate(firsts):
        piece = microvolts[part * length : (part + 1) * length]
        write_intan(folder / f"session_240506_10{part + 11}12.rhd", piece, first)
    return folder


# ----- Open Ephys, its old format ----------------------------------------------------------------


def write_open_ephys_legacy(folder: Path, recording: BaseRecording) -> Path:
    """Write a .continuous file for each channel, in whole records of 1024 samples."""
    folder.mkdir(parents=True)
    traces = samples_of(recording)
    n_records = len(traces) // OPEN_EPHYS_BLOCK
    marker = bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 255])
    for c in range(traces.shape[1]):
        fields = {
            "format": "'Open Ephys Data Format'",
            "version": "0.4",
            "header_bytes": "1024",
            "description": "'continuous'",
            "date_created": "'1-May-2024 100000'",
            "channel": f"'CH{c + 1}'",
            "channelType": "'Continuous'",
            "sampleRate": str(int(recording.sampling_frequency)),
            "blockLength": "1024",
            "bufferSize": "1024",
            "bitVolts": str(AP_GAIN_UV),
        }
        header = "".join(f"header.{name} = {value};\n" for name, value in fields.items())
        records = [header.encode().ljust(1024)]
        for record in range(n_records):
            start = record * OPEN_EPHYS_BLOCK
            block = traces[start : start + OPEN_EPHYS_BLOCK, c].astype(">i2").tobytes()
            records.append(struct.pack("<qHH", start, OPEN_EPHYS_BLOCK, 0) + block + marker)
        (folder / f"100_CH{c + 1}.continuous").write_bytes(b"".join(records))
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


def write_maxwell(file: Path, recording: BaseRecording, **storage: object) -> Path:
    """Write one well of MaxLab's newer format, whose samples are unsigned around 512."""
    traces = samples_of(recording)
    n_channels = traces.shape[1]
    mapping = np.zeros(
        n_channels, [("channel", "i4"), ("electrode", "i4"), ("x", "f8"), ("y", "f8")]
    )
    mapping["channel"] = mapping["electrode"] = np.arange(n_channels)
    mapping["x"] = 17.5 * np.arange(n_channels)
    with h5py.File(file, "w") as opened:
        opened["version"] = np.array([b"20190530"])
        well = opened.create_group("wells/well000/rec0000")
        well["settings/sampling"] = np.array([recording.sampling_frequency])
        well["settings/lsb"] = np.array([AP_GAIN_UV * 1e-6])
        well["settings/mapping"] = mapping
        well.create_dataset("groups/routed/raw", data=(traces.T + 512).astype("uint16"), **storage)
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


def write_neuralynx(folder: Path, recording: BaseRecording, header_rate: int | None = None) -> Path:
    """Write a .ncs for each channel, in records of 512 samples, the first at 10 s.

    `header_rate` is a rate that the header claims, in place of the one of the timestamps.
    """
    folder.mkdir(parents=True)
    rate = recording.sampling_frequency
    claimed = header_rate or int(rate)
    traces = samples_of(recording)
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
    for c in range(traces.shape[1]):
        fields = {
            "FileType": "NCS",
            "FileVersion": "3.4",
            "RecordSize": "1044",
            "SamplingFrequency": claimed,
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
        records["time"] = np.round(1e7 + np.arange(n_records) * 512 / rate * 1e6)
        records["channel"], records["rate"], records["n"] = c, claimed, 512
        records["samples"] = traces[: n_records * 512, c].reshape(n_records, 512)
        header = "\r\n".join(lines).encode("latin-1").ljust(16384, b"\0")
        (folder / f"CSC{c + 1}.ncs").write_bytes(header + records.tobytes())
    return folder
