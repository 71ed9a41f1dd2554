"""32 channels of float32 in volts, conversion 1, as NWB says they should be."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import ElectricalSeries
from simulated import env, sim, truth

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
scale = float(sys.argv[2]) if len(sys.argv) > 2 else 1e-6  # volts for each uV
pos = [(20 * (c % 2), 20 * (c // 2)) for c in range(32)]
x, units = sim(pos, 30000, 10, 4)
truth(out, units, 30000)
nwb = NWBFile("s", "id2", datetime(2025, 1, 2, tzinfo=UTC))
dev = nwb.create_device("probe")
grp = nwb.create_electrode_group("g", description="d", location="l", device=dev)
nwb.add_electrode_column("rel_x", "x")
nwb.add_electrode_column("rel_y", "y")
for a, b in pos:
    nwb.add_electrode(group=grp, location="l", rel_x=float(a), rel_y=float(b))
nwb.add_acquisition(
    ElectricalSeries(
        "ElectricalSeries",
        (x * scale).astype("float32"),
        nwb.create_electrode_table_region(list(range(32)), "all"),
        rate=30000.0,
        conversion=1e-6 / scale,
    )
)
with NWBHDF5IO(str(out / "a.nwb"), "w") as io:
    io.write(nwb)
env(
    SOURCE_FOLDER=out / "a.nwb",
    DATA_TYPE="nwb",
    SORTERS="kilosort4,spykingcircus2",
    SORTERS_KWARGS='{"kilosort4": {"torch_device": "cpu"}}',
)
