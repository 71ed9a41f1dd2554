"""Which Neuropixels probe an Open Ephys stream is of, by the GUI's settings.xml."""

from pathlib import Path

import numpy as np
import pytest
from probeinterface import write_probeinterface
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.load import open_recording
from tests.support.recordings import simulate, write_open_ephys

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Unable to compute saturation threshold"),
]

N_CHANNELS = 16
STREAM = "Acquisition_Board-100.acquisition_board"


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=1.0, n_channels=N_CHANNELS, n_units=2)[0]


def write_probes(folder: Path, recording: BaseRecording, names: list[str], after: str = "") -> Path:
    """Write a session of the first probe, and settings with probes at different places.

    `after` are processors behind the record node.
    """
    session = write_open_ephys(folder, recording, n_adc=0)
    for file in session.rglob("structure.oebin"):
        file.write_text(file.read_text().replace(STREAM, f"Neuropix-PXI-100.{names[0]}-AP"))
    for stream in session.rglob(STREAM):
        stream.rename(stream.with_name(f"Neuropix-PXI-100.{names[0]}-AP"))
    streams = "".join(f'<STREAM name="{name}-AP"/><STREAM name="{name}-LFP"/>' for name in names)
    probes = "".join(_probe(name, n) for n, name in enumerate(names))
    (session / "Record Node 101/settings.xml").write_text(
        f"""<SETTINGS><INFO><VERSION>0.6.4</VERSION></INFO><SIGNALCHAIN>
        <PROCESSOR name="Neuropix-PXI" nodeId="100" libraryVersion="0.4.0">{streams}
        <EDITOR>{probes}</EDITOR></PROCESSOR>
        <PROCESSOR name="Record Node" nodeId="101"/>{after}</SIGNALCHAIN></SETTINGS>"""
    )
    return session


def _probe(name: str, number: int) -> str:
    """Return a probe with electrodes from 100 times its number on."""
    electrodes = range(100 * number, 100 * number + N_CHANNELS)
    selected = " ".join(f'E{n}="{electrode}"' for n, electrode in enumerate(electrodes))
    return (
        f'<NP_PROBE slot="2" port="{number + 1}" dock="1" probe_serial_number="1800{number}" '
        f'probe_part_number="NP1000" custom_probe_name="{name}">'
        f"<SELECTED_ELECTRODES {selected}/></NP_PROBE>"
    )


def highest_um(session: Path) -> float:
    recording = open_recording(session, "openephys", {})
    return float(recording.get_channel_locations()[:, 1].max())


@pytest.mark.parametrize("names", [["ProbeA", "ProbeB"], ["B", "A"], ["P10", "P1"]])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_stream_has_the_probe_of_its_name(
    tmp_path: Path, simulated: BaseRecording, names: list[str], is_first: bool
) -> None:
    """Names that are parts of others, or of the endings of streams, are told apart."""
    session = write_probes(tmp_path, simulated, names)
    settings = session / "Record Node 101/settings.xml"
    if not is_first:
        first, second = (_probe(name, n) for n, name in enumerate(names))
        settings.write_text(settings.read_text().replace(first + second, second + first))
    # 16 electrodes from 0 on, in rows of two that are 20 um apart
    assert highest_um(session) == 140.0


def test_a_record_node_that_chooses_channels_of_two_probes_is_read(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """probeinterface has to be told the stream then, not the probe."""
    session = write_probes(tmp_path, simulated, ["ProbeA", "ProbeB"])
    settings = session / "Record Node 101/settings.xml"
    node, chosen = '<PROCESSOR name="Record Node" nodeId="101"', "1" * N_CHANNELS
    streams = "".join(
        f'<STREAM name="{name}-AP" recording_state="{chosen}"/>' for name in ("ProbeA", "ProbeB")
    )
    custom = f"{node}><CUSTOM_PARAMETERS>{streams}</CUSTOM_PARAMETERS></PROCESSOR>"
    settings.write_text(settings.read_text().replace(f"{node}/>", custom))
    assert highest_um(session) == 140.0


CHANNEL_MAP = (
    '<PROCESSOR name="Channel Map" nodeId="102"><STREAM name="{0}-AP"/><STREAM name="{0}-LFP"/>'
    "<CUSTOM_PARAMETERS>{1}{1}</CUSTOM_PARAMETERS></PROCESSOR>"
)
REVERSED = "".join(f'<CH index="{n}"/>' for n in range(N_CHANNELS)[::-1])


def test_a_map_after_the_record_node_is_not_taken_for_its_order(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    mapped = CHANNEL_MAP.format("ProbeA", f"<STREAM>{REVERSED}</STREAM>")
    later = mapped + '<PROCESSOR name="Record Node" nodeId="103"/>'
    session = write_probes(tmp_path / "a", simulated, ["ProbeA"], later)
    with pytest.raises(RecordingError, match="mapped after Record Node 101 had recorded them"):
        highest_um(session)
    session = write_probes(tmp_path / "b", simulated, ["ProbeA"], mapped)
    recording = open_recording(session, "openephys", {})
    np.testing.assert_allclose(recording.get_channel_locations()[0, 1], 0.0)


def replace_settings(session: Path, old: str, new: str) -> None:
    settings = session / "Record Node 101/settings.xml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))


NODE = '<PROCESSOR name="Record Node" nodeId="101"/>'
IN_ORDER = "".join(f'<CH index="{n}"/>' for n in range(N_CHANNELS))
#: distance of the contacts from the tip of NP1.0, of channels in order
DEPTHS_UM = [20.0 * (n // 2) for n in range(N_CHANNELS)]


def depths_um(session: Path) -> list[float]:
    recording = open_recording(session, "openephys", {})
    return [float(y) for y in recording.get_channel_locations()[:, 1]]


def channel_map(orders: dict[str, str]) -> str:
    """Return a channel map of the streams, in this order."""
    streams = "".join(f'<STREAM name="{name}"/>' for name in orders)
    given = "".join(f"<STREAM>{order}</STREAM>" for order in orders.values())
    custom = f"<CUSTOM_PARAMETERS>{given}</CUSTOM_PARAMETERS>"
    return f'<PROCESSOR name="Channel Map" nodeId="102">{streams}{custom}</PROCESSOR>'


@pytest.mark.parametrize("names", [["ProbeA", "ProbeB"], ["ProbeB", "ProbeA"]])
def test_a_stream_has_the_map_of_its_own_name(
    tmp_path: Path, simulated: BaseRecording, names: list[str]
) -> None:
    """NP1.0 has two streams of each probe, and a channel map has an order of each of them."""
    session = write_probes(tmp_path, simulated, names)
    orders = {f"{name}-{band}": IN_ORDER for name in sorted(names) for band in ("AP", "LFP")}
    replace_settings(session, NODE, channel_map({**orders, f"{names[0]}-AP": REVERSED}) + NODE)
    assert depths_um(session) == DEPTHS_UM[::-1]


def test_a_map_moves_the_sampling_shifts_with_the_contacts(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    session = write_probes(tmp_path, simulated, ["ProbeA"])
    shifts = open_recording(session, "openephys", {}).get_property("inter_sample_shift")
    assert len(set(shifts)) > 2
    order = {f"ProbeA-{band}": REVERSED for band in ("AP", "LFP")}
    replace_settings(session, NODE, channel_map(order) + NODE)
    mapped = open_recording(session, "openephys", {})
    np.testing.assert_allclose(mapped.get_property("inter_sample_shift"), shifts[::-1])
    np.testing.assert_allclose(mapped.get_channel_locations()[:, 1], DEPTHS_UM[::-1])


def test_a_map_passes_the_streams_that_it_is_not_enabled_for(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    session = write_probes(tmp_path, simulated, ["ProbeA"])
    order = {f"ProbeA-{band}": REVERSED for band in ("AP", "LFP")}
    replace_settings(session, NODE, channel_map(order) + NODE)
    replace_settings(
        session,
        'nodeId="102"><STREAM name="ProbeA-AP"/>',
        'nodeId="102"><STREAM name="ProbeA-AP"><PARAMETERS enable_stream="0"/></STREAM>',
    )
    assert depths_um(session) == DEPTHS_UM


def test_a_map_leaves_out_the_channels_that_it_does_not_enable(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """With a record node that is told to select the others, probeinterface counts as many."""
    upper = simulated.select_channels(simulated.channel_ids[N_CHANNELS // 2 :])
    session = write_probes(tmp_path, upper, ["ProbeA"])
    halved = "".join(f'<CH index="{n}" enabled="{n // 8}"/>' for n in range(N_CHANNELS))
    order = {f"ProbeA-{band}": halved for band in ("AP", "LFP")}
    other = record_node(99, "1" * 8 + "0" * 8)
    replace_settings(session, NODE, other + channel_map(order) + NODE)
    assert depths_um(session) == DEPTHS_UM[8:]


def test_a_map_that_does_not_name_the_stream_asks_for_the_probe(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    session = write_probes(tmp_path, simulated, ["ProbeA"])
    replace_settings(session, NODE, channel_map({"ProbeX-AP": IN_ORDER}) + NODE)
    with pytest.raises(RecordingError, match=r"the order of ProbeA-AP.*PROBE_FILE"):
        depths_um(session)


def test_a_mapped_stream_without_a_probe_of_its_name_asks_for_one(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """The map that probeinterface takes is the one at the place of the probe."""
    session = write_probes(tmp_path, simulated, ["ProbeA", "ProbeB"])
    orders = {f"{name}-{band}": IN_ORDER for name in ("ProbeA", "ProbeB") for band in ("AP", "LFP")}
    replace_settings(session, NODE, channel_map(orders) + NODE)
    replace_settings(session, 'custom_probe_name="ProbeA"', 'custom_probe_name="Probe"')
    with pytest.raises(RecordingError, match=r"no probe.*the name of the stream ProbeA-AP"):
        depths_um(session)


def record_node(number: int, state: str) -> str:
    stream = f'<STREAM name="ProbeA-AP" recording_state="{state}"/>'
    custom = f"<CUSTOM_PARAMETERS>{stream}</CUSTOM_PARAMETERS>"
    return f'<PROCESSOR name="Record Node" nodeId="{number}">{custom}</PROCESSOR>'


def test_a_record_node_has_the_channels_that_it_selected_itself(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """The first record node of the signal chain selected others."""
    upper = simulated.select_channels(simulated.channel_ids[N_CHANNELS // 2 :])
    session = write_probes(tmp_path, upper, ["ProbeA"])
    first, own = record_node(99, "1" * 8 + "0" * 8), record_node(101, "0" * 8 + "1" * 8)
    replace_settings(session, NODE, first + own)
    assert depths_um(session) == DEPTHS_UM[8:]


def test_a_probe_that_the_reader_refuses_can_be_replaced(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """The first record node selected another number of channels; the remedy is followed."""
    session = write_probes(tmp_path, simulated, ["ProbeA"])
    replace_settings(session, NODE, record_node(99, "1" * 8 + "0" * 8) + record_node(101, "ALL"))
    with pytest.raises(RecordingError, match=r"rename that file.*as PROBE_FILE"):
        depths_um(session)
    settings = session / "Record Node 101/settings.xml"
    settings.rename(settings.with_name("settings.not"))
    probe_file = tmp_path / "probe.json"
    write_probeinterface(probe_file, simulated.get_probegroup())
    recording = open_recording(session, "openephys", {}, probe_file)
    np.testing.assert_array_equal(
        recording.get_channel_locations(), simulated.get_channel_locations()
    )
