"""PROBE_FILE: attach the probe of a probeinterface JSON to the channels that it wires."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from probeinterface import ProbeGroup
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.parsing import unique_names
from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.messages import add_note, channel_ranges, one_line
from spikeinterface_cloud.recording.probe_layout import (
    PROBE_SPACING_UM,
    check_planar,
    in_micrometers,
    move_apart,
    overlap,
)
from spikeinterface_cloud.recording.wiring import (
    Indices,
    WiringError,
    check_wiring,
    read_wiring,
    wire_in_order,
)


def attach_probe(recording: BaseRecording, probe_file: Path) -> BaseRecording:
    """Attach the probe of a probeinterface JSON to the channels that it wires.

    Channels without a contact are left out, with a note. A probe without wiring is expected to
    list its contacts in the order of the channels.
    """
    probegroup, wiring = read_probe_file(probe_file)
    with _naming_file(probe_file):
        if wiring is None:
            wiring = wire_in_order([p.get_contact_count() for p in probegroup.probes], recording)
        else:
            check_wiring(wiring, recording)
    for probe, indices in zip(probegroup.probes, wiring, strict=True):
        probe.set_device_channel_indices(indices)
    is_overlapping = overlap(probegroup)
    if is_overlapping:
        probegroup = move_apart(probegroup)
    wired = _select_wired_channels(recording, probegroup, probe_file.name)
    if is_overlapping:
        add_note(
            wired,
            f"the probes of PROBE_FILE {probe_file.name} overlap, as each has its own origin: they "
            f"are set {PROBE_SPACING_UM:g} um apart, so that no unit spans two of them",
        )
    return wired


def read_probe_file(probe_file: Path) -> tuple[ProbeGroup, list[Indices] | None]:
    """Read the probes of a probeinterface JSON, in micrometers, and their wiring.

    Returns
    -------
    ProbeGroup
    list of ndarray, or None
        channel indices of each probe, of shape (contacts,); None without wiring
    """
    name, remedy = probe_file.name, "write one with probeinterface.write_probeinterface"
    try:
        described = json.loads(probe_file.read_text(), object_pairs_hook=unique_names)
    except (ValueError, RecursionError) as error:  # no JSON, no text at all, or a name twice
        raise RecordingError(
            f"PROBE_FILE {name} is not a probeinterface JSON: {one_line(error)}; {remedy}"
        ) from error
    if not isinstance(described, dict) or not described.get("probes"):
        raise RecordingError(
            f"PROBE_FILE {name} has no probes: a probeinterface JSON is an object that lists them "
            f'as "probes"; {remedy}'
        )
    try:
        indices = [probe.pop("device_channel_indices", None) for probe in described["probes"]]
        described["probes"] = [in_micrometers(probe) for probe in described["probes"]]
        probegroup = ProbeGroup.from_dict(described)
        if len(probegroup.probes) < len(indices):
            raise ValueError(f"{len(indices)} probes, and {len(probegroup.probes)} probe_ids")
        probegroup.to_numpy(complete=True)  # the first to read all properties of a probe
        check_planar(probegroup)
    except Exception as error:  # probeinterface validates nothing, and raises anything
        raise RecordingError(
            f"PROBE_FILE {name} cannot be read by probeinterface: {one_line(error)}; {remedy}"
        ) from error
    with _naming_file(probe_file):
        n_contacts = [probe.get_contact_count() for probe in probegroup.probes]
        return probegroup, read_wiring(indices, n_contacts)


def _select_wired_channels(
    recording: BaseRecording, probegroup: ProbeGroup, name: str
) -> BaseRecording:
    channels = probegroup.get_global_device_channel_indices()["device_channel_indices"]
    unwired = ~np.isin(np.arange(recording.get_num_channels()), channels)
    try:
        if not unwired.any():
            recording.set_probegroup(probegroup, check_overlap=False)
            return recording
        wired = recording.select_channels_with_probegroup(probegroup)
    except Exception as error:  # probes with different properties raise anything
        raise RecordingError(
            f"PROBE_FILE {name} does not fit the recording: {one_line(error)}; describe all its "
            "probes alike (dimensions, shanks, contact ids)"
        ) from error
    unconnected = np.count_nonzero(channels < 0)
    add_note(
        wired,
        f"PROBE_FILE {name} wires {wired.get_num_channels()} of {recording.get_num_channels()} "
        f"channels{f' ({unconnected} contacts are not connected)' if unconnected else ''}; "
        f"left out: {channel_ranges(recording, unwired)}",
    )
    return wired


@contextmanager
def _naming_file(probe_file: Path) -> Iterator[None]:
    try:
        yield
    except WiringError as error:
        raise RecordingError(f"PROBE_FILE {probe_file.name} {error}") from error
