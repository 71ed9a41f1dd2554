"""Find the pulses of one sync signal in two streams that recorded it on clocks of their own.

Pulses of a signal with irregular intervals are recognized by these. Those of a periodic signal all
look the same: which one is which follows from when the streams began.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from spikeinterface_cloud.recording.sync.pulses import Seconds
from spikeinterface_cloud.recording.sync.sync_line import SyncLine
from spikeinterface_cloud.session.continuous import DRIFT_CHANGE, continuous, median_slope

#: two clocks differ by less: that of a crystal is within 100 parts per million
MAX_DRIFT = 200e-6

#: streams that were started together began within
START_TOLERANCE_S = 0.2

MIN_PULSES = 10

#: equal intervals differ by less, drift aside
INTERVAL_TOLERANCE_S = 0.0005

#: intervals in a row that have to be equal
N_INTERVALS = 3

#: pulses before and after a candidate that may support it, and comparisons in all
NEIGHBORS, MAX_COMPARISONS = 60, 50_000_000

#: candidates that have to agree with one
MIN_SUPPORT = 2

#: more candidates mean that the intervals repeat
MAX_CANDIDATES = 300_000

#: fraction of the pulses of a stretch that match, at least: others are lost, doubled or late
MIN_COMMON = 0.5

#: pulses whose phase is determined together
BLOCK = 10

#: the widths of one pulse in two streams differ by less
WIDTH_TOLERANCE_S = 0.001

#: how far the partner of a pulse may be from where its neighbors' are
PARTNER_TOLERANCE_S = 0.003


class NotAligned(Exception):
    """The clock of a stream cannot be mapped to the reference; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matches:
    """Pulses that both streams have."""

    #: on the stream's own clock, ascending
    own_s: Seconds
    #: reference time minus own time
    offset_s: Seconds
    #: None where intervals are irregular
    period_s: float | None


def edge_times(line: SyncLine) -> Seconds:
    """Return the times of the rising edges, on average half a sample before they were seen."""
    return np.unique(line.rising_s) - 0.5 / line.sampling_frequency_hz


def upright(line: SyncLine, reference: SyncLine) -> SyncLine:
    """Return a line that is low during the pulses of the reference as the inverse of itself."""
    (high_s, low_s), (reference_high_s, reference_low_s) = _widths_s(line), _widths_s(reference)
    is_same = abs(high_s - reference_high_s) < WIDTH_TOLERANCE_S
    is_inverse = min(abs(low_s - reference_high_s), abs(high_s - reference_low_s))
    if is_same or not is_inverse < WIDTH_TOLERANCE_S:
        return line
    return replace(line, rising_s=line.falling_s, falling_s=line.rising_s)


def _widths_s(line: SyncLine) -> tuple[float, float]:
    """Return for how long the line is usually high, and low; NaN if it is not known."""
    edges_s = np.concatenate([line.rising_s, line.falling_s])
    is_rising = np.arange(len(edges_s)) < len(line.rising_s)
    order = np.argsort(edges_s, kind="stable")
    lengths_s, begins_high = np.diff(edges_s[order]), is_rising[order][:-1]
    if not begins_high.any() or begins_high.all():
        return np.nan, np.nan
    return float(np.median(lengths_s[begins_high])), float(np.median(lengths_s[~begins_high]))


def match_pulses(reference: SyncLine, line: SyncLine) -> Matches:
    """Return the pulses of a line that the reference has, too.

    Raises
    ------
    NotAligned
        if there are too few, or no single way to match them
    """
    for each in (reference, line):
        if len(each.rising_s) < MIN_PULSES:
            raise NotAligned(
                f"{each.line} of {each.stream} has {len(each.rising_s)} pulses, and {MIN_PULSES} "
                "are needed"
            )
    own_s, reference_s = edge_times(line), edge_times(reference)
    period_s, reference_period_s = _period_s(own_s), _period_s(reference_s)
    if period_s is not None and reference_period_s is not None:
        if abs(period_s - reference_period_s) > 2 * MAX_DRIFT * period_s:
            raise NotAligned(
                f"{line.line} has a pulse each {period_s:.6g} s, and {reference.line} of "
                f"{reference.stream} each {reference_period_s:.6g} s: they are not the same signal"
            )
        anchors = _periodic_anchors(reference, line, reference_period_s)
    else:
        reference_period_s = None
        anchors = _irregular_anchors(reference, line)
    closest = float(np.median(np.diff(own_s))) / 8
    own, offsets = _partners(own_s, reference_s, *anchors, min(0.02, closest))
    if len(own) >= MIN_PULSES:
        own, offsets, stretches = continuous(own, offsets)
        common = _in_order(
            own + offsets,
            [
                each
                for each in stretches
                if _are_common(own[each], offsets[each], own_s, reference_s)
            ],
        )
        chosen = np.concatenate(common) if common else np.arange(len(own))
        own, offsets = own[chosen], offsets[chosen]
        tolerance_s = min(PARTNER_TOLERANCE_S, closest)
        own, offsets = _partners(own_s, reference_s, own, offsets, tolerance_s)
    if len(own) < MIN_PULSES:
        raise NotAligned(f"only {len(own)} of its pulses are also in {reference.stream}")
    return Matches(own_s=own, offset_s=offsets, period_s=reference_period_s)


def _are_common(
    matched_s: Seconds, offsets_s: Seconds, own_s: Seconds, reference_s: Seconds
) -> bool:
    """Return whether most pulses of both streams match, rather than a few by chance."""
    ends_s = matched_s[[0, -1]]
    n_own = np.diff(np.searchsorted(own_s, ends_s))[0] + 1
    expected_s = ends_s + offsets_s[[0, -1]] + [-INTERVAL_TOLERANCE_S, INTERVAL_TOLERANCE_S]
    n_reference = np.diff(np.searchsorted(reference_s, expected_s))[0]
    return bool(len(matched_s) >= MIN_COMMON * max(n_own, n_reference))


def _in_order(
    matched_s: Seconds, stretches: list[npt.NDArray[np.int64]]
) -> list[npt.NDArray[np.int64]]:
    """Return the stretches without those that chance has matched: time does not run backwards.

    Parameters
    ----------
    matched_s
        reference times of the pulses
    stretches
        indices of the pulses, in order of the stream's own clock
    """
    kept: list[npt.NDArray[np.int64]] = []
    for stretch in stretches:
        while kept and matched_s[kept[-1][-1]] > matched_s[stretch[0]]:
            if len(kept[-1]) > len(stretch):
                break
            kept.pop()
        else:
            kept.append(stretch)
    return kept


def _period_s(times_s: Seconds) -> float | None:
    """Return the period of pulses that have one; lost ones, glitches and late ones allowed."""
    intervals = np.diff(times_s)
    middle = np.median(intervals)
    regular = intervals[np.abs(intervals - middle) < INTERVAL_TOLERANCE_S + MAX_DRIFT * middle]
    return float(np.mean(regular)) if len(regular) > len(intervals) / 2 else None


def _partners(
    own_s: Seconds, reference_s: Seconds, anchors_s: Seconds, offsets_s: Seconds, tolerance_s: float
) -> tuple[Seconds, Seconds]:
    """Return own times and offsets of pulses that have a partner where an anchor beside expects it.

    Where the clock jumps, the anchor on either side is tried; no pulse has two partners.
    """
    drift = median_slope(anchors_s, offsets_s) if len(anchors_s) > 2 else 0.0
    drift = float(np.clip(drift, -MAX_DRIFT, MAX_DRIFT))
    after = np.clip(np.searchsorted(anchors_s, own_s), 0, len(anchors_s) - 1)
    best = np.full(len(own_s), np.inf)
    partner = np.zeros(len(own_s), dtype="int64")
    for anchor in (np.maximum(after - 1, 0), after):
        expected_s = own_s + offsets_s[anchor] + drift * (own_s - anchors_s[anchor])
        found = nearest(reference_s, expected_s)
        error = np.abs(reference_s[found] - expected_s)
        far_s = np.abs(own_s - anchors_s[anchor]) * DRIFT_CHANGE
        closer = (error < best) & (error < tolerance_s + np.minimum(far_s, tolerance_s))
        best[closer], partner[closer] = error[closer], found[closer]
    order = np.lexsort((best, partner))
    order = order[np.isfinite(best[order])]
    _, first = np.unique(partner[order], return_index=True)
    chosen = np.sort(order[first])
    return own_s[chosen], reference_s[partner[chosen]] - own_s[chosen]


def nearest(times_s: Seconds, wanted_s: Seconds) -> npt.NDArray[np.int64]:
    """Return the index of the time that is nearest to each wanted one."""
    after = np.clip(np.searchsorted(times_s, wanted_s), 1, len(times_s) - 1)
    closer_before = wanted_s - times_s[after - 1] < times_s[after] - wanted_s
    return np.asarray(after - closer_before)


# ----- irregular intervals ----------------------------------------------------------------------


def _irregular_anchors(reference: SyncLine, line: SyncLine) -> tuple[Seconds, Seconds]:
    """Return own times and offsets of pulses that follow on the same intervals in both streams."""
    own_s, offset_s = _candidates(edge_times(line), edge_times(reference))
    support = _support(own_s, offset_s)
    supported = support >= MIN_SUPPORT
    own_s, offset_s, support = own_s[supported], offset_s[supported], support[supported]
    strong, rivaled = _compare(own_s, support), _compare(own_s + offset_s, support)
    best = strong.is_best & rivaled.is_best
    if len(np.unique(own_s)) < N_INTERVALS + 2:
        raise NotAligned(
            f"the pulses of {line.line} are not those of {reference.line} of {reference.stream}: "
            "their intervals differ, or the streams were not recorded at the same time"
        )
    clear = best & ~strong.has_rival & ~rivaled.has_rival
    if np.count_nonzero(clear) < len(np.unique(own_s)) / 2:
        raise NotAligned(
            f"the intervals of {line.line} repeat, so that its pulses match those of "
            f"{reference.stream} in several ways"
        )
    own_s, offset_s, support = own_s[clear], offset_s[clear], support[clear]
    usual = np.flatnonzero(support >= np.median(support) / 4)
    by_chance = support < np.median(support) / 4
    by_chance[: usual[0]] = by_chance[usual[-1] :] = False  # after a jump there are few
    return own_s[~by_chance], offset_s[~by_chance]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Candidates, each compared with the others of the same pulse."""

    is_best: npt.NDArray[np.bool_]
    #: whether another one has more than half of its support
    has_rival: npt.NDArray[np.bool_]


def _compare(pulses_s: Seconds, support: npt.NDArray[np.int64]) -> _Comparison:
    _, pulse = np.unique(np.round(pulses_s, 7), return_inverse=True)
    order = np.lexsort((-support, pulse))
    first = np.concatenate([[True], np.diff(pulse[order]) > 0])[: len(order)]
    is_best = np.zeros(len(support), dtype=bool)
    is_best[order[first]] = True
    second = np.zeros(pulse.max(initial=-1) + 1, dtype="int64")
    np.maximum.at(second, pulse[~is_best], support[~is_best])
    return _Comparison(is_best, 2 * second[pulse] > support)


def _candidates(own_s: Seconds, reference_s: Seconds) -> tuple[Seconds, Seconds]:
    own, other = (
        cKDTree(np.lib.stride_tricks.sliding_window_view(np.diff(times_s), N_INTERVALS))
        for times_s in (own_s, reference_s)
    )
    tolerance_s = INTERVAL_TOLERANCE_S + MAX_DRIFT * float(np.median(np.diff(own_s)))
    if own.count_neighbors(other, tolerance_s, p=np.inf) > MAX_CANDIDATES:
        raise NotAligned("the intervals between its pulses repeat too often to tell them apart")
    pairs = own.query_ball_tree(other, tolerance_s, p=np.inf)
    first = np.repeat(np.arange(len(pairs)), [len(each) for each in pairs])
    second = np.array([index for each in pairs for index in each], dtype="int64")
    times_s, offset_s = own_s[first], reference_s[second] - own_s[first]
    order = np.lexsort((offset_s, times_s))
    return times_s[order], offset_s[order]


def _support(own_s: Seconds, offset_s: Seconds) -> npt.NDArray[np.int64]:
    """Return for each candidate how many of its neighbors agree with it, drift aside."""
    support = np.zeros(len(own_s), dtype="int64")
    per_pulse = len(own_s) / max(len(np.unique(own_s)), 1)
    furthest = min(NEIGHBORS * per_pulse, MAX_COMPARISONS / max(len(own_s), 1), len(own_s))
    for lag in range(1, int(furthest)):
        passed_s = own_s[lag:] - own_s[:-lag]
        change_s = np.abs(offset_s[lag:] - offset_s[:-lag])
        agrees = (passed_s > 0) & (change_s < INTERVAL_TOLERANCE_S + MAX_DRIFT * passed_s)
        support[lag:] += agrees
        support[:-lag] += agrees
    return support


# ----- periodic signals -------------------------------------------------------------------------


def _periodic_anchors(
    reference: SyncLine, line: SyncLine, period_s: float
) -> tuple[Seconds, Seconds]:
    """Return own times and offsets, each from the phase of a block of pulses."""
    own_s = edge_times(line)
    expected_s = _expected_offset(reference, line, float(own_s[0]), period_s)
    times_s, phases_s = _phases(own_s + expected_s, edge_times(reference), period_s)
    times_s -= expected_s
    if len(times_s) == 0:
        raise NotAligned(f"the pulses of {line.line} do not keep step with {reference.stream}")
    if abs(phases_s[0]) > START_TOLERANCE_S:
        raise NotAligned(
            f"the pulses of {line.line} and of {reference.line} of {reference.stream} are "
            f"{abs(phases_s[0]):.3g} s apart, though the streams began together, so that it "
            "is not known which belong together"
        )
    return times_s, expected_s + _unwrap(times_s, phases_s, period_s)


def _expected_offset(reference: SyncLine, line: SyncLine, first_s: float, period_s: float) -> float:
    """Return the offset that the common start of the streams means."""
    ambiguous = (
        f"{line.line} has a pulse each {period_s:.6g} s, all alike, so that the start of the "
        f"streams has to say which belongs to which of {reference.stream}, and "
    )
    if line.starts_with is None or line.starts_with != reference.starts_with:
        raise NotAligned(f"{ambiguous}they were not started together, as far as the files say")
    uncertain_s = START_TOLERANCE_S + MAX_DRIFT * (first_s - line.start_s)
    if uncertain_s > period_s / 2:
        raise NotAligned(f"{ambiguous}that is known to {uncertain_s:.2g} s only")
    return reference.start_s - line.start_s


def _phases(expected_s: Seconds, reference_s: Seconds, period_s: float) -> tuple[Seconds, Seconds]:
    """Return the time of blocks of pulses, and what most of their pulses are late."""
    late_s = reference_s[nearest(reference_s, expected_s)] - expected_s
    late_s = _wrap(late_s, period_s)
    times, phases = [], []
    n_blocks = max(len(late_s) // BLOCK, 1)
    for times_s, block in zip(
        np.array_split(expected_s, n_blocks), np.array_split(late_s, n_blocks), strict=True
    ):
        width_s = 2 * INTERVAL_TOLERANCE_S + MAX_DRIFT * BLOCK * period_s
        around = _wrap(block[None, :] - block[:, None], period_s)
        close = (around >= 0) & (around < width_s)
        best = int(np.argmax(close.sum(axis=1)))
        if np.count_nonzero(close[best]) > len(block) / 2:
            phase = block[best] + np.median(around[best, close[best]])
            times.append(np.median(times_s[close[best]]))
            phases.append(_wrap(phase, period_s))
    return np.array(times), np.array(phases)


def _wrap(values_s: npt.ArrayLike, period_s: float) -> npt.NDArray[np.float64]:
    values = np.asarray(values_s, dtype="float64")
    return np.asarray(values - period_s * np.round(values / period_s))


def _unwrap(times_s: Seconds, phases_s: Seconds, period_s: float) -> Seconds:
    """Return the phases without their jumps by a period; those of the first block stay."""
    unwrapped = [float(phases_s[0])]
    drift = 0.0
    for number in range(1, len(times_s)):
        passed_s = times_s[number] - times_s[number - 1]
        if passed_s * (DRIFT_CHANGE if number > 2 else MAX_DRIFT) > period_s / 4:
            raise NotAligned(
                f"it has no pulses for {passed_s:.6g} s, and as all are alike, it is not known "
                "which belong together after that"
            )
        predicted = unwrapped[-1] + drift * passed_s
        unwrapped.append(predicted + float(_wrap(phases_s[number] - predicted, period_s)))
        slopes = np.diff(unwrapped[-12:]) / np.diff(times_s[: number + 1][-12:])
        drift = float(np.median(slopes))
    return np.array(unwrapped)
