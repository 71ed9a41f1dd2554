"""A piecewise linear mapping of one clock to another, from pulses that both recorded.

Between jumps the offset of two clocks changes slowly, as their drift follows the temperature.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.interpolate import make_lsq_spline

from spikeinterface_cloud.recording.sync.pulses import Seconds
from spikeinterface_cloud.session.continuous import continuous
from spikeinterface_cloud.session.pulse_matching import Matches

#: pulses from one knot to the next, unless they take less or more seconds
PULSES_PER_KNOT = 30
KNOT_SECONDS = (20.0, 300.0)

#: pulses and seconds that a drift is determined from
DRIFT_PULSES, DRIFT_S = 20, 60.0

#: seconds of pulses that say the drift before the first and after the last one
END_S = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockFit:
    """Knots of the mapping, and the pulses that it follows."""

    own_s: Seconds
    reference_s: Seconds
    #: of the pulses that are used
    pulses_s: Seconds
    residuals_s: Seconds
    #: the last pulse before each jump, the first one after it, and its size
    jumps: list[tuple[float, float, float]]
    drift: float


def fit_clock(matches: Matches, start_s: float, end_s: float) -> ClockFit:
    """Fit the mapping from the start of the stream to its end."""
    own_s, offset_s, stretches = continuous(matches.own_s, matches.offset_s)
    drift = _drift(own_s, offset_s, stretches)
    lines = [_Stretch(own_s[each], offset_s[each], drift) for each in stretches]
    jumps = []
    for before, after in pairwise(lines):
        begin, end = float(before.knots[-1]), float(after.knots[0])
        middle = (begin + end) / 2
        jumps.append((begin, end, after.at(middle) - before.at(middle)))
        before.extend_to(float(np.nextafter(middle, -np.inf)))
        after.extend_to(middle)
    lines[0].extend_to(start_s)
    lines[-1].extend_to(end_s)
    knots = np.concatenate([line.knots for line in lines])
    return ClockFit(
        own_s=knots,
        reference_s=knots + np.concatenate([line.offsets for line in lines]),
        pulses_s=own_s,
        residuals_s=np.concatenate([line.residuals for line in lines]),
        jumps=jumps,
        drift=drift,
    )


def _drift(own_s: Seconds, offset_s: Seconds, stretches: list[npt.NDArray[np.int64]]) -> float:
    """Return the mean drift, without the jumps."""
    centered = [
        (own_s[each] - own_s[each].mean(), offset_s[each] - offset_s[each].mean())
        for each in stretches
    ]
    passed = sum(float(np.sum(times * times)) for times, _ in centered)
    return sum(float(np.sum(times * offsets)) for times, offsets in centered) / passed


class _Stretch:
    """The offset of the clocks between two jumps."""

    def __init__(self, own_s: Seconds, offset_s: Seconds, drift: float) -> None:
        self._drifts = [drift, drift]
        if len(own_s) >= DRIFT_PULSES and own_s[-1] - own_s[0] >= DRIFT_S:
            self.knots, self.offsets = _spline(own_s, offset_s)
            near = (own_s <= own_s[0] + END_S, own_s >= own_s[-1] - END_S)
            if all(np.count_nonzero(each) >= DRIFT_PULSES for each in near):
                self._drifts = [_slope(own_s[each], offset_s[each]) for each in near]
        else:
            level = float(np.median(offset_s - drift * own_s))
            self.knots = own_s[[0, -1]]
            self.offsets = level + drift * self.knots
        self.residuals = offset_s - np.interp(own_s, self.knots, self.offsets)

    def extend_to(self, time_s: float) -> None:
        """Add a knot at a time before the first pulse or after the last one."""
        if self.knots[0] <= time_s <= self.knots[-1]:
            return
        place = int(np.searchsorted(self.knots, time_s))
        offset = self.at(time_s)
        self.knots = np.insert(self.knots, place, time_s)
        self.offsets = np.insert(self.offsets, place, offset)

    def at(self, time_s: float) -> float:
        """Return the offset at a time, beyond the pulses too."""
        inside = float(np.clip(time_s, self.knots[0], self.knots[-1]))
        drift = self._drifts[int(time_s > inside)]
        return float(np.interp(inside, self.knots, self.offsets)) + drift * (time_s - inside)


def _slope(own_s: Seconds, offset_s: Seconds) -> float:
    return float(np.polyfit(own_s - own_s[0], offset_s, 1)[0])


def _spline(own_s: Seconds, offset_s: Seconds) -> tuple[Seconds, Seconds]:
    """Return the knots of a linear spline, and its values there."""
    intervals = np.diff(own_s)
    typical_s = float(np.median(intervals))
    least, most = (seconds / typical_s for seconds in KNOT_SECONDS)
    step = int(np.ceil(max(min(PULSES_PER_KNOT, max(most, 10)), least)))
    regular = np.arange(step, len(own_s) - step // 2 - 1, step)
    pauses = np.flatnonzero(intervals > 10 * typical_s)
    chosen = np.unique(np.concatenate([regular, pauses, pauses + 1]))
    chosen = chosen[(chosen > 0) & (chosen < len(own_s) - 1)]
    ends = own_s[[0, -1]]
    trend = _slope(own_s, offset_s) * (own_s - own_s[0])
    vector = np.concatenate([ends[[0, 0]], own_s[chosen], ends[[1, 1]]])
    spline = make_lsq_spline(own_s, offset_s - trend, vector, k=1)
    knots = np.concatenate([ends[:1], own_s[chosen], ends[1:]])
    return knots, spline(knots) + np.interp(knots, own_s, trend)
