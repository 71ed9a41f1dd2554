"""Parameters of Kilosort4 that the layout of the channels and the sampling rate decide.

Kilosort4's defaults fit Neuropixels probes at 30 kHz. For other layouts its documentation ("When to
adjust default settings") gives the values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from spikeinterface_cloud.config.catalog.frequency_bands import Chosen

#: samples of a waveform, by Kilosort4's default for 30 kHz: two milliseconds and one sample
DEFAULT_NT = 61
HALF_WAVEFORM_MS = 1.0

#: Kilosort4's documentation: with fewer channels, or contacts so far apart, drift is not estimated
#: well, and should not be corrected
FEWEST_DRIFT_CHANNELS = 64
LARGEST_DRIFT_SPACING_UM = 50.0

#: Kilosort4 looks for shifts of 75 um in both directions and wraps around at the ends of the probe:
#: on less than twice that, a shift and its wrapped counterpart look alike, and on a tetrode the one
#: it takes moves every spike off the contacts
SHORTEST_DRIFT_SPAN_UM = 150.0

#: no shank is so wide: it is an array in a plane, which does not move along its columns
WIDEST_SHANK_UM = 250.0

#: columns farther apart belong to different shanks
SHANK_GAP_UM = 100.0

#: in a plane, the documentation asks for a center of clustering every 200 to 300 um
CENTER_SPACING_UM = 250.0

#: contacts so close see a spike nearly alike
SAME_SPIKE_UM = 35.0

#: Kilosort4's errors if there are too few spikes, or none
NO_SPIKES_ERRORS = (
    "required by TruncatedSVD",
    "should be >= n_clusters",
    "No spikes detected",
)

Positions = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The positions and groups of the channels."""

    #: channels x 2, in um: across and along the probe
    positions_um: Positions
    #: the shank, tetrode or other group of each channel
    groups: npt.NDArray[Any]

    def shanks(self) -> list[Positions]:
        """Return the positions of each shank: a group, split where its columns are far apart."""
        return [
            shank
            for group in np.unique(self.groups)
            for shank in _split_at_gaps(self.positions_um[self.groups == group])
        ]


def kilosort4_parameters(
    layout: Layout, rate_hz: float, given: Mapping[str, Any]
) -> dict[str, Chosen]:
    """Return the parameters that the user did not give; none for Neuropixels at 30 kHz."""
    chosen = {
        "nt": _waveform_samples(rate_hz, given),
        "nblocks": None if "do_correction" in given else _no_drift_correction(layout, given),
        "do_CAR": _no_common_reference(layout),
        "x_centers": _clustering_centers(layout),
    }
    return {name: each for name, each in chosen.items() if each is not None and name not in given}


def _waveform_samples(rate_hz: float, given: Mapping[str, Any]) -> Chosen | None:
    nt = 2 * round(HALF_WAVEFORM_MS * rate_hz / 1000) + 1
    # the waveforms that come with Kilosort4 have its own length
    if nt == DEFAULT_NT or given.get("templates_from_data") is False:
        return None
    reason = f"2 ms and a sample at {rate_hz:g} Hz, as Kilosort4's {DEFAULT_NT} is at 30000 Hz"
    return Chosen(value=nt, reason=reason)


def _no_drift_correction(layout: Layout, given: Mapping[str, Any]) -> Chosen | None:
    reason = why_no_drift_correction(layout)
    if given.get("skip_kilosort_preprocessing"):
        reason = "Kilosort4 corrects it together with its whitening, which is skipped"
    return Chosen(value=0, reason=f"no drift correction, as {reason}") if reason else None


def _no_common_reference(layout: Layout) -> Chosen | None:
    # which Kilosort4 subtracts with skip_kilosort_preprocessing, too
    if not is_erased_by_a_median(layout):
        return None
    reason = "no common reference, as half of the channels or more may see the same spike"
    return Chosen(value=False, reason=reason)


def _clustering_centers(layout: Layout) -> Chosen | None:
    width_um = max(float(np.ptp(shank[:, 0])) for shank in layout.shanks())
    if width_um <= WIDEST_SHANK_UM:
        return None
    reason = f"one every {CENTER_SPACING_UM:g} um, as the channels form an array in a plane"
    n_centers = round(float(np.ptp(layout.positions_um[:, 0])) / CENTER_SPACING_UM)
    return Chosen(value=n_centers, reason=reason)


def why_no_drift_correction(layout: Layout) -> str | None:
    """Return why drift cannot be estimated on this probe, or None if it can."""
    shanks = layout.shanks()
    span_um = max(float(np.ptp(shank[:, 1])) for shank in shanks)
    width_um = max(float(np.ptp(shank[:, 0])) for shank in shanks)
    spacing_um = max(_spacing_um(shank[:, 1]) for shank in shanks)
    if span_um < SHORTEST_DRIFT_SPAN_UM:
        return f"the channels of a group span {span_um:g} um of depth only"
    if spacing_um >= LARGEST_DRIFT_SPACING_UM:
        return f"the channels are {spacing_um:g} um apart in depth"
    if width_um > WIDEST_SHANK_UM:
        return f"the channels form an array of {width_um:g} um across"
    if len(layout.groups) < FEWEST_DRIFT_CHANNELS:
        return f"there are {len(layout.groups)} channels only"
    return None


def is_erased_by_a_median(layout: Layout) -> bool:
    """Return whether a spike may reach half of the channels, so that a common median erases it."""
    positions = layout.positions_um
    n_near = KDTree(positions).query_ball_point(positions, SAME_SPIKE_UM, return_length=True)
    return bool(2 * np.max(n_near) >= len(positions))


def _spacing_um(depths_um: npt.NDArray[np.float64]) -> float:
    """Return the median distance between neighboring depths."""
    steps = np.diff(np.unique(np.round(depths_um, 1)))
    return float(np.median(steps)) if len(steps) else 0.0


def _split_at_gaps(positions_um: Positions) -> list[Positions]:
    in_order = positions_um[np.argsort(positions_um[:, 0], kind="stable")]
    gaps = np.flatnonzero(np.diff(in_order[:, 0]) >= SHANK_GAP_UM) + 1
    return np.split(in_order, gaps)


def remedy(trace: str) -> str:
    """Return what to change if Kilosort4 failed for lack of spikes, to end a sentence.

    >>> "Th_single_ch" in remedy("ValueError: No spikes detected, cannot continue sorting.")
    True
    >>> remedy("ValueError: no channels")
    ''
    """
    if not any(message in trace for message in NO_SPIKES_ERRORS):
        return ""
    return (
        "; no spike stood out of the whitened signal, which large spikes on few channels flatten: "
        'in SORTERS_KWARGS, give Kilosort4 lower thresholds, {"Th_single_ch": 4, "Th_universal": 6}'
    )
