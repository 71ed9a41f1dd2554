"""Writers of recordings whose files contain a timestamp of each sample or block of samples.

Each takes the counters as the acquisition system would write them, so that a test decides where
they jump. Unless `traces` are given, of shape (frames, channels), they are small noise.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from neo.rawio import plexonrawio, tdtrawio

RATE_HZ = 30000.0
N_CHANNELS = 4


def noise(n_frames: int, n_channels: int = N_CHANNELS) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(0, 30, (n_frames, n_channels)).round().astype("int16")


def write_plexon(
    file: Path, fragments: Sequence[tuple[int, int]], traces: np.ndarray | None = None
) -> Path:
    """Fragments of each channel, each of a timestamp (in samples) and a number of samples.

    Each channel is `noise` of all samples, from the first fragment to the last.
    """
    samples = noise(sum(n_frames for _, n_frames in fragments)) if traces is None else traces
    n_channels = samples.shape[1]
    head = np.zeros(1, plexonrawio.GlobalHeader)
    head["MagicNumber"], head["Version"], head["ADFrequency"] = 0x58454C50, 107, int(RATE_HZ)
    head["NumSlowChannels"], head["SlowMaxMagnitudeMV"] = n_channels, 5000
    head["BitsPerSpikeSample"] = 16
    head["Year"], head["Month"], head["Day"] = 2024, 5, 1
    channels = np.zeros(n_channels, plexonrawio.SlowChannelHeader)
    channels["Name"] = [f"WB{n + 1:02d}".encode() for n in range(n_channels)]
    channels["Channel"] = np.arange(n_channels)
    channels["ADFreq"], channels["Gain"], channels["PreampGain"] = int(RATE_HZ), 1, 1000
    parts = [head.tobytes(), channels.tobytes()]
    first = 0
    for timestamp, n_frames in fragments:
        for channel in range(n_channels):
            block = np.zeros(1, plexonrawio.DataBlockHeader)
            block["Type"], block["TimeStamp"], block["Channel"] = 5, timestamp, channel
            block["NumberOfWaveforms"], block["NumberOfWordsInWaveform"] = 1, n_frames
            parts += [block.tobytes(), samples[first : first + n_frames, channel].tobytes()]
        first += n_frames
    file.write_bytes(b"".join(parts))
    return file


def write_spikegadgets(
    file: Path, timestamps: np.ndarray, traces: np.ndarray | None = None
) -> Path:
    """Write a packet for each sample, with its timestamp."""
    samples = noise(len(timestamps)) if traces is None else traces
    n_channels = samples.shape[1]
    channels = "".join(
        f'<SpikeNTrode id="{n + 1}"><SpikeChannel hwChan="{n}"/></SpikeNTrode>'
        for n in range(n_channels)
    )
    header = (
        "<Configuration>\n<GlobalConfiguration/>\n"
        f'<HardwareConfiguration samplingRate="{RATE_HZ:g}" numChannels="{n_channels}">\n'
        '<Device name="MCU_IO" numBytes="2"/></HardwareConfiguration>\n'
        f'<SpikeConfiguration device="intan" chanPerChip="{n_channels}">{channels}'
        "</SpikeConfiguration>\n</Configuration>\n"
    )
    packets = np.zeros(
        len(timestamps),
        [("sync", "u1"), ("device", "u1", 2), ("time", "<u4"), ("data", "<i2", n_channels)],
    )
    packets["sync"], packets["time"], packets["data"] = 0x55, timestamps, samples
    file.write_bytes(header.encode() + packets.tobytes())
    return file


def write_mcs(
    file: Path, pieces: Sequence[tuple[int, int]], traces: np.ndarray | None = None
) -> Path:
    """Multi Channel Systems' HDF5: contiguous pieces, each of a time in us and a length."""
    rows, first = [], 0
    for time_us, n_frames in pieces:
        rows.append((time_us, first, first + n_frames - 1))
        first += n_frames
    samples = noise(first) if traces is None else traces
    info = np.zeros(
        samples.shape[1],
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
    info["ChannelID"], info["Unit"], info["Exponent"] = np.arange(len(info)), b"V", -9
    info["Tick"], info["ConversionFactor"] = 50, 1000
    with h5py.File(file, "w") as h5:
        stream = h5.create_group("Data/Recording_0/AnalogStream/Stream_0")
        stream["ChannelData"] = samples.T.astype("int32")
        stream["ChannelDataTimeStamps"] = np.array(rows, dtype="int64")
        stream["InfoChannel"] = info
    return file


def write_neuronexus(
    folder: Path, timestamps: np.ndarray, traces: np.ndarray | None = None
) -> Path:
    """Allego's files: traces, a count for each sample, and the JSON that describes them."""
    samples = noise(len(timestamps)) if traces is None else traces
    n_channels = samples.shape[1]
    folder.mkdir()
    names = [f"pri_{n}" for n in range(n_channels)]
    ends = [int(timestamps[0]), int(timestamps[-1])]
    status = {
        "samp_freq": RATE_HZ,
        "shape": [len(timestamps), n_channels],
        "timestamp_range": ends,
        "t_range": [ends[0] / RATE_HZ, ends[1] / RATE_HZ],
        "start_time": "2024-05-01T10:00:00.0000000-04:00",
    }
    channels = {"chan_name": names, "ntv_chan_name": names, "chan_type": ["ai0"] * n_channels}
    described = {"status": status, "sapiens_base": {"biointerface_map": channels}}
    samples.astype("float32").tofile(folder / "a_data.xdat")
    timestamps.astype("int64").tofile(folder / "a_timestamp.xdat")
    (folder / "a.xdat.json").write_text(json.dumps(described))
    return folder / "a.xdat.json"


def write_tdt(
    folder: Path,
    block_times_s: np.ndarray,
    rate_hz: float,
    begin_s: float,
    traces: np.ndarray | None = None,
) -> Path:
    """Write a tank of one block: pieces of 256 samples of each channel, each with its time."""
    n_channels = N_CHANNELS if traces is None else traces.shape[1]
    stem = folder / "Block-1" / f"{folder.name}_Block-1"
    stem.parent.mkdir(parents=True)
    store = {
        "StoreName": "RSn1",
        "HeadName": "RSn1",
        "Enabled": 1,
        "CircType": 0,
        "NumChan": n_channels,
        "StrobeMode": 0,
        "TankEvType": tdtrawio.EVTYPE_STREAM,
        "NumPoints": 256,
        "DataFormat": 2,
        "SampleFreq": rate_hz,
    }
    fields = "".join(f"NAME={name};TYPE=S;VALUE={value};\n" for name, value in store.items())
    (stem.with_suffix(".Tbk")).write_text(f"{fields}[STOREHDRITEM][USERNOTEDELIMITER]")
    (stem.with_suffix(".tdx")).write_bytes(b"")
    n_events = len(block_times_s) * n_channels
    events = np.zeros(n_events + 3, tdtrawio.tsq_dtype)
    events["evname"][1], events["timestamp"][1] = chr(tdtrawio.EVMARK_STARTBLOCK), begin_s
    events["evname"][-1] = chr(tdtrawio.EVMARK_STOPBLOCK)
    events["timestamp"][-1] = block_times_s[-1] + 256 / rate_hz
    blocks = events[2:-1]
    blocks["size"], blocks["evtype"], blocks["evname"] = 138, tdtrawio.EVTYPE_STREAM, b"RSn1"
    blocks["channel"] = np.tile(np.arange(n_channels) + 1, len(block_times_s))
    blocks["timestamp"] = np.repeat(block_times_s, n_channels)
    blocks["offset"], blocks["dataformat"] = np.arange(n_events) * 512, 2
    blocks["frequency"] = rate_hz
    events.tofile(stem.with_suffix(".tsq"))
    samples = noise(n_events * 256, 1)
    if traces is not None:  # pieces of one channel after the other
        samples = traces.reshape(len(block_times_s), 256, n_channels).transpose(0, 2, 1)
    samples.tofile(stem.with_suffix(".tev"))
    return folder
