"""The folder for phy: as SpikeInterface's own exporter has it, as phy's own library opens it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import spikeinterface.extractors as se
from phylib.io.model import load_model
from probeinterface import generate_multi_columns_probe
from spikeinterface.exporters import export_to_phy

from spikeinterface_cloud.exports import phy
from tests.support.exports import Exported, export_truth
from tests.support.recordings import neuropixels_probe, simulate

pytestmark = [
    pytest.mark.integration,
    # ten seconds are too short for some metrics, which SpikeInterface then leaves empty
    pytest.mark.filterwarnings("ignore:.*(NaN|could not be computed|not serializable).*"),
]

LABELS = {"label": ["good", "mua", "noise", None]}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    recording, truth = simulate(duration_s=10.0, n_channels=16, n_units=4)
    results = tmp_path_factory.mktemp("phy") / "results"
    return export_truth(["phy"], recording, truth, results, LABELS)


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Three seconds, and two more."""
    recording, truth = simulate(duration_s=(3.0, 2.0), n_channels=16, n_units=3)
    return export_truth(["phy"], recording, truth, tmp_path_factory.mktemp("phy") / "results")


def folder_of(exported: Exported) -> Path:
    return exported.folder / "phy"


def opened(folder: Path) -> Any:
    """As phy opens it."""
    return load_model(folder / "params.py")


def test_no_export_fails(exported: Exported, segmented: Exported) -> None:
    assert exported.errors == {"phy": None}
    assert segmented.errors == {"phy": None}


def test_spikeinterface_reads_spikes_and_labels_back(exported: Exported) -> None:
    sorting = se.read_phy(folder_of(exported))
    assert list(sorting.unit_ids) == [0, 1, 2, 3]
    assert list(sorting.get_property("quality")) == ["good", "mua", "noise", "unsorted"]
    for number, name in enumerate(exported.sorting.unit_ids):
        np.testing.assert_array_equal(
            sorting.get_unit_spike_train(number), exported.sorting.get_unit_spike_train(name)
        )


def test_units_keep_their_numbers(exported: Exported, tmp_path: Path) -> None:
    analyzer = exported.analyzer
    numbered = analyzer.select_units(analyzer.unit_ids[[3, 1]])
    phy.write_tables(numbered, pd.DataFrame(), tmp_path)
    table = pd.read_csv(tmp_path / "cluster_si_unit_id.tsv", sep="\t")
    assert table["si_unit_id"].tolist() == [3, 1]


def test_units_with_text_names_are_read_back(tmp_path: Path) -> None:
    recording, truth = simulate(duration_s=2.0, n_channels=8, n_units=2)
    named = truth.rename_units(["left", "right"])
    exported = export_truth(["phy"], recording, named, tmp_path / "results")
    sorting = se.read_phy(folder_of(exported))
    assert list(sorting.get_property("unit_name")) == ["left", "right"]
    assert "unit_name" in opened(folder_of(exported)).metadata


def test_noise_can_be_excluded_when_reading(exported: Exported) -> None:
    sorting = se.read_phy(folder_of(exported), exclude_cluster_groups=["noise"])
    assert list(sorting.unit_ids) == [0, 1, 3]


@pytest.mark.parametrize(
    "name",
    [
        "spike_times",
        "spike_templates",
        "spike_clusters",
        "amplitudes",
        "templates",
        "template_ind",
        "similar_templates",
        "channel_map",
        "channel_positions",
        "_phy_spikes_subset.spikes",
        "_phy_spikes_subset.channels",
        "_phy_spikes_subset.waveforms",
    ],
)
def test_arrays_equal_those_of_spikeinterface(
    exported: Exported, tmp_path: Path, name: str
) -> None:
    analyzer = exported.analyzer
    theirs = tmp_path / "theirs"
    export_to_phy(
        analyzer,
        theirs,
        compute_pc_features=False,
        add_waveforms=True,
        copy_binary=False,
        verbose=False,
    )
    ours = np.load(folder_of(exported) / f"{name}.npy")
    expected = np.load(theirs / f"{name}.npy")
    np.testing.assert_allclose(np.squeeze(ours), np.squeeze(expected), rtol=1e-5, atol=1e-5)


def test_phylib_opens_the_folder(exported: Exported) -> None:
    model = opened(folder_of(exported))
    assert model.n_spikes == len(exported.sorting.to_spike_vector())
    assert model.n_templates == 4
    assert model.n_channels == 16
    assert model.sample_rate == 30000.0
    assert set(model.metadata) >= {"group", "si_unit_id", "snr"}
    np.testing.assert_array_equal(model.traces[:1000], exported.source.get_traces(0, 0, 1000))


def test_folder_opens_after_moving(exported: Exported, tmp_path: Path) -> None:
    moved = shutil.copytree(folder_of(exported), tmp_path / "elsewhere" / "phy")
    assert opened(moved).traces.shape == (300_000, 16)


def test_sampled_spikes_have_features(exported: Exported) -> None:
    model = opened(folder_of(exported))
    sampled = np.load(folder_of(exported) / "_phy_spikes_subset.spikes.npy")
    unit = model.spike_clusters[sampled] == 1
    channels = model.get_template(1).channel_ids[:4]
    features = model.get_features(sampled[unit], channels)
    assert features.shape == (unit.sum(), 4, 3)
    assert np.isfinite(features).all()
    assert np.ptp(features) > 0


def check_waveforms_and_features(exported: Exported, n_units: int) -> None:
    """Check those of a few spikes of each unit, on the unit's largest channel."""
    model = opened(folder_of(exported))
    assert list(model.cluster_ids) == list(range(n_units))
    sampled = np.load(folder_of(exported) / "_phy_spikes_subset.spikes.npy")
    traces = exported.source.get_traces(return_in_uV=True)
    for unit in model.cluster_ids:
        spikes = sampled[model.spike_clusters[sampled] == unit][:20]
        main = model.get_template(unit).channel_ids[:1]
        assert model.get_features(spikes, main).shape == (len(spikes), 1, 3)
        expected = [traces[time - 30 : time + 60, main] for time in model.spike_samples[spikes]]
        np.testing.assert_allclose(model.get_waveforms(spikes, main), expected)


def test_phylib_opens_the_folder_of_a_single_unit(tmp_path: Path) -> None:
    recording, truth = simulate(duration_s=3.0, n_channels=8, n_units=1)
    exported = export_truth(["phy"], recording, truth, tmp_path / "results", {"label": ["good"]})
    check_waveforms_and_features(exported, n_units=1)
    sorting = se.read_phy(folder_of(exported))
    assert list(sorting.get_property("quality")) == ["good"]
    expected = exported.sorting.get_unit_spike_train(exported.sorting.unit_ids[0])
    np.testing.assert_array_equal(sorting.get_unit_spike_train(0), expected)


@pytest.mark.parametrize("n_units", [1, 3])
def test_units_on_one_channel_each_have_features(tmp_path: Path, n_units: int) -> None:
    probe = generate_multi_columns_probe(2, 4, xpitch=400.0, ypitch=400.0)
    probe.set_device_channel_indices(np.arange(8))
    recording, truth = simulate(duration_s=3.0, n_units=n_units, probe=probe)
    exported = export_truth(["phy"], recording, truth, tmp_path / "results")
    sparsity = exported.analyzer.sparsity
    assert sparsity is not None
    assert set(sparsity.mask.sum(axis=1)) == {1}
    check_waveforms_and_features(exported, n_units)


def test_only_large_traces_are_left_out(exported: Exported, tmp_path: Path) -> None:
    recording = exported.source.save(folder=tmp_path / "recording", format="binary")
    phy.export_phy(exported.analyzer, recording, pd.DataFrame(), tmp_path / "phy", 1000)
    assert not (tmp_path / "phy" / phy.TRACES).exists()
    model = opened(tmp_path / "phy")
    assert model.traces is None
    sampled = np.load(tmp_path / "phy" / "_phy_spikes_subset.spikes.npy")
    main = model.get_template(0).channel_ids[:1]
    first = sampled[model.spike_clusters[sampled] == 0][:5]
    waveforms = model.get_waveforms(first, main)
    assert np.ptp(waveforms) > 50  # microvolts


def test_segments_are_concatenated_as_in_the_traces(segmented: Exported) -> None:
    model = opened(folder_of(segmented))
    spikes = segmented.sorting.to_spike_vector(concatenated=False)
    expected = np.concatenate([spikes[0]["sample_index"], spikes[1]["sample_index"] + 90_000])
    np.testing.assert_array_equal(model.spike_samples, expected)
    assert model.traces.shape == (150_000, 16)
    second = segmented.source.get_traces(segment_index=1, end_frame=100)
    np.testing.assert_array_equal(model.traces[90_000:90_100], second)
    sorting = se.read_phy(folder_of(segmented))
    assert sorting.get_num_units() == 3


def test_phylib_opens_the_folder_of_a_probe_in_three_dimensions(tmp_path: Path) -> None:
    recording, truth = simulate(duration_s=3.0, n_channels=8, n_units=3)
    recording.set_probe(neuropixels_probe(8).to_3d(axes="xy"))
    exported = export_truth(["phy"], recording, truth, tmp_path / "results")
    assert exported.analyzer.get_channel_locations().shape == (8, 3)
    positions = opened(folder_of(exported)).channel_positions
    np.testing.assert_allclose(positions, neuropixels_probe(8).contact_positions)
