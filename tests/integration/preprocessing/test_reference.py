"""A median is a reference only where most of its channels do not see the same spike."""

from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.preprocessing as spre

from spikeinterface_cloud.preprocessing.pipeline import (
    HIGH_PASS_HZ,
    default_steps,
    high_pass,
    preprocess,
)
from spikeinterface_cloud.preprocessing.reference import common_reference
from tests.support.layouts import (
    Signals,
    linear,
    record,
    square,
    staggered,
    tetrodes,
    with_samples,
)

# recordings in memory leave no provenance behind, which SpikeInterface remarks
pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning"),
]

#: layouts, and how they are referenced
LAYOUTS = {
    "a tetrode": (tetrodes(1), "none"),
    "two tetrodes": (tetrodes(2), "none"),
    "four tetrodes": (tetrodes(4), "other groups"),
    "16 tetrodes": (tetrodes(16), "all channels"),
    "a shank of 8": ([linear(8, 20.0)], "none"),
    "a sparse shank of 8": ([linear(8, 200.0)], "all channels"),
    "a linear probe of 32": ([linear(32)], "all channels"),
    "a dense probe of 96": ([staggered(96)], "all channels"),
    "four shanks of 8": ([linear(8, 20.0, 250.0 * s) for s in range(4)], "other groups"),
    "two probes": ([linear(64), linear(32, x_um=3000)], "own group"),
    "a small dense array": ([square(6, 20.0)], "none"),
    "Utah array": ([square(10, 400.0)], "all channels"),
    "lone electrodes": ([np.array([[400.0 * c, 0.0]]) for c in range(16)], "all channels"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_reference_depends_on_the_layout(layout: str) -> None:
    groups, expected = LAYOUTS[layout]
    recording, _ = record(groups, Signals(common_uv=4.0, n_neurons=2, duration_s=1.0))
    reference = common_reference(recording)
    assert _name(reference) == expected


def _name(reference: dict[str, object] | None) -> str:
    if reference is None:
        return "none"
    if "ref_channel_ids" in reference:
        return "other groups"
    return "own group" if "groups" in reference else "all channels"


def test_groups_without_common_noise_are_not_referenced() -> None:
    signals = Signals(common_uv=30.0, areas=[0, 1, 2, 3], n_neurons=0, duration_s=1.0)
    recording, _ = record(tetrodes(4), signals)
    assert common_reference(recording) is None


@pytest.mark.parametrize("layout", ["a sparse shank of 8", "a dense probe of 96", "two probes"])
@pytest.mark.parametrize(
    ("common_uv", "sorter", "expected"),
    [(20.0, "simple", True), (0.0, "simple", False), (0.0, "herdingspikes", True)],
)
def test_sorter_that_filters_has_a_reference_where_much_noise_is_shared(
    layout: str, common_uv: float, sorter: str, expected: bool
) -> None:
    recording, _ = record(LAYOUTS[layout][0], Signals(common_uv=common_uv, n_neurons=2))
    steps, _ = default_steps(recording, {"kilosort4": {}, sorter: {}})
    names = [step["name"] for step in steps]
    assert names == (["highpass_filter", "common_reference"] if expected else [])


def test_blank_stretches_do_not_decide_on_the_reference() -> None:
    for groups, signals, expected in (
        (
            [linear(32)],
            Signals(common_uv=20.0, n_neurons=0),
            ["highpass_filter", "common_reference"],
        ),
        (tetrodes(4), Signals(common_uv=30.0, areas=[0, 1, 2, 3], n_neurons=0), []),
    ):
        recording, _ = record(groups, signals)
        samples = recording.get_traces().copy()
        samples[: len(samples) * 7 // 10] = 0
        steps, _ = default_steps(with_samples(recording, samples), {"simple": {}})
        assert [step["name"] for step in steps] == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_amplitudes_are_those_of_the_neurons(layout: str) -> None:
    groups, _ = LAYOUTS[layout]
    recording, neurons = record(groups, Signals(common_uv=4.0, n_neurons=3, seed=1))
    filtered = spre.apply_preprocessing_pipeline(recording, high_pass(recording))
    sorting = si.NumpySorting.from_unit_dict([{k: n.frames for k, n in enumerate(neurons)}], 30000)
    analyzer = si.create_sorting_analyzer(sorting, filtered, sparse=False, return_in_uV=True)
    analyzer.compute({"random_spikes": {"seed": 0}, "templates": {"operators": ["average"]}})
    templates = analyzer.get_extension("templates").get_data(operator="average")
    for neuron, template in zip(neurons, templates, strict=True):
        lowest = template.min(axis=0)
        assert lowest.argmin() == neuron.channel
        assert -lowest.min() == pytest.approx(neuron.amplitude_uv, rel=0.1)


def test_common_noise_is_removed() -> None:
    recording, _ = record(tetrodes(8), Signals(common_uv=20.0, n_neurons=0, duration_s=1.0))
    before = spre.highpass_filter(recording, freq_min=HIGH_PASS_HZ)
    after = spre.apply_preprocessing_pipeline(recording, high_pass(recording))
    ratio = after.get_traces().std() / before.get_traces().std()
    assert ratio < 0.5


@pytest.mark.parametrize("gain_uv", [0.195, 2.34])
def test_noise_levels_are_right_with_a_coarse_converter(tmp_path: Path, gain_uv: float) -> None:
    fine, _ = record([linear(32)], Signals(n_neurons=0, duration_s=2.0))
    steps = np.round(fine.get_traces(return_in_uV=True) / gain_uv).astype("int16")
    coarse = si.NumpyRecording([steps], fine.sampling_frequency)
    coarse.set_channel_gains(gain_uv)
    coarse.set_channel_offsets(0.0)
    coarse.set_probegroup(fine.get_probegroup())
    view = preprocess(coarse, "none", {"kilosort4": {}}, tmp_path / "p").filtered_recording
    noise = si.get_noise_levels(view, return_in_uV=True, random_slices_kwargs={"seed": 0})
    # rounding to steps adds noise of its own, a twelfth of a squared step
    expected = np.hypot(fine.get_traces(return_in_uV=True).std(axis=0), gain_uv / 12**0.5)
    assert noise == pytest.approx(expected, rel=0.1)
