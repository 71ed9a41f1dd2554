"""96 channels: a 64-channel and a 32-channel probe in two brain areas, each with the field potential and the common noise (EMG, reference) of its own headstage; argv[2]=tetrodes|utah: other layouts."""

import sys
from pathlib import Path

import numpy as np
import probeinterface as pi
import spikeinterface as si
from scipy.signal import butter, sosfiltfilt
from simulated import env, sim, truth

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
kind = sys.argv[2] if len(sys.argv) > 2 else "probes"
rng, fs, secs = np.random.default_rng(5), 30000, 10
group = pi.ProbeGroup()
if kind == "probes":
    for a in range(2):
        p = pi.generate_linear_probe(num_elec=(64, 32)[a], ypitch=25)
        p.move([a * 3000, 0])
        group.add_probe(p)
elif kind == "tetrodes":
    for a in range(16):
        p = pi.generate_tetrode(r=15)
        p.move([a * 300, 0])
        group.add_probe(p)
else:
    group.add_probe(
        pi.generate_multi_columns_probe(
            num_columns=10, num_contact_per_column=10, xpitch=400, ypitch=400
        )
    )
n = group.get_contact_count()
group.set_global_device_channel_indices(np.arange(n))
pos = np.concatenate([p.contact_positions for p in group.probes])
x, units = sim(pos, fs, secs, 5)
area = {
    "probes": np.repeat([0, 1], [64, 32]),
    "tetrodes": np.repeat([0, 1], 32),
    "utah": np.zeros(n, int),
}[kind]
lfp = sosfiltfilt(
    butter(2, [2, 60], "band", fs=fs, output="sos"), rng.normal(size=(len(x), 2)), axis=0
)
lfp = lfp / lfp.std(0) * [150, 70]
hum = 8 * np.sin(2 * np.pi * 50 * np.arange(len(x)) / fs)
emg = sosfiltfilt(
    butter(2, [300, 6000], "band", fs=fs, output="sos"), rng.normal(size=(len(x), 2)), axis=0
)
emg = emg / emg.std(0) * [float(a) for a in (sys.argv[3:5] or (10, 10))]
x += (lfp + emg)[:, area] * rng.uniform(0.9, 1.1, n) + hum[:, None]
rec = si.NumpyRecording([np.round(x / 0.195).clip(-32768, 32767).astype("int16")], fs)
rec.set_channel_gains(0.195)
rec.set_channel_offsets(0)
rec.set_probegroup(group)
rec.save(folder=out / "rec", progress_bar=False)
truth(out, units, fs)
env(SOURCE_FOLDER=out / "rec", DATA_TYPE="binary", SORTERS="simple")
