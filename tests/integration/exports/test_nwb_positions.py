"""Where the units of an NWB file are, beside where its table of electrodes has the contacts."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.extractors as se

from spikeinterface_cloud.recording.checks import check_recording
from tests.support.exports import Exported, export_truth
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import neuropixels_probe, simulate

pytestmark = [
    pytest.mark.integration,
    # ten seconds are too short for some metrics, which SpikeInterface then leaves empty
    pytest.mark.filterwarnings("ignore:.*(NaN|could not be computed|not serializable).*"),
]

#: between the spikes of one probe and the same spikes on the other
DELAY = 15_000


def read_positions(exported: Exported) -> tuple[np.ndarray, np.ndarray, str]:
    """Return the position of each unit and of its largest electrode, and what they are."""
    with h5py.File(exported.folder / "units.nwb") as file:
        electrodes, units = file["general/extracellular_ephys/electrodes"], file["units"]
        firsts = units["electrodes"][:][np.r_[0, units["electrodes_index"][:-1]]]
        contacts = np.stack([electrodes[f"rel_{axis}"][:][firsts] for axis in "xy"], axis=1)
        places = np.stack([units[f"estimated_{axis}"][:] for axis in "xy"], axis=1)
        return places, contacts, units["estimated_x"].attrs["description"]


def test_units_of_probes_that_share_positions_are_beside_their_electrodes(tmp_path: Path) -> None:
    one, truth = simulate(duration_s=6.0, n_channels=8, n_units=4, seed=2)
    traces = one.get_traces()
    recording = si.NumpyRecording([np.hstack([traces, np.roll(traces, DELAY, axis=0)])], 30_000.0)
    layout = NwbLayout(
        positions=np.tile(one.get_channel_locations(), (2, 1)), groups=("probeA", "probeB")
    )
    file = write_nwb(tmp_path / "source.nwb", recording, layout)
    source, notes = check_recording(se.read_nwb_recording(file))
    shift = source.get_channel_locations()[8:] - one.get_channel_locations()
    assert "2 probes share positions" in notes[0]
    trains = {f"A{unit}": truth.get_unit_spike_train(unit) for unit in truth.unit_ids}
    late = {f"B{name[1:]}": np.sort((train + DELAY) % 180_000) for name, train in trains.items()}
    both = si.NumpySorting.from_unit_dict([trains | late], 30_000.0)
    exported = export_truth(["nwb"], source, both, tmp_path / "results")
    assert exported.errors == {"nwb": None}
    places, contacts, description = read_positions(exported)
    assert np.abs(places - contacts).max() < 100
    estimated = exported.analyzer.get_extension("unit_locations").get_data()[:, :2]
    np.testing.assert_allclose(places, estimated - np.outer(np.repeat([0, 1], 4), shift[0]))
    assert description.endswith("in the frame of rel_x of its electrodes")


@pytest.mark.parametrize("spacing_um", [1.0, np.nan])
def test_units_are_on_the_probe_that_the_file_lacks(tmp_path: Path, spacing_um: float) -> None:
    """PROBE_FILE corrects the positions in the file, where the electrodes are a line."""
    recording, truth = simulate(duration_s=3.0, n_channels=8, n_units=2)
    line = np.stack([np.zeros(8), spacing_um * np.arange(8)], axis=1)
    file = write_nwb(tmp_path / "source.nwb", recording, NwbLayout(positions=line))
    source = se.read_nwb_recording(file)
    source.set_probe(neuropixels_probe(8))
    exported = export_truth(["nwb"], source, truth, tmp_path / "results")
    assert exported.errors == {"nwb": None}
    places, _, description = read_positions(exported)
    estimated = exported.analyzer.get_extension("unit_locations").get_data()
    np.testing.assert_allclose(places, estimated[:, :2])
    assert description.endswith("in the frame of the positions that were sorted")
