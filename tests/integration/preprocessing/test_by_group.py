"""Steps that a user chose, applied to each group of channels by itself."""

from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.preprocessing as spre

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.preprocessing.pipeline import preprocess
from spikeinterface_cloud.recording.channel_groups import group_by, split_groups
from tests.support.layouts import Signals, linear, record

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning"),
]

REFERENCE = [{"name": "common_reference", "params": {"operator": "average"}}]
BAD = "bad_channel_ids"


@pytest.fixture
def probes() -> si.BaseRecording:
    """Two probes whose channels are interleaved, each with common noise of its own."""
    signals = Signals(common_uv=30.0, areas=[0, 1], n_neurons=2, duration_s=1.0)
    recording, _ = record([linear(8), linear(8, x_um=3000.0)], signals)
    order = np.arange(16).reshape(2, 8).T.ravel()
    mixed = recording.select_channels(recording.channel_ids[order])
    mixed.set_property("side", np.where(order < 8, "left", "right"))
    group_by(mixed, "side")
    return mixed


def test_each_group_has_a_reference_of_its_own(probes: si.BaseRecording, tmp_path: Path) -> None:
    done = preprocess(probes, REFERENCE, {"simple": {}}, tmp_path / "p", split_by="side")
    assert sorted(done.for_sorting.channel_ids) == list(range(16))
    for group, part in split_groups(probes).items():
        expected = spre.common_reference(part, operator="average").get_traces()
        found = split_groups(done.for_sorting)[group]
        assert list(found.channel_ids) == list(part.channel_ids)
        assert np.array_equal(found.get_channel_locations(), part.get_channel_locations())
        np.testing.assert_array_equal(found.get_traces(), expected)
    assert set(done.for_sorting.get_property("side")) == {"left", "right"}
    together = preprocess(probes, REFERENCE, {"simple": {}}, tmp_path / "q").for_sorting
    left = split_groups(together)["left"].get_traces()
    assert not np.array_equal(left, split_groups(done.for_sorting)["left"].get_traces())


def test_bad_channels_are_removed_from_their_own_group(
    probes: si.BaseRecording, tmp_path: Path
) -> None:
    steps = [
        {"name": "detect_and_remove_bad_channels", "params": {BAD: [0]}},
        {"name": "interpolate_bad_channels", "params": {BAD: [9]}},
    ]
    done = preprocess(probes, steps, {"simple": {}}, tmp_path / "p", split_by="side")
    kept = {
        group: sorted(part.channel_ids.tolist())
        for group, part in split_groups(done.for_sorting).items()
    }
    assert kept == {"left": list(range(1, 8)), "right": list(range(8, 16))}
    assert done.bad_channels == {"0": "removed"}


def test_group_without_channels_left_is_noted(probes: si.BaseRecording, tmp_path: Path) -> None:
    steps = [
        {"name": "detect_and_remove_bad_channels", "params": {BAD: list(range(8))}},
        *REFERENCE,
    ]
    done = preprocess(probes, steps, {"simple": {}}, tmp_path / "p", split_by="side")
    assert list(split_groups(done.for_sorting)) == ["right"]
    assert "side left is not sorted: PREPROCESSING removes its channels" in done.notes


def test_step_that_one_group_does_not_allow_names_it(tmp_path: Path) -> None:
    recording, _ = record([linear(8), linear(2, x_um=500.0)], Signals(n_neurons=0, duration_s=1.0))
    steps = [
        {"name": "common_reference", "params": {"reference": "single", "ref_channel_ids": [0]}}
    ]
    with pytest.raises(RecordingError, match=r"to the 2 channels of group 1: .*leave SPLIT_BY out"):
        preprocess(recording, steps, {"simple": {}}, tmp_path / "p", split_by="group")
