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
FEWEST_PEAKS = 200
LEAST_CORRELATION = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """What changed from one recording to the next."""

    #: positive: to larger depths
    shift_um: float
    #: of the median amplitudes of the later and the earlier recording
    amplitude_ratio: float


def drift_between(sample: RecordingSample, durations_s: Sequence[float]) -> list[Drift | None]:
    """Return the drift before each recording but the first; None where it cannot be told.

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
    classes = _amplitude_classes(peaks.amplitude)
    margin_um = SMOOTHED_UM * 4
    edges_um = np.arange(
        contacts.y_um.min() - margin_um, contacts.y_um.max() + margin_um + BIN_UM, BIN_UM
    )
    found: list[Drift | None] = []
    for number in range(1, len(durations_s)):
        before, after = recording == number - 1, recording == number
        if min(before.sum(), after.sum()) < FEWEST_PEAKS:
            found.append(None)
            continue
        first, second = (
            _histogram(peaks.depth_um[each], classes[each], edges_um) for each in (before, after)
        )
        shift_um = _shift(first, second, round(largest_um / BIN_UM))
        ratio = float(np.median(peaks.amplitude[after]) / np.median(peaks.amplitude[before]))
        found.append(None if shift_um is None else Drift(shift_um=shift_um, amplitude_ratio=ratio))
    return found


def _amplitude_classes(amplitude: Floats) -> npt.NDArray[np.int64]:
    """Return the class of each peak, the same number of peaks in each."""
    borders = np.quantile(amplitude, np.linspace(0, 1, N_AMPLITUDES + 1)[1:-1])
    return np.searchsorted(borders, amplitude, side="right")


def _histogram(depth_um: Floats, classes: npt.NDArray[np.int64], edges_um: Floats) -> Floats:
    """Return the smoothed number of peaks by class of amplitude and depth."""
    # imported here, as that takes half a second, which a job that is refused would wait for
    from scipy.ndimage import gaussian_filter1d

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
    """Return the correlation of what both histograms have in common after a shift."""
    n_bins = first.shape[1]
    a = first[:, max(0, -lag) : n_bins - max(0, lag)]
    b = second[:, max(0, lag) : n_bins - max(0, -lag)]
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size else 0.0


def with_drift(recording: Mapping[str, Any], sample: RecordingSample | None) -> dict[str, Any]:
    """Return the recording of `run.json` with the drift between joined recordings, and notes."""
    joined = [dict(each) for each in recording.get("joined", ())]
    if len(joined) < 2 or sample is None:
        return dict(recording)
    notes = [*recording["notes"]]
    drifts = drift_between(sample, [each["duration_s"] for each in joined])
    for entry, drift in zip(joined[1:], drifts, strict=True):
        if drift is not None:
            entry["drift_um"] = drift.shift_um
            entry["amplitude_ratio"] = drift.amplitude_ratio
        notes.append(_describe(entry["number"], drift))
    return {**recording, "joined": joined, "notes": notes}


def _describe(number: int, drift: Drift | None) -> str:
    between = f"from recording {number - 1} to recording {number}"
    if drift is None:
        return f"how far the probe moved {between} cannot be told from the peaks"
    return (
        f"spikes moved by about {drift.shift_um:+.0f} µm along the probe {between}, and their "
        f"amplitudes changed by a factor of {drift.amplitude_ratio:.2f}"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedRow:
    """One of several recordings, as the report shows it."""

    number: int
    location: str
    started: str
    duration: str
    pause: str
    drift: str
    amplitudes: str


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
            amplitudes=_shown(each["amplitude_ratio"], index, "{:.2f}".format),
        )
        for index, each in enumerate(joined)
    ]


def _pause(seconds: float) -> str:
    return f"overlap of {format_seconds(-seconds)}" if seconds < 0 else format_seconds(seconds)


def _shown(value: float | None, index: int, write: Callable[[float], str]) -> str:
    if value is None:
        return "unknown" if index else ""
    return write(value)
