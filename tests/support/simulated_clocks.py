"""Clocks that run fast or slow and jump, and the sync pulses that a stream records on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikeinterface_cloud.recording.sync.pulses import Seconds
from spikeinterface_cloud.recording.sync.sync_line import SyncLine


@dataclass(frozen=True, kw_only=True)
class TrueClock:
    """The clock of a stream, of which the truth is known."""

    name: str
    rate_hz: float = 30_000.0
    drift_ppm: float = 0.0
    #: its time when the session begins
    offset_s: float = 0.0
    #: drift that comes and goes with the temperature, within half an hour
    swing_ppm: float = 0.0
    #: (true time, seconds that the clock misses)
    jumps: Sequence[tuple[float, float]] = ()

    def own_s(self, true_s: Seconds) -> Seconds:
        """Return what the clock says at a true time."""
        turn = 2 * np.pi / 1800
        own_s = self.offset_s + true_s * (1 + 1e-6 * self.drift_ppm)
        own_s = own_s + 1e-6 * self.swing_ppm * (1 - np.cos(turn * true_s)) / turn
        for at_s, missed_s in self.jumps:
            # missed samples leave the clock where it is; a negative number sets it forward
            passed_s = true_s - at_s if missed_s > 0 else np.full_like(true_s, missed_s)
            own_s = own_s - np.where(true_s >= at_s, np.minimum(passed_s, missed_s), 0.0)
        return np.asarray(own_s)

    def record(self, true_s: Seconds, begin_s: float, end_s: float) -> SyncLine:
        """Return pulses at true times as the stream records them from `begin_s` to `end_s`."""
        recorded = (true_s > begin_s) & (true_s < end_s)
        for at_s, missed_s in self.jumps:
            recorded &= (true_s < at_s) | (true_s > at_s + missed_s)
        recorded_s = true_s[recorded]
        samples = np.ceil(self.own_s(recorded_s) * self.rate_hz)
        start_s, stop_s = self.own_s(np.array([begin_s, end_s]))
        return SyncLine(
            stream=self.name,
            sampling_frequency_hz=self.rate_hz,
            start_s=float(start_s),
            end_s=float(stop_s),
            line=f"the line of {self.name}",
            rising_s=np.unique(samples) / self.rate_hz,
        )


def random_pulses(rng: np.random.Generator, length_s: float, mean_s: float = 2.0) -> Seconds:
    """Return true times of pulses with irregular intervals."""
    intervals = rng.uniform(0.2, 2 * mean_s - 0.2, int(length_s / mean_s * 1.2) + 20)
    times_s = np.cumsum(intervals)
    return times_s[times_s < length_s]


def periodic_pulses(length_s: float, period_s: float = 1.0, phase_s: float = 0.37) -> Seconds:
    """Return true times of pulses with one period."""
    return np.arange(phase_s, length_s, period_s)


def disturb(
    line: SyncLine,
    rng: np.random.Generator,
    lost: float = 0.05,
    doubled: float = 0.05,
    late: float = 0.05,
) -> SyncLine:
    """Return a line of which pulses are lost, doubled by glitches, and late, as fractions."""
    kept = line.rising_s[rng.random(len(line.rising_s)) >= lost]
    is_late = rng.random(len(kept)) < late
    kept = kept + is_late * rng.uniform(0.001, 0.1, len(kept))
    glitches = kept[rng.random(len(kept)) < doubled]
    glitches = glitches + rng.uniform(0.0002, 0.05, len(glitches))
    return replace(line, rising_s=np.unique(np.concatenate([kept, glitches])))
