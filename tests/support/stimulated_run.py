"""A SpikeGLX run of one probe and NI-DAQ, whose line 3 and first analog input show stimuli."""

from pathlib import Path

import numpy as np
from spikeinterface.core import BaseRecording

from tests.support.nidq import NIDQ_STEP_V, write_nidq
from tests.support.recordings import SpikeGlxRun, write_spikeglx

PROBE_HZ, NIDQ_HZ = 30_000.0, 25_000.4

#: the probe's clock is 60 ppm fast, and began 70 ms after NI-DAQ's
DRIFT, START_S = 60e-6, 0.07

#: of a stimulus
STIMULUS_S = 0.002


def frames_of_probe(nidq_s: np.ndarray) -> np.ndarray:
    """The probe's frames at times of NI-DAQ: the truth."""
    frames: np.ndarray = (nidq_s - START_S) * (1 + DRIFT) * PROBE_HZ
    return frames


def write_stimulated_run(
    folder: Path, probe: BaseRecording, stimuli_s: np.ndarray, artifact: int = 0
) -> Path:
    """Write the run; `stimuli_s` are on NI-DAQ's clock, `artifact` is added while one lasts."""
    run = write_spikeglx(folder, probe, SpikeGlxRun(first_sample=40_000, with_lf=False))
    [ap] = run.rglob("*.ap.bin")
    samples = np.fromfile(ap, "int16").reshape(-1, probe.get_num_channels() + 1)
    nidq_s = START_S + np.arange(len(samples)) / PROBE_HZ / (1 + DRIFT)
    samples[_stimulated(nidq_s, stimuli_s), :-1] += artifact
    samples[:, -1] = _sync_is_high(nidq_s) * 64
    samples.tofile(ap)
    times_s = np.arange(round((len(samples) / PROBE_HZ + START_S) * NIDQ_HZ)) / NIDQ_HZ
    stimulated = _stimulated(times_s, stimuli_s)
    words = (_sync_is_high(times_s) * 1 + stimulated * 8).astype("uint16")[:, None]
    analog = (stimulated * round(3.0 / NIDQ_STEP_V)).astype("int16")[:, None]
    sync = {"syncSourceIdx": 1, "syncNiChanType": 0, "syncNiChan": 0, "syncSourcePeriod": 1}
    stem = run / f"{run.name}_t0"
    write_nidq(stem, words, analog, rate_hz=NIDQ_HZ, first_sample=7_000, changes=sync)
    return run


def _sync_is_high(nidq_s: np.ndarray) -> np.ndarray:
    """Whether the sync line is high: half a second, each second."""
    high: np.ndarray = nidq_s % 1.0 < 0.5
    return high


def _stimulated(nidq_s: np.ndarray, stimuli_s: np.ndarray) -> np.ndarray:
    last = np.searchsorted(stimuli_s, nidq_s, side="right") - 1
    during: np.ndarray = (last >= 0) & (nidq_s - stimuli_s[last] < STIMULUS_S)
    return during
