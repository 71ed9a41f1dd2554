"""PROBE_FILE: the probe that a probeinterface JSON describes, put on the channels that it wires."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from probeinterface import ProbeGroup
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.advice import one_line
from spikeinterface_cloud.recording.opening_notes import add_note
from spikeinterface_cloud.recording.probe_layout import (
    PROBE_SPACING_UM,
    check_planar,
    in_micrometers,
    overlap,
    set_apart,
    spans,
)
from spikeinterface_cloud.recording.wiring import (
    Indices,
    WiringError,
    check_wiring,
    read_wiring,
    wire_in_order,
)


def attach_probe(recording: BaseRecording, probe_file: Path) -> BaseRecording:
    """`recording` with the probe that a probeinterface JSON describes, on the channels it wires.

    Channels that no contact is wired to are left out, and a note names them. A probe without
    wiring is taken to list its contacts in the order of the channels. Raises `RecordingError`
    when the file is no such JSON, or its wiring does not fit the recording.
    """
    probegroup, wiring = read_probe_file(probe_file)
    with _naming(probe_file):
        if wiring is None:
            wiring = wire_in_order([p.get_contact_count() for p in probegroup.probes], recording)
        else:
            check_wiring(wiring, recording)
    for probe, indices in zip(probegroup.probes, wiring, strict=True):
        probe.set_device_channel_indices(indices)
    is_overlapping = overlap(probegroup)
    wired = _on_wired_channels(
        recording, set_apart(probegroup) if is_overlapping else probegroup, probe_file.name
    )
    if is_overlapping:
        add_note(
            wired,
            f"the probes of PROBE_FILE {probe_file.name} overlap, each being measured from its "
            f"own origin: they are set {PROBE_SPACING_UM:g} um apart, so that no unit spans two",
        )
    return wired


def read_probe_file(probe_file: Path) -> tuple[ProbeGroup, list[Indices] | None]:
    """The probes of a probeinterface JSON, in micrometers, and their wiring if it says any.

    The wiring is an array of shape (contacts,) for each probe, of channel indices. Raises
    `RecordingError` for what fits no recording.
    """
    name, remedy = probe_file.name, "write one with probeinterface.write_probeinterface"
    try:
        described = json.loads(probe_file.read_text())
    except (ValueError, RecursionError) as error:  # no JSON, or no text at all
        raise RecordingError(
            f"PROBE_FILE {name} is not a probeinterface JSON: {one_line(error)}; {remedy}"
        ) from error
    if not isinstance(described, dict) or not described.get("probes"):
        raise RecordingError(
            f"PROBE_FILE {name} has no probes in it: a probeinterface JSON is an object "
            f'that lists them as "probes"; {remedy}'
        )
    try:
        given = [probe.pop("device_channel_indices", None) for probe in described["probes"]]
        described["probes"] = [in_micrometers(probe) for probe in described["probes"]]
        probegroup = ProbeGroup.from_dict(described)
        if len(probegroup.probes) < len(given):
            raise ValueError(f"{len(given)} probes, and {len(probegroup.probes)} probe_ids")
        probegroup.to_numpy(complete=True)  # the first to look at all of a probe
        check_planar(probegroup)
    except Exception as error:  # probeinterface checks nothing: any malformed probe shows itself so
        raise RecordingError(
            f"PROBE_FILE {name} describes no probe that probeinterface can read: "
            f"{one_line(error)}; {remedy}"
        ) from error
    with _naming(probe_file):
        n_contacts = [probe.get_contact_count() for probe in probegroup.probes]
        return probegroup, read_wiring(given, n_contacts)


def _on_wired_channels(
    recording: BaseRecording, probegroup: ProbeGroup, name: str
) -> BaseRecording:
    channels = probegroup.get_global_device_channel_indices()["device_channel_indices"]
    unwired = ~np.isin(np.arange(recording.get_num_channels()), channels)
    try:
        if not unwired.any():
            recording.set_probegroup(probegroup, check_overlap=False)
            return recording
        wired = recording.select_channels_with_probegroup(probegroup)
    except Exception as error:  # of probes that differ in what they describe, anything is raised
        raise RecordingError(
            f"PROBE_FILE {name} does not fit the recording: {one_line(error)}; describe all its "
            "probes alike (dimensions, shanks, contact ids)"
        ) from error
    unconnected = np.count_nonzero(channels < 0)
    add_note(
        wired,
        f"PROBE_FILE {name} wires {wired.get_num_channels()} of {recording.get_num_channels()} "
        f"channels{f' ({unconnected} contacts are not connected)' if unconnected else ''}; "
        f"left out: {spans(recording, unwired)}",
    )
    return wired


@contextmanager
def _naming(probe_file: Path) -> Iterator[None]:
    """Name the probe file in what is wrong with its wiring."""
    try:
        yield
    except WiringError as error:
        raise RecordingError(f"PROBE_FILE {probe_file.name} {error}") from error
