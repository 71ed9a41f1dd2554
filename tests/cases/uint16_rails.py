"""uint16 of 16 bits whose zero is at 20000 (an amplifier with an offset), with artefacts that reach both rails."""

import sys
from pathlib import Path

import numpy as np
import probeinterface as pi
import spikeinterface as si
from simulated import env, sim, truth

out = Path(sys.argv[1])
fs, n = 30000, 16
pos = [(20.0 * (c % 2), 20.0 * (c // 2)) for c in range(n)]
x, units = sim(pos, fs, 10, 4)
v = x / 0.195 + 20000
for k in range(20):
    v[k * 15000 + 5000 : k * 15000 + 5060] = 65535  # stimulation artefacts, 2 ms, positive
rec = si.NumpyRecording([np.round(v).clip(0, 65535).astype("uint16")], fs)
rec.set_channel_gains(0.195)
rec.set_channel_offsets(-20000 * 0.195)
p = pi.Probe(ndim=2)
p.set_contacts(pos, shape_params={"radius": 5})
p.set_device_channel_indices(np.arange(n))
rec.set_probe(p)
rec.save(folder=out / "rec", progress_bar=False)
truth(out, units, fs)
env(SOURCE_FOLDER=out / "rec", DATA_TYPE="binary", SORTERS="tridesclous2")
