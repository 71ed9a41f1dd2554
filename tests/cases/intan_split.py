"""A session that Intan's RHX split into three .rhd files, 16 channels, in a folder with the probe."""

import struct
import sys
from pathlib import Path

import numpy as np
import probeinterface as pi
from simulated import env, sim, truth

out = Path(sys.argv[1])
fs, n = 30000, 16
pos = [(20 * (c % 2), 20 * (c // 2)) for c in range(n)]
x, units = sim(pos, fs, 10, 4)
x = x[: len(x) // (3 * 128) * (3 * 128)]
q = lambda s: struct.pack("<I", len(s) * 2) + s.encode("utf-16-le")


def header():
    h = (
        struct.pack(
            "<Ihhfh6fh2f",
            0xC6912702,
            3,
            0,
            fs,
            1,
            1.0,
            0.1,
            7500.0,
            1.0,
            0.1,
            7500.0,
            0,
            1000.0,
            1000.0,
        )
        + q("") * 3
    )
    h += (
        struct.pack("<hh", 0, 0)
        + q("")
        + struct.pack("<h", 1)
        + q("Port A")
        + q("A")
        + struct.pack("<hhh", 1, n, n)
    )
    for c in range(n):
        h += (
            q(f"A-{c:03d}")
            + q(f"A-{c:03d}")
            + struct.pack("<10h2f", c, c, 0, 1, c, 0, 0, 0, 0, 0, 1e5, 0.0)
        )
    return h


session = out / "session_240506_101112"
session.mkdir(parents=True)
size = len(x) // 3
for k in range(3):
    with open(session / f"session_240506_10{11 + k}12.rhd", "wb") as f:
        f.write(header())
        for b in range(k * size, (k + 1) * size, 128):
            f.write(np.arange(b, b + 128, dtype="<i4").tobytes())
            f.write((np.round(x[b : b + 128] / 0.195) + 32768).astype("<u2").T.tobytes())
p = pi.Probe(ndim=2)
p.set_contacts(pos, shape_params={"radius": 6})
p.set_device_channel_indices(np.arange(n))
pi.write_probeinterface(session / "probe.json", p)
truth(
    out,
    [
        (
            [u[0][(u[0] >= k * size) & (u[0] < (k + 1) * size)] - k * size for k in range(3)],
            u[1],
            u[2],
        )
        for u in units
    ]
    if "append" in sys.argv[2:]
    else units,
    fs,
)
kw = dict(SOURCE_FOLDER=session, DATA_TYPE="intan", PROBE_FILE="probe.json", SORTERS="tridesclous2")
if "split" in sys.argv[2:] or "append" in sys.argv[2:]:
    kw["DATA_TYPE"] = "split_intan_files"
    if "append" in sys.argv[2:]:
        kw["READ_RECORDING_KWARGS"] = '{"mode": "append"}'
env(**kw)
