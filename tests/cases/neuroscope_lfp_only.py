"""Neuroscope session whose .dat was left behind: session.xml (20 kHz; field potentials at 1250 Hz) and session.eeg. argv: all = with the .dat as well, .lfp instead of .eeg."""

import sys
from pathlib import Path

import numpy as np
import probeinterface as pi
from simulated import env, sim, truth

out = Path(sys.argv[1])
both = "all" in sys.argv[2:]
s = out / "session"
s.mkdir(parents=True)
fs, n = 20000, 16
pos = [(20.0 * (c % 2), 20.0 * (c // 2)) for c in range(n)]
rng = np.random.default_rng(1)
t = np.arange(120 * 1250) / 1250
lfp = (
    300 * np.sin(2 * np.pi * 8 * t)[:, None]
    + np.cumsum(rng.normal(0, 15, (len(t), n)), 0) * 0.3
    + rng.normal(0, 20, (len(t), n))
    - (rng.random((len(t), 1)) < 0.002) * 500
)
(lfp / 0.3815).clip(-32768, 32767).astype("int16").tofile(
    s / ("session.lfp" if both else "session.eeg")
)
x, units = sim(pos, fs, 10, 4)
if both:
    np.round(x / (20e6 / 65536 / 800)).astype("int16").tofile(s / "session.dat")
groups = "".join(f'<channel skip="0">{c}</channel>' for c in range(n))
(s / "session.xml").write_text(
    f"<?xml version='1.0'?><parameters version='1.0' creator='neuroscope-2.0.0'><acquisitionSystem><nBits>16</nBits><nChannels>{n}</nChannels><samplingRate>{fs}</samplingRate><voltageRange>20</voltageRange><amplification>800</amplification><offset>0</offset></acquisitionSystem><fieldPotentials><lfpSamplingRate>1250</lfpSamplingRate></fieldPotentials><anatomicalDescription><channelGroups><group>{groups}</group></channelGroups></anatomicalDescription></parameters>"
)
p = pi.Probe(ndim=2)
p.set_contacts(pos, shape_params={"radius": 6})
p.set_device_channel_indices(np.arange(n))
pi.write_probeinterface(s / "probe.json", p)
truth(out, units, fs)
env(SOURCE_FOLDER=s, DATA_TYPE="neuroscope", PROBE_FILE="probe.json", SORTERS="tridesclous2")
