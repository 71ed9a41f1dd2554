"""How far spikes moved along the probe from one joined recording to the next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikeinterface_cloud.report.sample import RecordingSample
from spikeinterface_cloud.runtime.logging import format_seconds

#: of the histograms of depth that are compared
BIN_UM = 2.0
#: standard deviation of their smoothing: less than the distance of two contacts
SMOOTHED_UM = 8.0
#: histograms are compared by classes of amplitude, as small spikes are everywhere
N_AMPLITUDES = 6

#: a longer way is not looked for
MOST_DRIFT_UM = 300.0
#: and no more than so much of the probe
MOST_OF_PROBE = 0.5

#: with fewer peaks in one of the recordings, or less similar ones, nothing is said
FEWEST_PEAKS = 100
LEAST_CORRELATION = 0.5

Floats = npt.NDArray[np.float64]


def drift_between(sample: RecordingSample, durations_s: Sequence[float]) -> list[float | None]:
    """Return how far spikes moved before each recording but the first, in µm; None: unknown.

    Positive is to larger depths.

    Parameters
    ----------
    durations_s
        of each recording, in order
    """
    peaks, contacts = sample.peaks, sample.contacts
    if peaks is None or contacts is None or not contacts.has_depth or not len(peaks.depth_um):
        return [None] * (len(durations_s) - 1)
    edges_s = np.cumsum(durations_s)[:-1]
    recording = np.searchsorted(edges_s, peaks.time_s, side="right")
    span_um = float(np.ptp(contacts.y_um))
    largest_um = min(MOST_DRIFT_UM, MOST_OF_PROBE * span_um)
    margin_um = SMOOTHED_UM * 4
    edges_um = np.arange(
        contacts.y_um.min() - margin_um, contacts.y_um.max() + margin_um + BIN_UM, BIN_UM
    )
    found: list[float | None] = []
    for number in range(1, len(durations_s)):
        before, after = recording == number - 1, recording == number
        if min(before.sum(), after.sum()) < FEWEST_PEAKS:
            found.append(None)
            continue
        first, second = (
            _histogram(peaks.depth_um[each], peaks.amplitude[each], edges_um)
            for each in (before, after)
        )
        found.append(_shift(first, second, round(largest_um / BIN_UM)))
    return found


def _histogram(depth_um: Floats, amplitude: Floats, edges_um: Floats) -> Floats:
    """Return the smoothed number of peaks by amplitude and depth.

    The classes of amplitude have the same number of peaks each, as all amplitudes may change.
    """
    # imported here, as that takes half a second, which a job that is refused would wait for
    from scipy.ndimage import gaussian_filter1d

    borders = np.quantile(amplitude, np.linspace(0, 1, N_AMPLITUDES + 1)[1:-1])
    classes = np.searchsorted(borders, amplitude, side="right")
    counts = np.array(
        [np.histogram(depth_um[classes == each], edges_um)[0] for each in range(N_AMPLITUDES)],
        dtype="float64",
    )
    # the logarithm keeps one busy neuron from deciding alone
    return np.asarray(np.log1p(gaussian_filter1d(counts, SMOOTHED_UM / BIN_UM, axis=1)))


def _shift(first: Floats, second: Floats, most: int) -> float | None:
    """Return by how much the second histogram is shifted, in µm; None if they are not alike."""
    correlations = np.array([_correlation(first, second, lag) for lag in range(-most, most + 1)])
    best = int(np.argmax(correlations))
    if correlations[best] < LEAST_CORRELATION:
        return None
    return float((best - most) * BIN_UM)


def _correlation(first: Floats, second: Floats, lag: int) -> float:
    """Return the correlation of two histograms after a shift; what leaves the probe counts as 0."""
    n_bins = first.shape[1]
    first, second = first - first.mean(), second - second.mean()
    overlap = (
        first[:, max(0, -lag) : n_bins - max(0, lag)]
        * second[:, max(0, lag) : n_bins - max(0, -lag)]
    )
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(overlap.sum()) / size if size else 0.0


def with_drift(recording: Mapping[str, Any], sample: RecordingSample | None) -> dict[str, Any]:
    """Return the recording of `run.json` with the drift between joined recordings, and notes."""
    joined = [dict(each) for each in recording.get("joined", ())]
    if len(joined) < 2 or sample is None:
        return dict(recording)
    notes = [*recording["notes"]]
    drifts = drift_between(sample, [each["duration_s"] for each in joined])
    for entry, drift in zip(joined[1:], drifts, strict=True):
        entry["drift_um"] = drift
        notes.append(_describe(entry["number"], drift))
    return {**recording, "joined": joined, "notes": notes}


def _describe(number: int, drift_um: float | None) -> str:
    between = f"from recording {number - 1} to recording {number}"
    if drift_um is None:
        return f"how far the probe moved {between} cannot be told from the peaks"
    return f"spikes moved by about {drift_um:+.0f} µm along the probe {between}"


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedRow:
    """One of several recordings, as the report shows it."""

    number: int
    location: str
    started: str
    duration: str
    pause: str
    drift: str


def joined_rows(joined: Sequence[Mapping[str, Any]]) -> list[JoinedRow]:
    """Return a row for each of several recordings that were joined."""
    return [
        JoinedRow(
            number=each["number"],
            location=each["location"],
            started=(each["started"] or "unknown").replace("T", " "),
            duration=format_seconds(each["duration_s"]),
            pause=_shown(each["pause_s"], index, _pause),
            drift=_shown(each["drift_um"], index, "{:+.0f}".format),
        )
        for index, each in enumerate(joined)
    ]


def _pause(seconds: float) -> str:
    return f"overlap of {format_seconds(-seconds)}" if seconds < 0 else format_seconds(seconds)


def _shown(value: float | None, index: int, write: Callable[[float], str]) -> str:
    if value is None:
        return "unknown" if index else ""
    return write(value)
