"""A session of two probes and NI-DAQ, each with a clock of its own, and the truth about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from spikeinterface.core import BaseSorting

from tests.support.nidq import write_nidq
from tests.support.recordings import SpikeGlxRun, simulate, write_spikeglx

DURATION_S = 20.0
PROBE_HZ = 30_000.0
NIDQ_HZ = 25_000.0

#: how much faster than NI-DAQ's the clock of each probe runs, in parts per million
DRIFTS_PPM = (30.0, -30.0)
#: what each clock says when the files begin
STARTS_S = (93.0, 211.0)
NIDQ_START_S = 12.0

SYNC_BIT, EVENT_BIT, OTHER_BIT = 6, 3, 7
PULSE_S, EVENT_S = 0.5, 0.05
#: seconds since the files began
EVENTS_S = np.array([1.2345, 4.0, 4.2, 9.87654, 15.5])
NIDQ_SYNC = {
    "syncSourceIdx": 2,
    "syncSourcePeriod": 1,
    "syncNiChan": OTHER_BIT,
    "syncNiChanType": 0,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenSession:
    """A session's folder, and its true spikes."""

    run: Path
    #: of each probe, in frames of its own
    sortings: Sequence[BaseSorting]

    def true_times_s(self, probe: int, frames: np.ndarray) -> np.ndarray:
        """Return the true times of frames of a probe on NI-DAQ's clock."""
        rate_hz = PROBE_HZ * (1 + 1e-6 * DRIFTS_PPM[probe])
        return np.asarray(NIDQ_START_S + frames / rate_hz)


def write_session(folder: Path, duration_s: float = DURATION_S) -> WrittenSession:
    """Write a SpikeGLX run whose files begin together, with a sync pulse every second."""
    simulated = [simulate(duration_s=duration_s, n_units=3, seed=seed) for seed in (1, 2)]
    layout = SpikeGlxRun(name="run", with_lf=False)
    run = write_spikeglx(folder, [recording for recording, _ in simulated], layout)
    pulses_s = np.arange(0.37, duration_s, 1.0)
    for probe, (drift_ppm, start_s) in enumerate(zip(DRIFTS_PPM, STARTS_S, strict=True)):
        rate_hz = PROBE_HZ * (1 + 1e-6 * drift_ppm)
        [file] = run.glob(f"*imec{probe}/*.ap.bin")
        n_channels = simulated[probe][0].get_num_channels() + 1
        samples = np.fromfile(file, dtype="uint16").reshape(-1, n_channels)
        samples[:, -1] |= _word(len(samples), rate_hz, pulses_s, PULSE_S, SYNC_BIT)
        samples.tofile(file)
        meta = file.with_suffix(".meta")
        first = f"firstSample={start_s * PROBE_HZ:.0f}"
        text = meta.read_text().replace("firstSample=0", first)
        meta.write_text(f"{text}syncSourcePeriod=1\nfileCreateTime=2024-05-01T10:00:0{probe}\n")
    n_frames = int(duration_s * NIDQ_HZ)
    word = _word(n_frames, NIDQ_HZ, pulses_s, PULSE_S, OTHER_BIT)
    word |= _word(n_frames, NIDQ_HZ, EVENTS_S, EVENT_S, EVENT_BIT)
    write_nidq(
        run / f"{run.name}_t0",
        word[:, None],
        rate_hz=NIDQ_HZ,
        first_sample=int(NIDQ_START_S * NIDQ_HZ),
        changes={**NIDQ_SYNC, "fileCreateTime": "2024-05-01T10:00:00"},
    )
    return WrittenSession(run=run, sortings=[sorting for _, sorting in simulated])


def _word(
    n_frames: int, rate_hz: float, starts_s: np.ndarray, length_s: float, bit: int
) -> np.ndarray:
    """Return words in which a bit is high during pulses."""
    word = np.zeros(n_frames, dtype="uint16")
    for start_s in starts_s:
        word[int(np.ceil(start_s * rate_hz)) : int(np.ceil((start_s + length_s) * rate_hz))] = (
            1 << bit
        )
    return word
