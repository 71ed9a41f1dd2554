"""64 channels of int16 NWB whose series has no conversion (or a binary folder without gains: argv[2]=binary)."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from simulated import env, sim, truth

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
n = 64 if len(sys.argv) < 4 else int(sys.argv[3])
pos = [(20 * (c % 2), 20 * (c // 2)) for c in range(n)]
x, units = sim(pos, 30000, 10, 4)
t = np.arange(len(x)) / 30000
x += (60 * np.sin(2 * np.pi * 8 * t))[:, None]  # an LFP that all share
counts = np.round(x / 0.195).astype("int16")
truth(out, units, 30000)
if len(sys.argv) > 2 and sys.argv[2] == "binary":
    import probeinterface
    import spikeinterface as si

    rec = si.NumpyRecording([counts], 30000)
    p = probeinterface.Probe(ndim=2)
    p.set_contacts(pos, shape_params={"radius": 5})
    p.set_device_channel_indices(np.arange(n))
    rec.set_probe(p)
    rec.save(folder=out / "rec", progress_bar=False)
    env(SOURCE_FOLDER=out / "rec", DATA_TYPE="binary", SORTERS="simple")
else:
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import ElectricalSeries

    nwb = NWBFile("s", "id1", datetime(2025, 1, 2, tzinfo=UTC))
    dev = nwb.create_device("probe")
    grp = nwb.create_electrode_group("g", description="d", location="l", device=dev)
    nwb.add_electrode_column("rel_x", "x")
    nwb.add_electrode_column("rel_y", "y")
    for a, b in pos:
        nwb.add_electrode(group=grp, location="l", rel_x=float(a), rel_y=float(b))
    nwb.add_acquisition(
        ElectricalSeries(
            "ElectricalSeries",
            counts,
            nwb.create_electrode_table_region(list(range(n)), "all"),
            rate=30000.0,
        )
    )
    with NWBHDF5IO(str(out / "a.nwb"), "w") as io:
        io.write(nwb)
    env(SOURCE_FOLDER=out / "a.nwb", DATA_TYPE="nwb", SORTERS="simple")
