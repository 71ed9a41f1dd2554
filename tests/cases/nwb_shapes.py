"""NWB whose series is unusual. argv[2]: flat = one electrode and data of one dimension; transposed = channels x time; names = channel names that repeat by shank;
process = in processing/, electrodes from the middle of the table in another order, channel_conversion, offset, starting_time 50 s; gaps: timestamps; zstd = compressed with HDF5's filter 32015."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import ElectricalSeries
from simulated import env, sim, truth

out, kind = Path(sys.argv[1]), sys.argv[2]
out.mkdir(parents=True, exist_ok=True)
fs, n = 30000, 1 if kind == "flat" else 16
pos = [(20.0 * (c % 2), 20.0 * (c // 2)) for c in range(n)]
x, units = sim(pos, fs, 10, 2 if n == 1 else 4)
nwb = NWBFile("s", "id-" + kind, datetime(2025, 1, 2, tzinfo=UTC))
dev = nwb.create_device("probe")
grp = nwb.create_electrode_group("g", description="d", location="l", device=dev)
grp2 = nwb.create_electrode_group("g2", description="d", location="l", device=dev)
nwb.add_electrode_column("rel_x", "x")
nwb.add_electrode_column("rel_y", "y")
nwb.add_electrode_column("channel_name", "n")
rng = np.random.default_rng(2)
lead = 5 if kind == "process" else 0
for k in range(lead):
    nwb.add_electrode(
        group=grp2, location="l", rel_x=9000.0 + k, rel_y=20.0 * k, channel_name=f"other{k}"
    )
order = (
    rng.permutation(n) if kind == "process" else np.arange(n)
)  # row lead+j of the table is contact order[j]
for j in order:
    nwb.add_electrode(
        group=grp if kind != "names" or j < 8 else grp2,
        location="l",
        rel_x=pos[j][0] + (2000 * (j >= 8) if kind == "names" else 0),
        rel_y=pos[j][1],
        channel_name=f"ch{j % 8 if kind == 'names' else j}",
    )
rows = [lead + int(np.flatnonzero(order == c)[0]) for c in range(n)]  # data column c is contact c
rows_sorted = rows
region = nwb.create_electrode_table_region(rows_sorted, "all")
counts, kw = np.round(x / 0.195).astype("int16"), dict(conversion=0.195e-6)
if kind == "process":
    cc = rng.uniform(0.5, 2, n)
    counts = np.round((x + 120.0) / 0.195 / cc).astype("int16")
    kw.update(channel_conversion=list(cc), offset=-120e-6)
if kind == "flat":
    counts = counts[:, 0]
if kind == "transposed":
    counts = np.ascontiguousarray(counts.T)
if kind == "process":
    kw.update(starting_time=50.0, rate=float(fs))
else:
    kw.update(rate=float(fs))
es = ElectricalSeries("ElectricalSeries", counts, region, **kw)
if kind == "process":
    nwb.create_processing_module("ecephys", "p").add(es)
else:
    nwb.add_acquisition(es)
file = out / "a.nwb"
with NWBHDF5IO(str(file), "w") as io:
    io.write(nwb)
if kind == "zstd":
    from numcodecs import Zstd

    with h5py.File(file, "r+") as f:
        old = f["acquisition/ElectricalSeries/data"]
        attrs = dict(old.attrs)
        data = old[:]
        del f["acquisition/ElectricalSeries/data"]
        chunk = (15000, n)
        dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        dcpl.set_chunk(chunk)
        dcpl.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        ds = h5py.Dataset(
            h5py.h5d.create(
                f["acquisition/ElectricalSeries"].id,
                b"data",
                h5py.h5t.NATIVE_INT16,
                h5py.h5s.create_simple(data.shape),
                dcpl,
            )
        )
        for a in range(0, len(data), chunk[0]):
            block = np.zeros(chunk, "int16")
            part = data[a : a + chunk[0]]
            block[: len(part)] = part
            ds.id.write_direct_chunk((a, 0), Zstd(3).encode(block.tobytes()))
        for k, v in attrs.items():
            ds.attrs[k] = v
truth(out, units, fs)
env(SOURCE_FOLDER=file, DATA_TYPE="nwb", SORTERS="tridesclous2", EXPORTS="nwb")
