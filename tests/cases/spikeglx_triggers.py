"""One imec file and its meta, Neuropixels 1.0, the first channels saved."""

import sys
from pathlib import Path

import numpy as np
from simulated import env, sim, truth


def glx(stem, counts, fs, first, gain=500, sync=True):

    n = counts.shape[1]
    stem.parent.mkdir(parents=True, exist_ok=True)
    full = np.hstack([counts, np.zeros((len(counts), 1), "int16")]).astype("int16")
    full.tofile(f"{stem}.bin")
    names = "".join(f"(AP{c};{c}:{c})" for c in range(n)) + f"(SY0;768:{n})"
    imro = "".join(f"({c} 0 0 {gain} 250 1)" for c in range(384))
    Path(f"{stem}.meta").write_text(
        "\n".join(
            [
                "acqApLfSy=384,384,1",
                "appVersion=20230905",
                f"fileName=D:/{stem.name}.bin",
                f"fileSizeBytes={full.nbytes}",
                f"fileTimeSecs={len(counts) / fs}",
                f"firstSample={first}",
                "fileCreateTime=2024-03-04T05:06:07",
                "imAiRangeMax=0.6",
                "imAiRangeMin=-0.6",
                "imDatPrb_pn=PRB_1_4_0480_1_C",
                "imDatPrb_type=0",
                "imDatPrb_sn=1",
                "imDatPrb_port=1",
                "imDatPrb_slot=2",
                "imMaxInt=512",
                f"imSampRate={fs}",
                f"nSavedChans={n + 1}",
                f"snsApLfSy={n},0,1",
                f"snsSaveChanSubset=0:{n - 1},768",
                "typeThis=imec",
                f"~imroTbl=(0,384){imro}",
                f"~snsChanMap=({n},0,1){names}",
                "~snsShankMap=(1,2,480)" + "".join(f"(0:{c % 2}:{c // 2}:1)" for c in range(n)),
                "~snsGeomMap=(PRB_1_4_0480_1_C,1,0,70)"
                + "".join(f"(0:{(27, 59, 11, 43)[c % 4]}:{20 * (c // 2)}:1)" for c in range(n)),
            ]
        )
        + "\n"
    )


NP1 = [((16, 48, 0, 32)[c % 4], 20 * (c // 2)) for c in range(384)]


"""One run, two gates, twelve triggers. argv[2]=gaps: 2 s are missing after each file; argv[2]=overlap: each file begins 0.5 s before the last one's end."""
out = Path(sys.argv[1])
kind = sys.argv[2] if len(sys.argv) > 2 else "gaps"
fs, secs, n_files = 30000, 1.25, 13
step = secs + 2.0 if kind == "gaps" else secs - 0.5
first0 = 45 * fs
x, units = sim(NP1[:16], fs, n_files * step + secs, 4)  # the whole time of the session
counts = np.round(x / (0.6 / 512 / 500 * 1e6)).clip(-512, 511).astype("int16")
segs = []
for k in range(n_files):
    a = int(round(k * step * fs))
    b = a + int(secs * fs)
    gate, trig = (0, k) if k < 12 else (1, 0)
    folder = out / f"mouse_g{gate}" / f"mouse_g{gate}_imec0"
    glx(folder / f"mouse_g{gate}_t{trig}.imec0.ap", counts[a:b], fs, first0 + a)
    segs.append((a, b))
truth(
    out,
    [([u[0][(u[0] >= a) & (u[0] < b)] - a for a, b in segs], u[1], u[2]) for u in units],
    fs,
    session_times=[
        sorted(set(np.concatenate([u[0][(u[0] >= a) & (u[0] < b)] for a, b in segs]).tolist()))
        for u in units
    ],
    first=first0,
    starts=[a for a, _ in segs],
)
env(SOURCE_FOLDER=out, DATA_TYPE="spikeglx", SORTERS="tridesclous2", EXPORTS="nwb,phy")
