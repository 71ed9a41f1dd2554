"""Wiring of a PROBE_FILE: which contact is on which channel of the recording.

`device_channel_indices` of a probeinterface JSON are the channels of the contacts, counted from 0
in the order of the file over all probes; -1 is a contact that is not connected.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.recording.messages import list_channels
from spikeinterface_cloud.recording.samples.analog_inputs import analog_inputs

Indices = npt.NDArray[np.int64]

HOW_TO_WIRE = (
    "give each contact the index of its channel with probe.set_device_channel_indices([...]), "
    "-1 where a contact is not connected, and write the file with "
    "probeinterface.write_probeinterface"
)


class WiringError(ValueError):
    """Wiring that does not fit; the message continues the name of the probe file."""


def read_wiring(values: Sequence[object], n_contacts: Sequence[int]) -> list[Indices] | None:
    """Return the channels of the contacts of each probe, of shape (contacts,); None without wiring.

    Wiring that is incomplete, or gives a channel to several contacts, raises `WiringError`.

    Parameters
    ----------
    values
        `device_channel_indices` of each probe in the file; None where missing
    n_contacts
        of each probe
    """
    if 0 in n_contacts:
        raise WiringError(f"has no contacts for probe {list(n_contacts).index(0)}; leave it out")
    is_wired = [indices is not None for indices in values]
    if not any(is_wired):
        return None
    if not all(is_wired):
        raise WiringError(
            f"has device_channel_indices for probe {is_wired.index(True)} and none for probe "
            f"{is_wired.index(False)}; {HOW_TO_WIRE}"
        )
    wiring = [_whole_numbers(each, n) for each, n in zip(values, n_contacts, strict=True)]
    if all((indices < 0).all() for indices in wiring):
        raise WiringError(f"connects no contact to a channel; {HOW_TO_WIRE}")
    _refuse_repeated(wiring)
    return wiring


def check_wiring(wiring: Sequence[Indices], recording: BaseRecording) -> None:
    """Raise `WiringError` unless every connected contact is on an electrode of `recording`."""
    connected = np.concatenate([indices[indices >= 0] for indices in wiring])
    _refuse_outside(connected, recording.get_num_channels())
    _refuse_analog_inputs(connected, recording)


def wire_in_order(n_contacts: Sequence[int], recording: BaseRecording) -> list[Indices]:
    """Wire contact n to electrode n, for probes without wiring.

    Different numbers of contacts and electrodes raise `WiringError`.
    """
    analog = analog_inputs(recording)
    neural: Indices = np.flatnonzero(~analog)
    if sum(n_contacts) == len(neural):
        _refuse_order_of_text(recording)
        return np.split(neural, np.cumsum(n_contacts)[:-1])
    besides = f" besides the analog inputs {list_channels(recording.channel_ids[analog])}"
    raise WiringError(
        f"has {sum(n_contacts)} contacts and no device_channel_indices, but the recording has "
        f"{len(neural)} channels{besides if analog.any() else ''}, so the channel of each contact "
        f"is unknown; {HOW_TO_WIRE} (channels count from 0 to {len(analog) - 1})"
    )


def _refuse_order_of_text(recording: BaseRecording) -> None:
    """Refuse an order that the reader made of file names, with CSC10 before CSC2."""
    given = recording.get_property("channel_name")
    names = [str(name) for name in (recording.channel_ids if given is None else given)]
    if names != sorted(names) or names == sorted(names, key=_natural):
        return
    raise WiringError(
        f"has no device_channel_indices, and the channels are in the order of their names as text, "
        f"{list_channels(names)}; {HOW_TO_WIRE} (channels count from 0 in this order)"
    )


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _whole_numbers(indices: object, n_contacts: int) -> Indices:
    try:
        values = np.asarray(indices, dtype=float)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if values.shape != (n_contacts,) or not np.array_equal(values, np.round(values)):
        raise WiringError(
            f"has device_channel_indices that are not a list of {n_contacts} whole numbers, one "
            f"for each contact; {HOW_TO_WIRE}"
        )
    return values.astype("int64")


def _refuse_repeated(wiring: Sequence[Indices]) -> None:
    contacts = defaultdict(list)
    for number, indices in enumerate(wiring):
        for contact in np.flatnonzero(indices >= 0):
            contacts[int(indices[contact])].append(f"contact {contact} of probe {number}")
    for channel, places in contacts.items():
        if len(places) > 1:
            raise WiringError(
                f"wires channel {channel} to {len(places)} contacts ({', '.join(places[:4])}); "
                "channels are counted over all probes of the file, not from 0 for each: "
                f"{HOW_TO_WIRE}"
            )


def _refuse_outside(connected: Indices, n_channels: int) -> None:
    outside = np.unique(connected[connected >= n_channels])
    if not len(outside):
        return
    counts_from_one = connected.min() == 1 and connected.max() == n_channels
    raise WiringError(
        f"wires contacts to channels {list_channels(outside)}, but the recording has "
        f"{n_channels} channels, which count from 0 to {n_channels - 1}; "
        + (
            "subtract 1 from each index, as they seem to count from 1"
            if counts_from_one
            else HOW_TO_WIRE
        )
    )


def _refuse_analog_inputs(connected: Indices, recording: BaseRecording) -> None:
    analog = analog_inputs(recording)
    wired = [f"{c} ({recording.channel_ids[c]})" for c in np.unique(connected) if analog[c]]
    if wired:
        raise WiringError(
            f"wires contacts to {len(wired)} analog inputs, channels {list_channels(wired)}; count "
            "every channel of the stream; the electrodes are "
            f"{list_channels(np.flatnonzero(~analog))}: "
            f"{HOW_TO_WIRE}"
        )
