"""What the cases share: simulated traces with known spikes, the truth, the variables of the job."""

import json
from pathlib import Path

import numpy as np


def sim(pos, fs, seconds, n_units=4, seed=0, noise=6.0, lam=25.0):
    """Traces in uV (samples x channels), and for each neuron its frames, channel and height in uV.

    `pos` are the channels' positions in um; spikes decay with `lam`, in um.
    """
    rng = np.random.default_rng(seed)
    pos, n = np.asarray(pos, float), int(seconds * fs)
    x = rng.normal(0, noise, (n, len(pos))).astype("float32")
    before = int(0.001 * fs)
    t = np.arange(-before, int(0.002 * fs)) / fs * 1000
    chosen = np.arange(n_units) % len(pos)
    if n_units < len(pos):
        chosen = np.linspace(0, len(pos) - 1, n_units + 2).astype(int)[1:-1]
    units = []
    for k, c in enumerate(chosen):
        amp, width = np.linspace(280, 140, n_units)[k], (0.12, 0.2, 0.16, 0.26)[k % 4]
        after = np.exp(-(((t - 0.5 - 0.1 * (k % 2)) / 0.3) ** 2))
        wave = -np.exp(-((t / width) ** 2)) + (0.3 + 0.1 * (k % 3)) * after
        heights = amp * np.exp(-np.linalg.norm(pos - pos[c], axis=1) / lam)
        template = np.outer(wave, heights).astype("float32")
        times = np.cumsum(rng.exponential(0.1, int(seconds * 12) + 5) + 0.003) * fs
        times = times[(times > 60) & (times < n - 90)].astype(int)
        for s in times:
            x[s - before :][: len(t)] += template
        units.append((times, int(c), float(amp)))
    return x, units


def truth(out, units, fs, **more):
    """Write `truth.json` beside `out`; the frames of a unit may be a list of them by segment."""
    described = []
    for frames, channel, amp in units:
        by_segment = frames if isinstance(frames, list) else [frames]
        times = [list(map(int, segment)) for segment in by_segment]
        described.append({"times": times, "channel": channel, "amp": amp})
    content = {"fs": fs, **more, "units": described}
    (Path(out).parent / "truth.json").write_text(json.dumps(content))


def env(**variables):
    """Print the variables of the job."""
    print(" ".join(f"{name}='{value}'" for name, value in variables.items()))
