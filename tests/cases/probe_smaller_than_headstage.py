"""64-channel headstage, a 32-contact probe on channels 16..47 in a shuffled order (argv: unconnected = the JSON also lists 4 contacts with -1, of 36)."""

import sys
from pathlib import Path

import numpy as np
import probeinterface as pi
from simulated import env, sim, truth

out = Path(sys.argv[1])
flags = sys.argv[2:]
out.mkdir(parents=True, exist_ok=True)
fs = 30000
pos = np.array([(20.0 * (c % 2), 20.0 * (c // 2)) for c in range(32)])
x, units = sim(pos, fs, 15, 4)
wiring = 16 + np.random.default_rng(3).permutation(32)
full = np.random.default_rng(4).normal(0, 3, (len(x), 64)).astype("float32")
full[:, wiring] = x
np.round(full / 0.195).astype("int16").tofile(out / "amplifier.dat")
p = pi.Probe(ndim=2)
if "unconnected" in flags:
    pos = np.vstack([pos, [(0, 400.0 + 20 * k) for k in range(4)]])
    wiring = np.r_[wiring, [-1] * 4]
p.set_contacts(pos, shape_params={"radius": 6})
p.set_device_channel_indices(wiring)
pi.write_probeinterface(out / "probe.json", p)
truth(out, [(u[0], int(wiring[u[1]]), u[2]) for u in units], fs)
env(
    SOURCE_FOLDER=out / "amplifier.dat",
    DATA_TYPE="binary",
    PROBE_FILE="probe.json",
    SORTERS="tridesclous2",
    READ_RECORDING_KWARGS='{"sampling_frequency": 30000, "num_channels": 64, "dtype": "int16", "gain_to_uV": 0.195, "offset_to_uV": 0}',
)
