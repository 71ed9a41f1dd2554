"""The metadata of an NWB file whose source knows nothing but its probes."""

import numpy as np
import spikeinterface as si
from probeinterface import ProbeGroup, generate_linear_probe

from spikeinterface_cloud.exports.nwb_session import session_of_recording


def test_groups_are_on_the_probe_of_their_channels() -> None:
    """Also where the second probe is wired to the first channels."""
    probes = ProbeGroup()
    for number, (serial, wiring) in enumerate((("AAA", range(4, 8)), ("BBB", range(4)))):
        probe = generate_linear_probe(4)
        probe.move([1000 * number, 0])
        probe.annotate(serial_number=serial)
        probe.set_device_channel_indices(list(wiring))
        probes.add_probe(probe)
    recording = si.NumpyRecording([np.zeros((10, 8), "int16")], 30_000.0)
    recording.set_probegroup(probes, group_mode="by_probe")
    session = session_of_recording(recording)
    serials = {device.name: device.fields["description"] for device in session.devices}
    devices = {group.name: serials[group.device] for group in session.groups}
    assert [devices[name] for name in session.electrodes.groups] == ["BBB"] * 4 + ["AAA"] * 4
