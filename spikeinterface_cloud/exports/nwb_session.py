"""The metadata of an NWB file of units: session, subject and electrodes.

It is copied from the source where that is an NWB file. Of another source only the probe is known,
and nothing else is made up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import spikeinterface as si
from probeinterface import Probe

from spikeinterface_cloud.recording.probe_layout import PROBE_SPACING_UM

#: stands for an unknown start, because NWB demands one
UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)

#: what NWB demands of an electrode and a recording may not know
UNKNOWN = "unknown"

#: of positions, where there are several probes
APART = f"where probes that share positions lie {PROBE_SPACING_UM:g} um apart in x"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceFacts:
    """A device: a probe, an amplifier."""

    name: str
    #: `description`, `manufacturer`, ... as far as they are known
    fields: Mapping[str, str] = field(default_factory=dict)
    #: arguments of `pynwb.device.DeviceModel`
    model: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupFacts:
    """A group of electrodes: a probe, or a shank of one."""

    name: str
    description: str
    location: str
    #: the name of the device that it is on
    device: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumn:
    """A column of plain values of a table."""

    name: str
    description: str
    #: a value for each row
    values: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class ElectrodeFacts:
    """The table of all electrodes, in the order of the source."""

    ids: Sequence[int]
    #: the group of each electrode, by name
    groups: Sequence[str]
    columns: Sequence[TableColumn]
    #: the row of each channel of the recording, by channel id
    rows: Mapping[Any, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """The metadata around the units."""

    description: str
    start: datetime
    timestamps_reference: datetime | None = None
    #: arguments of `pynwb.NWBFile`, like `session_id`, `lab`, `experimenter`
    fields: Mapping[str, Any] = field(default_factory=dict)
    #: arguments of `pynwb.file.Subject`; empty where nothing is known
    subject: Mapping[str, Any] = field(default_factory=dict)
    devices: Sequence[DeviceFacts]
    groups: Sequence[GroupFacts]
    electrodes: ElectrodeFacts
    #: the name of the sorted series, where the source holds several
    series: str | None = None
    #: why an archive would not take a file of this session; None where nothing is known against it
    not_for_archives: str | None = None

    @property
    def dates_without_zone(self) -> dict[str, datetime]:
        """Return the dates whose time zone is not known, by their place in an NWB file."""
        dates = {
            "session_start_time": self.start,
            "timestamps_reference_time": self.timestamps_reference or self.start,
            "general/subject/date_of_birth": self.subject.get("date_of_birth"),
        }
        return {place: date for place, date in dates.items() if date and date.tzinfo is None}

    @property
    def archive_name(self) -> str:
        """Return `sub-<subject>_ses-<session>`, as far as both are known."""
        parts = [("sub", self.subject.get("subject_id")), ("ses", self.fields.get("session_id"))]
        return "_".join(f"{key}-{sanitized(str(value))}" for key, value in parts if value)


def sanitized(text: str) -> str:
    """Replace the characters that DANDI does not allow in a part of a file name.

    >>> sanitized("mouse_7 left/1")
    'mouse-7-left-1'
    """
    return "".join("-" if each in "_*\\/<>:|\"'?%@;,. \t" else each for each in text)


def session_of_recording(recording: si.BaseRecording) -> Session:
    """Return what the recording itself provides: its probes and their contacts."""
    groups = [str(group) for group in recording.get_channel_groups()]
    devices, device_of = _devices(recording, groups)
    return Session(
        description=f"{UNKNOWN}: the recording has no session metadata; 1970-01-01 stands for "
        "an unknown start",
        start=UNKNOWN_START,
        devices=devices,
        groups=[
            GroupFacts(
                name=f"group{name}",
                description=f"channels of group {name}",
                location=UNKNOWN,
                device=device_of[name],
            )
            for name in dict.fromkeys(groups)
        ],
        electrodes=_electrodes(recording, [f"group{name}" for name in groups]),
        not_for_archives="only an NWB source has the subject and session",
    )


def _devices(
    recording: si.BaseRecording, groups: Sequence[str]
) -> tuple[list[DeviceFacts], dict[str, str]]:
    """Return the devices, and the name of that of each group.

    Each probe is one, and so are the probes together that a group spans.

    Parameters
    ----------
    groups
        of each channel
    """
    if not recording.has_probe():
        device = DeviceFacts(name="probe0", fields={"description": UNKNOWN})
        return [device], dict.fromkeys(groups, device.name)
    probes = recording.get_probes()
    devices = [_device(number, probe) for number, probe in enumerate(probes)]
    own: dict[str, list[str]] = {group: [] for group in groups}
    for device, probe in zip(devices, probes, strict=True):
        for group in {groups[channel] for channel in probe.device_channel_indices}:
            own[group].append(device.name)
    device_of = {
        group: names[0] if len(names) == 1 else f"probes of group{group}"
        for group, names in own.items()
    }
    devices += [
        DeviceFacts(
            name=device_of[group],
            fields={"description": f"the group spans several probes: {', '.join(names)}"},
        )
        for group, names in own.items()
        if len(names) > 1
    ]
    return devices, device_of


def _device(number: int, probe: Probe) -> DeviceFacts:
    known = probe.annotations
    names = [known.get(key) for key in ("manufacturer", "model_name", "serial_number")]
    description = " ".join(str(name) for name in names if name)
    return DeviceFacts(name=f"probe{number}", fields={"description": description or UNKNOWN})


def _electrodes(recording: si.BaseRecording, groups: Sequence[str]) -> ElectrodeFacts:
    channel_ids = list(recording.channel_ids)
    texts = np.array([str(name) for name in channel_ids], dtype=object)
    columns = [
        TableColumn(name="channel_name", description="name of the channel", values=texts),
        TableColumn(
            name="location",
            description="location of the electrode in the brain",
            values=np.array([UNKNOWN] * len(channel_ids), dtype=object),
        ),
    ]
    if recording.has_probe():
        positions = recording.get_channel_locations().astype("float32")
        where = "on its probe" if len(recording.get_probes()) == 1 else APART
        columns += [
            TableColumn(
                name=f"rel_{axis}",
                description=f"{axis} of the contact in micrometers, {where}",
                values=positions[:, column],
            )
            for column, axis in enumerate("xyz"[: positions.shape[1]])
        ]
    return ElectrodeFacts(
        ids=range(len(channel_ids)),
        groups=groups,
        columns=columns,
        rows={channel_id: row for row, channel_id in enumerate(channel_ids)},
    )
