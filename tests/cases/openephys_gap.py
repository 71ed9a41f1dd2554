"""Open Ephys binary (GUI 0.6), 16 channels, 0.7 s lost by USB in the middle: sample_numbers.npy jumps. argv[2]=aux: with 3 AUX channels in the same stream, no gap."""

import json
import sys
from pathlib import Path

import numpy as np
import probeinterface as pi
from simulated import env, sim, truth

out = Path(sys.argv[1])
aux = 3 if "aux" in sys.argv[2:] else 0
fs, secs, gap = 30000, 10, 0 if aux else 21000
pos = [(20 * (c % 2), 20 * (c // 2)) for c in range(16)]
x, units = sim(pos, fs, secs, 4)
rec = out / "2024-05-06_10-11-12" / "Record Node 103" / "experiment1" / "recording1"
cont = rec / "continuous" / "Acquisition_Board-100.Rhythm Data"
cont.mkdir(parents=True)
counts = np.round(x / 0.195).astype("int16")
if aux:
    counts = np.hstack(
        [counts, np.random.default_rng(1).normal(8000, 50, (len(x), aux)).astype("int16")]
    )
counts.tofile(cont / "continuous.dat")
numbers = np.arange(len(x), dtype="int64") + 600000
numbers[len(x) // 2 :] += gap
np.save(cont / "sample_numbers.npy", numbers)
np.save(cont / "timestamps.npy", numbers / fs)
chans = [
    dict(
        channel_name=f"CH{c + 1}",
        description="Headstage data channel",
        identifier="genericdata.continuous",
        history="Acquisition Board",
        bit_volts=0.195,
        units="uV",
    )
    for c in range(16)
]
chans += [
    dict(
        channel_name=f"AUX{c + 1}",
        description="Aux data channel",
        identifier="genericdata.continuous",
        history="Acquisition Board",
        bit_volts=3.74e-05,
        units="mV",
    )
    for c in range(aux)
]
(rec / "structure.oebin").write_text(
    json.dumps(
        {
            "GUI version": "0.6.7",
            "continuous": [
                dict(
                    folder_name=cont.name + "/",
                    sample_rate=fs,
                    source_processor_name="Acquisition Board",
                    source_processor_id=100,
                    stream_name="Rhythm Data",
                    recorded_processor="Record Node",
                    recorded_processor_id=103,
                    num_channels=16 + aux,
                    channels=chans,
                )
            ],
            "events": [],
            "spikes": [],
        }
    )
)
p = pi.Probe(ndim=2)
p.set_contacts(pos, shape_params={"radius": 6})
p.set_device_channel_indices(np.arange(16))
pi.write_probeinterface(out / "2024-05-06_10-11-12" / "probe.json", p)
truth(out, units, fs, numbers_start=600000, gap_at=len(x) // 2, gap=gap)
env(
    SOURCE_FOLDER=out / "2024-05-06_10-11-12",
    DATA_TYPE="openephys",
    PROBE_FILE="probe.json",
    SORTERS="tridesclous2",
    EXPORTS="nwb",
)
