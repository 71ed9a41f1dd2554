"""Which Neuropixels probe an Open Ephys stream is of, by the GUI's settings.xml."""

from pathlib import Path

import numpy as np
import pytest
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
