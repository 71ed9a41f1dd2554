"""Four tetrodes (wires 20 um apart, 600 um between tetrodes), each with two neurons that all four wires see nearly alike, as tetrodes are made for."""

import sys
from pathlib import Path

import numpy as np
import probeinterface as pi
import spikeinterface as si
from simulated import env, truth

out = Path(sys.argv[1])
fs = 30000
rng = np.random.default_rng(3)
local = np.array([(0, 0), (20, 0), (0, 20), (20, 20)], float)
pos = np.concatenate([local + [600 * k, 0] for k in range(4)])
n = 16
x = rng.normal(0, 6, (10 * fs, n)).astype("float32") + rng.normal(0, 4, (10 * fs, 1)).astype(
    "float32"
)
t = np.arange(-30, 60) / fs * 1000
units = []
for k in range(8):
    wires = rng.uniform(0.75, 1.0, 4)
    c = 4 * (k // 2) + int(wires.argmax())
    amp = (260, 170)[k % 2] / wires.max()
    wave = -np.exp(-((t / (0.12, 0.22)[k % 2]) ** 2)) + 0.35 * np.exp(-(((t - 0.5) / 0.3) ** 2))
    times = np.cumsum(rng.exponential(0.12, 300) + 0.003) * fs
    times = times[(times > 60) & (times < len(x) - 90)].astype(int)
    for s in times:
        x[s - 30 : s + 60, 4 * (k // 2) : 4 * (k // 2) + 4] += np.outer(wave, amp * wires)
    units.append((times, c, (260, 170)[k % 2]))
rec = si.NumpyRecording([np.round(x / 0.195).astype("int16")], fs)
rec.set_channel_gains(0.195)
rec.set_channel_offsets(0)
g = pi.ProbeGroup()
for k in range(4):
    p = pi.Probe(ndim=2)
    p.set_contacts(pos[4 * k : 4 * k + 4], shape_params={"radius": 6})
    g.add_probe(p)
g.set_global_device_channel_indices(np.arange(n))
rec.set_probegroup(g)
rec.save(folder=out / "rec", progress_bar=False)
truth(out, units, fs)
env(SOURCE_FOLDER=out / "rec", DATA_TYPE="binary", SORTERS="simple,tridesclous2")
