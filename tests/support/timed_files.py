"""Writers of recordings whose files contain a timestamp of each sample or block of samples.

Each takes the counters as the acquisition system would write them, so that a test decides where
they jump. The traces are small noise; only their times matter here.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from neo.rawio import blackrockrawio, intanrawio, openephysrawio, plexonrawio, tdtrawio

RATE_HZ = 30000.0
N_CHANNELS = 4


def noise(n_frames: int, n_channels: int = N_CHANNELS) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(0, 30, (n_frames, n_channels)).round().astype("int16")


def write_intan(file: Path, timestamps: np.ndarray) -> Path:
    """The traditional format: a header, then blocks of 128 samples, each with its timestamps."""
    header = {
        "magic_number": 0xC6912702,
        "major_version": 3,
        "sampling_rate": RATE_HZ,
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
        "channel_num": N_CHANNELS,
        "amplified_channel_num": N_CHANNELS,
    }
    parts = [_packed(fields, header), _packed(intanrawio.rhd_signal_group_header, group)]
    for number in range(N_CHANNELS):
        name = f"A-{number:03d}"
        channel = {
            "native_channel_name": name,
            "custom_channel_name": name,
            "native_order": number,
            "custom_order": number,
            "channel_enabled": 1,
        }
        parts.append(_packed(intanrawio.rhd_signal_channel_header, channel))
    n_blocks = len(timestamps) // 128
    blocks = np.zeros(n_blocks, [("timestamp", "<i4", 128), ("data", "<u2", (N_CHANNELS, 128))])
    blocks["timestamp"] = timestamps[: n_blocks * 128].reshape(n_blocks, 128)
    samples = noise(n_blocks * 128).reshape(n_blocks, 128, N_CHANNELS).astype("int32") + 32768
    blocks["data"] = samples.transpose(0, 2, 1)
    file.write_bytes(b"".join(parts) + blocks.tobytes())
    return file


def _packed(fields: Sequence[tuple[str, str]], values: dict[str, Any]) -> bytes:
    parts = []
    for name, kind in fields:
        if kind == "QString":
            text = str(values.get(name, "")).encode("utf-16-le")
            parts.append(np.uint32(len(text)).tobytes() + text)
        else:
            parts.append(np.dtype(kind).type(values.get(name, 0)).tobytes())
    return b"".join(parts)


def write_neuralynx(
    folder: Path,
    timestamps_us: np.ndarray,
    rate_hz: float = RATE_HZ,
    n_valid: int | np.ndarray = 512,
) -> Path:
    """A file for each channel, of records of 512 samples, each with its timestamp."""
    folder.mkdir()
    record = [("timestamp", "<u8"), ("channel", "<u4"), ("rate", "<u4"), ("n_valid", "<u4")]
    for channel in range(N_CHANNELS):
        lines = [
            "######## Neuralynx Data File Header",
            f"-AcqEntName CSC{channel + 1}",
            "-FileType NCS",
            "-FileVersion 3.4",
            "-RecordSize 1044",
            '-HardwareSubSystemName "AcqSystem1"',
            "-HardwareSubSystemType DigitalLynxSX",
            f"-SamplingFrequency {rate_hz:g}",
            "-ADMaxValue 32767",
            "-ADBitVolts 0.000000030518",
            f"-ADChannel {channel}",
            "-NumADChannels 1",
            "-InputRange 1000",
            "-InputInverted False",
            '-ApplicationName Cheetah "6.3.2"',
            "-TimeCreated 2024/05/01 10:00:00",
            "-TimeClosed 2024/05/01 11:00:00",
        ]
        records = np.zeros(len(timestamps_us), [*record, ("samples", "<i2", 512)])
        records["timestamp"] = timestamps_us
        records["channel"], records["rate"], records["n_valid"] = channel, int(rate_hz), n_valid
        records["samples"] = noise(len(records) * 512, 1).reshape(-1, 512)
        header = "\r\n".join(lines).encode("latin-1").ljust(16384, b"\0")
        (folder / f"CSC{channel + 1}.ncs").write_bytes(header + records.tobytes())
    return folder


def write_blackrock(file: Path, blocks: Sequence[tuple[int, int]]) -> Path:
    """A file of blocks, each of a timestamp (in samples) and a number of samples."""
    parts = [_blackrock_header(30_000)]
    for timestamp, n_frames in blocks:
        head = np.zeros(1, blackrockrawio.NSX_DATA_HEADER_TYPES["3.0"])
        head["header_flag"], head["timestamp"], head["nb_data_points"] = 1, timestamp, n_frames
        parts += [head.tobytes(), noise(n_frames).tobytes()]
    file.write_bytes(b"".join(parts))
    return file


def write_blackrock_ptp(file: Path, timestamps_ns: np.ndarray) -> Path:
    """A packet for each sample, with its time by the Precision Time Protocol."""
    packets = np.zeros(
        len(timestamps_ns), blackrockrawio.NSX_DATA_HEADER_TYPES["3.0-ptp"](N_CHANNELS)
    )
    packets["timestamps"], packets["num_data_points"] = timestamps_ns, 1
    packets["samples"] = noise(len(packets))
    file.write_bytes(_blackrock_header(1_000_000_000) + packets.tobytes())
    return file


def _blackrock_header(timestamp_resolution: int) -> bytes:
    basic = np.zeros(1, blackrockrawio.NSX_BASIC_HEADER_TYPES["3.0"])
    channels = np.zeros(N_CHANNELS, blackrockrawio.NSX_EXT_HEADER_TYPES["3.0"])
    basic["file_id"], basic["ver_major"], basic["period"] = b"BRSMPGRP", 3, 1
    basic["timestamp_resolution"], basic["channel_count"] = timestamp_resolution, N_CHANNELS
    basic["bytes_in_headers"] = basic.nbytes + channels.nbytes
    basic["year"], basic["month"], basic["day"] = 2024, 5, 1
    channels["type"], channels["units"] = b"CC", b"uV"
    channels["electrode_id"] = np.arange(N_CHANNELS) + 1
    channels["electrode_label"] = [f"elec{n + 1}".encode() for n in range(N_CHANNELS)]
    channels["min_digital_val"], channels["max_digital_val"] = -32764, 32764
    channels["min_analog_val"], channels["max_analog_val"] = -8191, 8191
    return basic.tobytes() + channels.tobytes()


def write_plexon(file: Path, fragments: Sequence[tuple[int, int]]) -> Path:
    """Fragments of each channel, each of a timestamp (in samples) and a number of samples.

    Each channel is `noise` of all samples, from the first fragment to the last.
    """
    head = np.zeros(1, plexonrawio.GlobalHeader)
    head["MagicNumber"], head["Version"], head["ADFrequency"] = 0x58454C50, 107, int(RATE_HZ)
    head["NumSlowChannels"], head["SlowMaxMagnitudeMV"], head["BitsPerSpikeSample"] = 4, 5000, 16
    head["Year"], head["Month"], head["Day"] = 2024, 5, 1
    channels = np.zeros(N_CHANNELS, plexonrawio.SlowChannelHeader)
    channels["Name"] = [f"WB{n + 1:02d}".encode() for n in range(N_CHANNELS)]
    channels["Channel"] = np.arange(N_CHANNELS)
    channels["ADFreq"], channels["Gain"], channels["PreampGain"] = int(RATE_HZ), 1, 1000
    parts = [head.tobytes(), channels.tobytes()]
    samples = noise(sum(n_frames for _, n_frames in fragments))
    first = 0
    for timestamp, n_frames in fragments:
        for channel in range(N_CHANNELS):
            block = np.zeros(1, plexonrawio.DataBlockHeader)
            block["Type"], block["TimeStamp"], block["Channel"] = 5, timestamp, channel
            block["NumberOfWaveforms"], block["NumberOfWordsInWaveform"] = 1, n_frames
            parts += [block.tobytes(), samples[first : first + n_frames, channel].tobytes()]
        first += n_frames
    file.write_bytes(b"".join(parts))
    return file


def _mapping() -> np.ndarray:
    fields = [("channel", "i4"), ("electrode", "i4"), ("x", "f8"), ("y", "f8")]
    mapping = np.zeros(N_CHANNELS, fields)
    mapping["channel"], mapping["electrode"] = np.arange(N_CHANNELS), np.arange(N_CHANNELS) * 7
    mapping["x"] = np.arange(N_CHANNELS) * 17.5
    return mapping


def write_maxwell(file: Path, frame_numbers: np.ndarray, rate_hz: float = 20000.0) -> Path:
    """The format since 2017, which keeps a number for each frame."""
    with h5py.File(file, "w") as h5:
        h5["version"] = np.array([b"20190530"])
        recording = h5.create_group("wells/well000/rec0000")
        settings, routed = (
            recording.create_group("settings"),
            recording.create_group("groups/routed"),
        )
        settings["sampling"], settings["lsb"] = np.array([rate_hz]), np.array([3.2e-6])
        settings["gain"] = np.array([512.0])
        settings["mapping"] = _mapping()
        samples = noise(len(frame_numbers)).astype("int32") + 512
        routed["raw"] = samples.T.astype("uint16")
        routed["frame_nos"] = frame_numbers.astype("uint64")
    return file


def write_spikegadgets(file: Path, timestamps: np.ndarray) -> Path:
    """A packet for each sample, with its timestamp."""
    channels = "".join(
        f'<SpikeNTrode id="{n + 1}"><SpikeChannel hwChan="{n}"/></SpikeNTrode>'
        for n in range(N_CHANNELS)
    )
    header = (
        "<Configuration>\n<GlobalConfiguration/>\n"
        f'<HardwareConfiguration samplingRate="{RATE_HZ:g}" numChannels="{N_CHANNELS}">\n'
        '<Device name="MCU_IO" numBytes="2"/></HardwareConfiguration>\n'
        f'<SpikeConfiguration device="intan" chanPerChip="{N_CHANNELS}">{channels}'
        "</SpikeConfiguration>\n</Configuration>\n"
    )
    packets = np.zeros(
        len(timestamps),
        [("sync", "u1"), ("device", "u1", 2), ("time", "<u4"), ("data", "<i2", N_CHANNELS)],
    )
    packets["sync"], packets["time"], packets["data"] = 0x55, timestamps, noise(len(timestamps))
    file.write_bytes(header.encode() + packets.tobytes())
    return file


def write_open_ephys_legacy(folder: Path, timestamps: np.ndarray) -> Path:
    """The GUI's older format: a file for each channel, of records of 1024 samples."""
    folder.mkdir()
    for channel in range(N_CHANNELS):
        header = (
            "header.format = 'Open Ephys Data Format'; \nheader.version = 0.4; \n"
            "header.header_bytes = 1024; \nheader.description = 'continuous'; \n"
            "header.date_created = '1-May-2024 100000'; \n"
            f"header.channel = 'CH{channel + 1}'; \nheader.channelType = 'Continuous'; \n"
            f"header.sampleRate = {RATE_HZ:g}; \nheader.blockLength = 1024; \n"
            "header.bufferSize = 1024; \nheader.bitVolts = 0.195; \n"
        )
        records = np.zeros(len(timestamps), openephysrawio.continuous_dtype)
        records["timestamp"], records["nb_sample"] = timestamps, 1024
        records["samples"] = noise(len(records) * 1024, 1).reshape(-1, 1024)
        path = folder / f"100_CH{channel + 1}.continuous"
        path.write_bytes(header.encode().ljust(1024) + records.tobytes())
    return folder


def write_mcs(file: Path, pieces: Sequence[tuple[int, int]]) -> Path:
    """Multi Channel Systems' HDF5: contiguous pieces, each of a time in us and a length."""
    rows, first = [], 0
    for time_us, n_frames in pieces:
        rows.append((time_us, first, first + n_frames - 1))
        first += n_frames
    info = np.zeros(
        N_CHANNELS,
        [
            ("ChannelID", "i4"),
            ("Label", "S8"),
            ("Unit", "S2"),
            ("Exponent", "i4"),
            ("ADZero", "i4"),
            ("Tick", "i8"),
            ("ConversionFactor", "i8"),
        ],
    )
    info["ChannelID"], info["Unit"], info["Exponent"] = np.arange(N_CHANNELS), b"V", -9
    info["Tick"], info["ConversionFactor"] = 50, 1000
    with h5py.File(file, "w") as h5:
        stream = h5.create_group("Data/Recording_0/AnalogStream/Stream_0")
        stream["ChannelData"] = noise(first).T.astype("int32")
        stream["ChannelDataTimeStamps"] = np.array(rows, dtype="int64")
        stream["InfoChannel"] = info
    return file


def write_neuronexus(folder: Path, timestamps: np.ndarray) -> Path:
    """Allego's files: traces, a count for each sample, and the JSON that describes them."""
    folder.mkdir()
    names = [f"pri_{n}" for n in range(N_CHANNELS)]
    ends = [int(timestamps[0]), int(timestamps[-1])]
    status = {
        "samp_freq": RATE_HZ,
        "shape": [len(timestamps), N_CHANNELS],
        "timestamp_range": ends,
        "t_range": [ends[0] / RATE_HZ, ends[1] / RATE_HZ],
        "start_time": "2024-05-01T10:00:00.0000000-04:00",
    }
    channels = {"chan_name": names, "ntv_chan_name": names, "chan_type": ["ai0"] * N_CHANNELS}
    described = {"status": status, "sapiens_base": {"biointerface_map": channels}}
    noise(len(timestamps)).astype("float32").tofile(folder / "a_data.xdat")
    timestamps.astype("int64").tofile(folder / "a_timestamp.xdat")
    (folder / "a.xdat.json").write_text(json.dumps(described))
    return folder / "a.xdat.json"


def write_tdt(folder: Path, block_times_s: np.ndarray, rate_hz: float, begin_s: float) -> Path:
    """A tank of one block: stretches of 256 samples of each channel, each with its time."""
    stem = folder / "Block-1" / f"{folder.name}_Block-1"
    stem.parent.mkdir(parents=True)
    store = {
        "StoreName": "RSn1",
        "HeadName": "RSn1",
        "Enabled": 1,
        "CircType": 0,
        "NumChan": N_CHANNELS,
        "StrobeMode": 0,
        "TankEvType": tdtrawio.EVTYPE_STREAM,
        "NumPoints": 256,
        "DataFormat": 2,
        "SampleFreq": rate_hz,
    }
    fields = "".join(f"NAME={name};TYPE=S;VALUE={value};\n" for name, value in store.items())
    (stem.with_suffix(".Tbk")).write_text(f"{fields}[STOREHDRITEM][USERNOTEDELIMITER]")
    (stem.with_suffix(".tdx")).write_bytes(b"")
    n_events = len(block_times_s) * N_CHANNELS
    events = np.zeros(n_events + 3, tdtrawio.tsq_dtype)
    events["evname"][1], events["timestamp"][1] = chr(tdtrawio.EVMARK_STARTBLOCK), begin_s
    events["evname"][-1] = chr(tdtrawio.EVMARK_STOPBLOCK)
    events["timestamp"][-1] = block_times_s[-1] + 256 / rate_hz
    blocks = events[2:-1]
    blocks["size"], blocks["evtype"], blocks["evname"] = 138, tdtrawio.EVTYPE_STREAM, b"RSn1"
    blocks["channel"] = np.tile(np.arange(N_CHANNELS) + 1, len(block_times_s))
    blocks["timestamp"] = np.repeat(block_times_s, N_CHANNELS)
    blocks["offset"], blocks["dataformat"] = np.arange(n_events) * 512, 2
    blocks["frequency"] = rate_hz
    events.tofile(stem.with_suffix(".tsq"))
    noise(n_events * 256, 1).tofile(stem.with_suffix(".tev"))
    return folder
