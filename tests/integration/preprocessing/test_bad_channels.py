"""Bad channels are found, and no good channel is taken for one, whatever the layout."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si

from spikeinterface_cloud.preprocessing.bad_channels import check_channels
from spikeinterface_cloud.preprocessing.pipeline import default_steps
from tests.support.cases import write_case
from tests.support.layouts import (
    SAMPLING_FREQUENCY_HZ,
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

#: layouts, and the area of each of their groups
LAYOUTS = {
    "two probes, 64 and 32": ([linear(64), linear(32, x_um=3000)], [0, 1]),
    "two probes, 128 and 64": ([linear(128), linear(64, x_um=3000)], [0, 1]),
    "16 tetrodes": (tetrodes(16), [0] * 8 + [1] * 8),
    "a tetrode": (tetrodes(1), [0]),
    "Utah array": ([square(10, 400.0)], [0]),
    "culture on 16 x 16": ([square(16, 100.0)], [0]),
    "four shanks of 16": ([staggered(16, x_um=250.0 * s) for s in range(4)], [0] * 4),
    "a shank of 8": ([linear(8, 20.0)], [0]),
    "a dense probe of 64": ([staggered(64)], [0]),
}

#: layouts of channels that differ from each other
UNEVEN_LAYOUTS = {
    "a dense probe": [staggered(64)],
    "a linear probe": [linear(64)],
    "tetrodes": tetrodes(16),
}

COMMON_UV = [0.0, 10.0, 50.0]


@pytest.mark.parametrize("blank", [0.3, 0.9])
def test_bad_channels_are_found_between_blank_stretches(blank: float) -> None:
    signals = Signals(common_uv=10.0, n_neurons=4, duration_s=20.0, dead=[5], noisy=[20])
    recording, _ = record([linear(64)], signals)
    samples = recording.get_traces().copy()
    samples[np.arange(len(samples)) % 60_000 < 60_000 * blank] = 0
    found = check_channels(with_samples(recording, samples))
    assert found.bad == {"5": "dead", "20": "noise"}


@pytest.mark.parametrize("common_uv", COMMON_UV)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_bad_channels_are_removed(layout: str, common_uv: float) -> None:
    groups, areas = LAYOUTS[layout]
    n_channels = sum(map(len, groups))
    # one in eight is bad, but never more than six
    bad = np.random.default_rng(1).permutation(n_channels)[: min(6, n_channels // 8)].tolist()
    dead, noisy = bad[::2], bad[1::2]
    signals = Signals(common_uv=common_uv, areas=areas, dead=dead, noisy=noisy, duration_s=1.5)
    recording, _ = record(groups, signals)
    checks = check_channels(recording)
    expected = {str(c): "dead" for c in dead} | {str(c): "noise" for c in noisy}
    assert checks.bad == expected
    assert checks.notes == []
    assert len(checks.by_channel) == n_channels


@pytest.mark.parametrize(("layout", "n_channels"), [("tetrodes", 64), ("utah", 100)])
def test_no_channel_is_removed_beside_another_headstage(
    tmp_path: Path, layout: str, n_channels: int
) -> None:
    case = write_case(tmp_path / "case", "two_probes", layout)
    recording = si.load(case.variables["SOURCE_FOLDER"])
    steps, checks = default_steps(recording, {"simple": {}})
    assert "detect_and_remove_bad_channels" not in [step["name"] for step in steps]
    assert checks.bad == {}
    assert len(checks.by_channel) == n_channels


def test_a_quiet_probe_beside_a_loud_one_is_kept() -> None:
    recording, _ = record(
        [linear(64), linear(32, x_um=3000)], Signals(common_uv=10.0, areas=[0, 1], n_neurons=0)
    )
    loud = recording.select_channels(recording.channel_ids[:64])
    quiet = recording.select_channels(recording.channel_ids[64:])
    traces = np.hstack([20 * loud.get_traces(), quiet.get_traces()])
    both = si.NumpyRecording([traces], SAMPLING_FREQUENCY_HZ)
    both.set_probegroup(recording.get_probegroup())
    assert check_channels(both).bad == {}


def test_channels_outside_the_brain_are_found() -> None:
    recording, _ = record([staggered(128)], Signals(common_uv=10.0))
    traces = recording.get_traces().copy()
    rng = np.random.default_rng(0)
    traces[:, 100:] = rng.normal(0, 20, (len(traces), 28)).astype("int16")
    outside = si.NumpyRecording([traces], SAMPLING_FREQUENCY_HZ)
    outside.set_channel_gains(0.195)
    outside.set_channel_offsets(0.0)
    outside.set_probegroup(recording.get_probegroup())
    labels = check_channels(outside).bad
    assert set(labels.values()) == {"out"}
    assert {int(channel) for channel in labels} >= set(range(105, 128))
    assert min(map(int, labels)) >= 98


def test_channels_without_gains_are_compared_by_their_noise() -> None:
    recording, _ = record([staggered(64)], Signals(common_uv=10.0, dead=[5], noisy=[20]))
    recording.delete_property("gain_to_uV")
    recording.delete_property("offset_to_uV")
    checks = check_channels(recording)
    assert checks.bad == {"5": "dead", "20": "noise"}
    assert {check.method for check in checks.by_channel.values()} == {
        "noise level",
        "noise beside the common signal",
    }


@pytest.mark.parametrize("n_short", [3, 150, 1200])
def test_a_short_segment_does_not_change_the_labels(n_short: int) -> None:
    recording, _ = record([linear(16)], Signals(dead=[3]))
    traces = recording.get_traces()
    cuts = [0, 30_000, 30_000 + n_short, len(traces)]
    pieces = [traces[a:b] for a, b in itertools.pairwise(cuts)]
    segments = si.NumpyRecording(pieces, SAMPLING_FREQUENCY_HZ)
    segments.set_probegroup(recording.get_probegroup())
    assert check_channels(segments).bad == {"3": "dead"}


def test_most_of_a_group_is_never_removed() -> None:
    recording, _ = record(tetrodes(8), Signals(noisy=[4, 5, 6], n_neurons=0))
    checks = check_channels(recording)
    assert checks.bad == {}
    [note] = checks.notes
    assert "of 4 channels of group 1 look bad" in note


def test_channels_that_cannot_be_checked_are_kept() -> None:
    recording = si.NumpyRecording([np.zeros((2, 4), dtype="int16")], SAMPLING_FREQUENCY_HZ)
    recording.set_dummy_probe_from_locations(linear(4))
    steps, checks = default_steps(recording, {"kilosort4": {}})
    assert steps == []
    assert checks.bad == {}


def test_each_check_has_its_method_and_value() -> None:
    recording, _ = record([linear(16)], Signals(dead=[3], noisy=[9]))
    checks = check_channels(recording).by_channel
    assert checks["3"].method == "noise level"
    assert checks["3"].value < 0.2
    assert checks["9"].method == "noise beside the common signal"
    assert 8 < checks["9"].value < 12
    assert all(0.7 < c.value < 1.4 for c in checks.values() if c.label == "good")


def test_clean_channels_beside_a_noisy_majority_are_not_dead() -> None:
    recording, _ = record([linear(16)], Signals(noisy=[0, 1, 2, 4, 5, 6, 8, 9, 10], n_neurons=0))
    assert "dead" not in check_channels(recording).bad.values()


@pytest.mark.parametrize("step_uv", [4.69, 6.29, 8.0])
def test_quiet_channels_of_a_coarse_converter_are_not_dead(step_uv: float) -> None:
    rng = np.random.default_rng(0)
    traces = rng.normal(0, rng.uniform(3.5, 7.0, 64), (60_000, 64))
    recording = si.NumpyRecording(
        [np.round(traces / step_uv).astype("int16")], SAMPLING_FREQUENCY_HZ
    )
    recording.set_channel_gains(step_uv)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(square(8, 100.0))
    assert check_channels(recording).bad == {}


def test_channels_with_neurons_are_not_outside_the_brain() -> None:
    """Two common signals meet on one long probe."""
    lower, _ = record([linear(76)], Signals(common_uv=25.0, seed=1))
    upper, neurons = record([linear(52)], Signals(common_uv=25.0, seed=2, n_neurons=12))
    traces = np.hstack([lower.get_traces(), upper.get_traces()])
    recording = si.NumpyRecording([traces], SAMPLING_FREQUENCY_HZ)
    recording.set_channel_gains(0.195)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(linear(128))
    removed = {int(channel) for channel in check_channels(recording).bad}
    assert removed.isdisjoint(76 + neuron.channel for neuron in neurons)


@pytest.mark.parametrize("step_uv", [0.195, 2.34])
def test_single_steps_on_a_dead_channel_are_no_spikes(step_uv: float) -> None:
    """Noise of a quarter of a step is a step once in a while."""
    fine, _ = record([linear(32)], Signals(dead=[4, 20], n_neurons=0))
    steps = np.round(fine.get_traces(return_in_uV=True) / step_uv).astype("int16")
    recording = si.NumpyRecording([steps], SAMPLING_FREQUENCY_HZ)
    recording.set_channel_gains(step_uv)
    recording.set_channel_offsets(0.0)
    recording.set_probegroup(fine.get_probegroup())
    assert check_channels(recording).bad == {"4": "dead", "20": "dead"}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layout", UNEVEN_LAYOUTS)
def test_uneven_channels_beside_noisy_and_dead_ones_are_kept(layout: str, seed: int) -> None:
    """Channels differ in noise, in the share of the common signal and in the size of spikes."""
    groups = UNEVEN_LAYOUTS[layout]
    locations = np.concatenate(groups)
    rng = np.random.default_rng(seed)
    distances = np.linalg.norm(locations - locations[rng.integers(len(locations))], axis=1)
    bad = rng.permutation(np.argsort(distances, kind="stable")[:7])[:5].tolist()
    if layout == "tetrodes":  # most of a tetrode is never removed
        bad = [1, 6, 8, 15, 21]
    dead, noisy = bad[:2], bad[2:]
    signals = Signals(
        common_uv=12.0,
        shares=(0.3, 1.7),
        noise=(0.5, 1.6),
        dead=dead,
        noisy=noisy,
        n_neurons=20,
        duration_s=1.2,
        seed=seed,
    )
    recording, _ = record(groups, signals)
    expected = {str(c): "dead" for c in dead} | {str(c): "noise" for c in noisy}
    assert check_channels(recording).bad == expected


@pytest.mark.parametrize("seed", range(3))
def test_a_channel_that_shares_nothing_with_the_others_is_dead(seed: int) -> None:
    """A broken contact has the noise of the others, and neither spikes nor the common signal."""
    recording, _ = record(
        [staggered(64)], Signals(common_uv=12.0, n_neurons=20, duration_s=1.2, seed=seed)
    )
    traces = recording.get_traces().copy()
    broken = np.random.default_rng(seed).integers(64)
    noise = np.random.default_rng(seed + 1).normal(0, 9.0 / 0.195, len(traces))
    traces[:, broken] = noise.astype("int16")
    unconnected = si.NumpyRecording([traces], SAMPLING_FREQUENCY_HZ)
    unconnected.set_channel_gains(0.195)
    unconnected.set_channel_offsets(0.0)
    unconnected.set_probegroup(recording.get_probegroup())
    assert check_channels(unconnected).bad == {str(broken): "dead"}
