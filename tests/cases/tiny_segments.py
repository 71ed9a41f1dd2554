"""A saved folder of three segments, the middle one of 40 ms (argv[3], in ms), of argv[2] channels."""

import sys
from pathlib import Path

import numpy as np
import probeinterface as pi
import spikeinterface as si
from simulated import env, sim, truth

out = Path(sys.argv[1])
n = int(sys.argv[2]) if len(sys.argv) > 2 else 16
ms = float(sys.argv[3]) if len(sys.argv) > 3 else 40
fs = 30000
pos = [(20 * (c % 2), 20 * (c // 2)) for c in range(n)]
x, units = sim(pos, fs, 10, 4)
x += (50 * np.sin(2 * np.pi * 7 * np.arange(len(x)) / fs))[:, None]
counts = np.round(x / 0.195).astype("int16")
cuts = [0, 5 * fs, 5 * fs + int(ms * fs / 1000), len(x)]
rec = si.NumpyRecording([counts[a:b] for a, b in zip(cuts, cuts[1:])], fs)
rec.set_channel_gains(0.195)
rec.set_channel_offsets(0)
p = pi.Probe(ndim=2)
p.set_contacts(pos, shape_params={"radius": 5})
p.set_device_channel_indices(np.arange(n))
rec.set_probe(p)
rec.save(folder=out / "rec", progress_bar=False)
truth(
    out,
    [
        ([u[0][(u[0] >= a) & (u[0] < b)] - a for a, b in zip(cuts, cuts[1:])], u[1], u[2])
        for u in units
    ],
    fs,
)
env(SOURCE_FOLDER=out / "rec", DATA_TYPE="binary", SORTERS="simple,tridesclous2")
