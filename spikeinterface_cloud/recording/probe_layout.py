"""Where the channels of a recording are: every sorter that localizes spikes depends on it."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from probeinterface import Probe, ProbeGroup
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError

#: probes that share positions are set apart by this, far beyond any sorter's radius
PROBE_SPACING_UM = 2000.0

#: the units that a probeinterface JSON may give positions in
MICROMETERS = {"um": 1.0, "µm": 1.0, "μm": 1.0, "mm": 1e3, "m": 1e6}

#: so many neighbors in a row are named by the first and last of them
SHORTEST_SPAN = 5

#: of contacts whose shape is lost when probes are joined; it is only ever drawn
CONTACT_RADIUS_UM = 5.0


def check_positions(recording: BaseRecording, notes: list[str]) -> None:
    """Refuse a recording whose channels have no place, or share one; set probes apart.

    The probe group of `recording` is replaced when its probes share positions, and `notes` gains a
    line. Raises `RecordingError` when a probe has to be given.
    """
    remedy = (
        "give the probe as PROBE_FILE, a probeinterface JSON whose device_channel_indices say "
        "which channel each contact is on"
    )
    if not recording.has_probe():
        raise RecordingError(f"the recording does not say where its channels are; {remedy}")
    positions = recording.get_channel_locations()
    unplaced = ~np.isfinite(positions).all(axis=1)
    if unplaced.any():
        channels = some(recording.channel_ids[unplaced])
        raise RecordingError(
            f"{np.count_nonzero(unplaced)} of {unplaced.size} channels have no position (NaN): "
            f"{channels}; {remedy}"
        )
    probegroup = recording.get_probegroup()
    if len(np.unique(positions, axis=0)) == len(positions):
        if overlap(probegroup):
            notes.append(
                "probes overlap in space, and stay where the file has them: if each is measured "
                "from its own origin, units may span two of them; give them apart as PROBE_FILE"
            )
        return
    if any(_repeats(probe.contact_positions) for probe in probegroup.probes):
        raise RecordingError(f"several channels have the same position on one probe; {remedy}")
    groups = recording.get_property("group")
    recording.set_probegroup(set_apart(probegroup), check_overlap=False)
    if groups is not None:
        recording.set_property("group", groups)
    notes.append(
        f"{len(probegroup.probes)} probes share positions, each being measured from its own origin:"
        f" they are set {PROBE_SPACING_UM:g} um apart, so that no unit spans two of them"
    )


def check_planar(probegroup: ProbeGroup) -> None:
    """Raise `ValueError` if contacts differ in z: sorters and SpikeInterface look at x and y."""
    for probe in probegroup.probes:
        if probe.ndim == 3 and np.ptp(probe.contact_positions[:, 2]) > 0:
            raise ValueError(
                "its contacts differ in z, and sorters look at x and y: write it in two "
                "dimensions, across and along the shank, as by probe.to_2d(axes='xz')"
            )


def overlap(probegroup: ProbeGroup) -> bool:
    """Whether the contacts of one probe reach into the area of another's."""
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


def set_apart(probegroup: ProbeGroup) -> ProbeGroup:
    """The probes side by side, in order, each with its own layout and wiring."""
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
    """Make several probes the shanks of one: there are sorters that stop when there is more.

    The probe group of `recording` is replaced; positions and groups stay what they are.
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
    """A probe as a probeinterface JSON describes it, with its lengths in micrometers.

    SpikeInterface takes every position for micrometers, whatever `si_units` says. Raises
    `ValueError` for a unit that is none of probeinterface's.
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


def some(channels: Sequence[object] | npt.NDArray[Any]) -> str:
    """The first few channels by name, and how many more there are.

    >>> some(["AP0", "AP1"])
    'AP0, AP1'
    """
    names = [str(channel) for channel in channels]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def spans(recording: BaseRecording, chosen: npt.NDArray[np.bool_]) -> str:
    """The `chosen` channels by name, neighbors in the order of the file as `first to last`."""
    indices = np.flatnonzero(chosen)
    runs = np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1)
    names = []
    for run in runs:
        labels = [_label(recording, index) for index in run]
        names += labels if len(labels) < SHORTEST_SPAN else [f"{labels[0]} to {labels[-1]}"]
    return ", ".join(names)


def _label(recording: BaseRecording, index: int) -> str:
    """The id of a channel, with its name where the id does not hold it."""
    identifier, names = str(recording.channel_ids[index]), recording.get_property("channel_name")
    if names is None or str(names[index]) in identifier:
        return identifier
    return f"{identifier} ({names[index]})"
