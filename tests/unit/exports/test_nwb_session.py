"""The metadata of an NWB file whose source knows nothing but its probes."""

import numpy as np
import spikeinterface as si
from probeinterface import ProbeGroup, generate_multi_shank

from spikeinterface_cloud.exports.nwb_file import make_nwbfile
from spikeinterface_cloud.exports.nwb_session import Session, session_of_recording


def two_probes() -> si.BaseRecording:
    """Return a recording of two probes, the second wired to the first channels.

    Each has two shanks, which are the groups.
    """
    probes = ProbeGroup()
    for number, (serial, wiring) in enumerate((("AAA", range(8, 16)), ("BBB", range(8)))):
        probe = generate_multi_shank(num_shank=2, num_columns=1, num_contact_per_column=4)
        probe.move([1000 * number, 0])
        probe.annotate(serial_number=serial)
        probe.set_device_channel_indices(list(wiring))
        probes.add_probe(probe)
    recording = si.NumpyRecording([np.zeros((10, 16), "int16")], 30_000.0)
    recording.set_probegroup(probes, group_mode="by_shank")
    return recording


def devices_of_electrodes(session: Session) -> list[str]:
    """Return the description of the device of each electrode."""
    descriptions = {device.name: device.fields["description"] for device in session.devices}
    devices = {group.name: descriptions[group.device] for group in session.groups}
    return [devices[name] for name in session.electrodes.groups]


def test_groups_are_on_the_probe_of_their_channels() -> None:
    """Whether they are probes or shanks."""
    expected = ["BBB"] * 8 + ["AAA"] * 8
    recording = two_probes()
    session = session_of_recording(recording)
    assert len(session.groups) == 4
    assert devices_of_electrodes(session) == expected
    recording.set_property("group", np.repeat([1, 0], 8))
    session = session_of_recording(recording)
    assert len(session.groups) == len(session.devices) == 2
    assert devices_of_electrodes(session) == expected


def test_group_across_probes_has_no_serial_number() -> None:
    recording = two_probes()
    recording.set_property("group", np.repeat(["CA1", "CA3", "CA1"], [4, 4, 8]))
    session = session_of_recording(recording)
    both = "the group spans several probes: probe0, probe1"
    assert devices_of_electrodes(session) == [both] * 4 + ["BBB"] * 4 + [both] * 8
    descriptions = [device.fields["description"] for device in session.devices]
    assert descriptions == ["AAA", "BBB", both]
    make_nwbfile(session, {})


def test_positions_say_that_probes_were_moved_apart() -> None:
    recording = two_probes()
    one = recording.select_channels(recording.channel_ids[:8])
    descriptions = [
        column.description
        for each in (one, recording)
        for column in session_of_recording(each).electrodes.columns
        if column.name == "rel_x"
    ]
    assert descriptions == [
        "x of the contact in micrometers, on its probe",
        "x of the contact in micrometers, where probes that share positions lie 2000 um apart in x",
    ]
