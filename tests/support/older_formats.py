"""Writers of formats that neo reads only in part, as their headers and files are laid out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from neo.rawio import axonarawio, blackrockrawio, neuroexplorerrawio

#: of Axona: gain of the first channel of the board, and of each other that times its number
AXONA_GAIN = 1000


def write_blackrock_21(file: Path, traces: np.ndarray) -> Path:
    """Write samples at 30 kHz as .nsX of version 2.1, whose steps only the .nev beside it knows."""
    header = np.zeros(1, blackrockrawio.NSX_BASIC_HEADER_TYPES["2.1"])
    header["file_id"], header["label"], header["period"] = b"NEURALSG", b"30 kS/s", 1
    header["channel_count"] = traces.shape[1]
    numbers = np.arange(traces.shape[1], dtype="<u4") + 1
    file.write_bytes(header.tobytes() + numbers.tobytes() + traces.tobytes())
    return file


def write_axona(file: Path, board: np.ndarray, tetrodes: Sequence[int]) -> Path:
    """Write the samples of all 64 channels of a board, and a .set with some tetrodes active.

    Three samples of all channels are a packet.
    """
    header = ["trial_date Monday, 1 Jan 2024", "trial_time 10:00:00", "rawRate 48000"]
    header += ["ADC_fullscale_mv 1500", "pretrigSamps 10", "Spike2msMode 0"]
    header += [f"gain_ch_{channel} {AXONA_GAIN * (channel + 1)}" for channel in range(64)]
    header += [f"collectMask_{number} {int(number in tetrodes)}" for number in range(1, 17)]
    file.write_bytes(("\r\n".join(header) + "\r\ndata_start").encode("cp1252"))
    in_memory = np.zeros_like(board)
    in_memory[:, np.array(axonarawio.AxonaRawIO.channel_memory_offset)] = board
    packets = np.zeros((len(board) // 3, 216), "int16")
    packets[:, 16:208] = in_memory.reshape(len(packets), 192)
    file.with_suffix(".bin").write_bytes(packets.tobytes())
    return file


def write_neuroexplorer(
    file: Path, samples: np.ndarray, begins_s: Sequence[float], firsts: Sequence[int]
) -> Path:
    """Write a channel at 40 kHz in fragments, each with its time and its first sample."""
    rate = 40_000.0
    head = np.zeros(1, np.dtype(list(neuroexplorerrawio.GlobalHeader)))
    head["signature"], head["version"], head["freq"], head["nvar"] = b"NEX1", 104, rate, 1
    head["tend"] = rate * (max(begins_s) + len(samples) / rate)
    entity = np.zeros(1, np.dtype(list(neuroexplorerrawio.EntityHeader)))
    entity["type"], entity["varVersion"], entity["name"] = 5, 100, b"WB01"
    entity["n"], entity["NPointsWave"] = len(begins_s), len(samples)
    entity["WFrequency"], entity["ADtoMV"] = rate, 0.0002
    entity["offset"] = 544 + entity.nbytes
    times = (np.array(begins_s) * rate).astype("<i4")
    parts = [head.tobytes().ljust(544, b"\0"), entity.tobytes(), times.tobytes()]
    file.write_bytes(b"".join([*parts, np.array(firsts, "<i4").tobytes(), samples.tobytes()]))
    return file
