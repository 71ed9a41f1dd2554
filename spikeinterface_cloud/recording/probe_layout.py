"""Positions of channels: every sorter that localizes spikes depends on them."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from probeinterface import Probe, ProbeGroup
from scipy.spatial import KDTree
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.messages import list_channels, one_line

#: distance between probes that are moved apart, far beyond any sorter's radius
PROBE_SPACING_UM = 2000.0

#: micrometers per unit of a probeinterface JSON
MICROMETERS = {"um": 1.0, "µm": 1.0, "μm": 1.0, "mm": 1e3, "m": 1e6}

#: contacts are not that close: their positions are in another unit
CLOSEST_UM = 0.5

#: of contacts whose shape is lost when probes are joined; only used in drawings
CONTACT_RADIUS_UM = 5.0


def check_positions(recording: BaseRecording, notes: list[str]) -> None:
    """Refuse channels without a position of their own, and move probes apart that share positions.

    Replaces the probe group of `recording` and appends to `notes`.
    """
    remedy = (
        "give the probe as PROBE_FILE, a probeinterface JSON whose device_channel_indices map "
        "each contact to its channel"
    )
    if not recording.has_probe():
        raise RecordingError(f"the recording has no channel positions; {remedy}")
    try:
        positions = np.asarray(recording.get_channel_locations(), dtype="float64")
    except Exception as error:  # readers take a probe as it is, and it raises anything here
        raise RecordingError(
            f"the channel positions cannot be read: {one_line(error)}; {remedy}"
        ) from error
    unplaced = ~np.isfinite(positions).all(axis=1)
    if unplaced.any():
        channels = list_channels(recording.channel_ids[unplaced])
        raise RecordingError(
            f"{np.count_nonzero(unplaced)} of {unplaced.size} channels have no position (NaN): "
            f"{channels}; {remedy}"
        )
    if 0 < (closest_um := _closest(positions)) < CLOSEST_UM:
        raise RecordingError(
            f"the channels are {closest_um:.3g} um apart, as if their positions were in meters or "
            f"millimeters instead of micrometers; correct them, or {remedy}"
        )
    probegroup = recording.get_probegroup()
    if len(np.unique(positions, axis=0)) == len(positions):
        if overlap(probegroup):
            notes.append(
                "probes overlap in space, and are kept as they are: if each has its own origin, "
                "units may span two of them; give correct positions as PROBE_FILE"
            )
        return
    if any(_repeats(probe.contact_positions) for probe in probegroup.probes):
        raise RecordingError(f"several channels of one probe have the same position; {remedy}")
    groups = recording.get_property("group")
    recording.set_probegroup(move_apart(probegroup), check_overlap=False)
    if groups is not None:
        recording.set_property("group", groups)
    notes.append(
        f"{len(probegroup.probes)} probes share positions, as each has its own origin: they are "
        f"set {PROBE_SPACING_UM:g} um apart, so that no unit spans two of them"
    )


def _closest(positions: npt.NDArray[np.float64]) -> float:
    """Return the usual distance of a position to the nearest other one; 0 for a single one."""
    distinct = np.unique(positions, axis=0)
    if len(distinct) < 2:
        return 0.0
    nearest, _ = KDTree(distinct).query(distinct, k=[2])
    return float(np.median(nearest))


def check_planar(probegroup: ProbeGroup) -> None:
    """Raise `ValueError` if contacts differ in z: sorters and SpikeInterface use x and y only."""
    for probe in probegroup.probes:
        if probe.ndim == 3 and np.ptp(probe.contact_positions[:, 2]) > 0:
            raise ValueError(
                "its contacts differ in z, but sorters use x and y only: write it in two "
                "dimensions, across and along the shank, e.g. with probe.to_2d(axes='xz')"
            )


def overlap(probegroup: ProbeGroup) -> bool:
    """Return whether the areas of two probes overlap."""
    corners = [
        (probe.contact_positions.min(axis=0), probe.contact_positions.max(axis=0))
        for probe in probegroup.probes
    ]
    for (low, high), (other_low, other_high) in combinations(corners, 2):
        shared = np.minimum(high, other_high) - np.maximum(low, other_low)
        is_line = (high == low) | (other_high == other_low)
        if np.all((shared > 0) | ((shared == 0) & is_line)):
            return True
    return False


def move_apart(probegroup: ProbeGroup) -> ProbeGroup:
    """Return the probes side by side, in order, each with its own layout and wiring."""
    apart = ProbeGroup()
    right_edge = 0.0
    for probe in probegroup.probes:
        moved = probe.copy()
        moved.set_device_channel_indices(probe.device_channel_indices)
        left = float(moved.contact_positions[:, 0].min())
        shift = np.zeros(moved.ndim)
        shift[0] = right_edge - left
        moved.move(shift)
        right_edge = float(moved.contact_positions[:, 0].max()) + PROBE_SPACING_UM
        apart.add_probe(moved)
    return apart


def _repeats(positions: npt.NDArray[np.float64]) -> bool:
    return len(np.unique(positions, axis=0)) < len(positions)


def join_probes(recording: BaseRecording) -> None:
    """Make several probes of `recording` the shanks of one, as some sorters accept only one probe.

    Positions and groups are kept.
    """
    if len(recording.get_probes()) < 2:
        return
    groups = recording.get_channel_groups()
    joined = Probe(ndim=2, si_units="um")
    joined.set_contacts(
        positions=recording.get_channel_locations(),
        shapes="circle",
        shape_params={"radius": CONTACT_RADIUS_UM},
        shank_ids=groups.astype(str),
    )
    joined.set_device_channel_indices(np.arange(len(groups)))
    recording.set_probe(joined)
    recording.set_property("group", groups)


def in_micrometers(probe: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the lengths of a probe in a probeinterface JSON to micrometers.

    SpikeInterface ignores `si_units`.

    A unit that is none of probeinterface's raises `ValueError`.
    """
    unit = probe["si_units"]
    if unit not in MICROMETERS:
        raise ValueError(f"si_units is {unit!r}, not um, mm or m")
    factor = MICROMETERS[unit]
    converted = {**probe, "si_units": "um"}
    for key in ("contact_positions", "probe_planar_contour"):
        if probe.get(key) is not None:
            converted[key] = (np.asarray(probe[key], dtype=float) * factor).tolist()
    converted["contact_shape_params"] = [
        {name: length * factor for name, length in shape.items()}
        for shape in probe["contact_shape_params"]
    ]
    return converted
