"""What is computed here has the numbers, parameters and types of SpikeInterface's own functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import spikeinterface as si
from spikeinterface.preprocessing import common_reference, highpass_filter

from spikeinterface_cloud.analysis.analyzer import create_analyzer
from spikeinterface_cloud.analysis.component_metrics import d_prime
from spikeinterface_cloud.analysis.extensions import (
    EXTENSIONS,
    compute_extensions,
    compute_templates,
)
from tests.support.recordings import simulate

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable"),
    pytest.mark.filterwarnings("ignore:The Recording is not serializable"),
    pytest.mark.filterwarnings("ignore::UserWarning:spikeinterface.metrics"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning"),
]

#: the relative and the absolute difference of amplitudes, scalings, components, micrometers
CLOSE = {"rtol": 1e-3, "atol": 1e-3}

DURATIONS_S = [4.0, 2.5]

#: with as many spikes as features or fewer, these are SpikeInterface's inverse of a singular matrix
OF_DISTANCE = ("isolation_distance", "l_ratio")


@dataclass(frozen=True, kw_only=True, slots=True)
class Both:
    """The same sorting, analyzed here and by SpikeInterface."""

    ours: si.SortingAnalyzer
    theirs: si.SortingAnalyzer

    def data(self, extension: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """An array of an extension, from each."""
        ours, theirs = (
            np.asarray(each.get_extension(extension).data[name])
            for each in (self.ours, self.theirs)
        )
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        return ours, theirs


def odd_sorting(truth: si.BaseSorting, lengths: list[int]) -> si.BaseSorting:
    """The true units, one with three spikes, one at the edges, and one silent in a segment."""
    segments = []
    for segment, n_samples in enumerate(lengths):
        trains = {
            str(unit): truth.get_unit_spike_train(unit, segment_index=segment)
            for unit in truth.unit_ids
        }
        trains["few"] = np.array([9_000, 9_500, 9_700] if segment == 0 else [], dtype="int64")
        trains["edges"] = np.array([0, 4, 29_999, 30_000, n_samples - 3, n_samples - 1])
        if segment == 1:
            trains["0"] = np.array([], dtype="int64")
        segments.append(trains)
    return si.NumpySorting.from_unit_dict(segments, truth.sampling_frequency)


def view(recording: si.BaseRecording) -> si.BaseRecording:
    """The recording, filtered each time that it is read, as floats: noise of integers is ours."""
    return common_reference(highpass_filter(recording, freq_min=300.0, dtype="float32"))


@pytest.fixture(scope="module", params=["microvolts", "no gain", "groups"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """A lazily filtered recording of two segments, with units of all kinds."""
    recording, truth = simulate(duration_s=DURATIONS_S, n_channels=32, n_units=5)
    recording.set_channel_offsets(0.5)
    if request.param == "no gain":
        for name in ("gain_to_uV", "offset_to_uV"):
            recording.delete_property(name)
    lengths = [recording.get_num_samples(segment) for segment in range(2)]
    sorting = odd_sorting(truth, lengths)
    split_by = None
    if request.param == "groups":
        split_by = "group"
        recording.set_property("group", np.repeat([0, 1], 16))
        sorting.set_property("group", np.arange(sorting.get_num_units()) % 2)
    folder = tmp_path_factory.mktemp("both")
    ours = create_analyzer(sorting, view(recording), folder / "ours", split_by)
    compute_templates(ours)
    compute_extensions(ours)
    theirs = si.create_sorting_analyzer(
        sorting,
        view(recording),
        format="binary_folder",
        folder=folder / "theirs",
        main_channel_indices=ours.get_main_channels(outputs="index", with_dict=False),
        sparsity=ours.sparsity,
        return_in_uV=ours.return_in_uV,
    )
    left_out = set() if ours.return_in_uV else {"template_metrics"}
    left_out |= {"template_similarity"}  # has a test of its own, and compiles for ten seconds
    computed = {name: dict(EXTENSIONS[name]) for name in EXTENSIONS if name not in left_out}
    theirs.compute(computed, verbose=False)
    return Both(ours=ours, theirs=theirs)


@pytest.mark.parametrize(
    ("extension", "name"),
    [
        ("waveforms", "waveforms"),
        ("templates", "average"),
        ("templates", "std"),
        ("noise_levels", "noise_levels"),
        ("spike_amplitudes", "amplitudes"),
        ("amplitude_scalings", "amplitude_scalings"),
        ("amplitude_scalings", "collision_mask"),
        ("unit_locations", "unit_locations"),
        ("principal_components", "pca_projection"),
    ],
)
def test_arrays_are_spikeinterfaces(both: Both, extension: str, name: str) -> None:
    ours, theirs = both.data(extension, name)
    assert np.allclose(ours, theirs, equal_nan=True, **CLOSE)
    assert ours.any() or name == "collision_mask", "nothing was compared"


def test_locations_of_spikes_are_spikeinterfaces(both: Both) -> None:
    ours, theirs = both.data("spike_locations", "spike_locations")
    for axis in ("x", "y"):
        assert np.allclose(ours[axis], theirs[axis], equal_nan=True, **CLOSE)
    assert np.ptp(ours["y"]) > 100.0, "nothing was compared"


def test_metrics_are_spikeinterfaces(both: Both) -> None:
    units = both.ours.get_extension("random_spikes").get_random_spikes()["unit_index"]
    n_features = 5 * both.ours.sparsity.mask.sum(axis=1)
    has_distance = np.bincount(units, minlength=len(n_features)) > n_features
    assert has_distance.any(), "nothing was compared"
    for extension in ("quality_metrics", "template_metrics"):
        if not both.theirs.has_extension(extension):
            continue
        ours, theirs = (
            each.get_extension(extension).get_data() for each in (both.ours, both.theirs)
        )
        assert list(ours.columns) == list(theirs.columns)
        assert list(ours.dtypes) == list(theirs.dtypes)
        for column in theirs.select_dtypes("number"):
            rows = has_distance if column in OF_DISTANCE else slice(None)
            assert np.allclose(
                ours[column][rows].to_numpy(dtype="float64"),
                theirs[column][rows].to_numpy(dtype="float64"),
                rtol=1e-3,
                atol=1e-7,
                equal_nan=True,
            ), f"{column}:\n{pd.concat([ours[column], theirs[column]], axis=1)}"


def test_parameters_are_spikeinterfaces(both: Both, tmp_path: Path) -> None:
    both.ours.save_as(format="zarr", folder=tmp_path / "analyzer.zarr")
    opened = si.load_sorting_analyzer(tmp_path / "analyzer.zarr")
    for name, extension in both.theirs.extensions.items():
        ours = opened.get_extension(name)
        assert type(ours) is type(extension)
        assert plain(ours.params) == plain(extension.params), name


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON keeps them, tuples as lists."""
    return {
        name: plain(value)
        if isinstance(value, Mapping)
        else list(value)
        if isinstance(value, list | tuple)
        else value
        for name, value in parameters.items()
    }


@pytest.mark.parametrize("n_spikes", [2, 30, 500])
def test_d_prime_is_that_of_scikit_learns_discriminant(n_spikes: int) -> None:
    """Also where features are fewer than spikes, constant, or copies of each other."""
    from spikeinterface.metrics.quality.pca_metrics import d_prime_metric

    generator = np.random.default_rng(n_spikes)
    spikes = generator.normal(0.3, 1.0, (n_spikes, 40))
    others = generator.normal(0.0, 2.0, (3 * n_spikes, 40))
    features = np.concatenate([spikes, others])
    features[:, 7], features[:, 9] = 0.0, features[:, 8]
    labels = np.repeat([1, 0], [n_spikes, 3 * n_spikes])
    ours = d_prime(features[:n_spikes], features[n_spikes:])
    assert ours == pytest.approx(abs(d_prime_metric(features, labels, 1)), rel=1e-6)
