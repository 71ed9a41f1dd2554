"""Which properties of channels SPLIT_BY takes, and what it says of those that it does not."""

import numpy as np
import pytest
import spikeinterface as si

from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.channel_groups import group_by, parts, split_groups
from tests.support.layouts import Signals, linear, record

pytestmark = pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning")

#: values of eight channels that cannot group them, and why
UNFIT = {
    "depths": (np.arange(8) // 2 * 7.5, "measurements"),
    "numbers": (np.arange(8), "each of the 8 channels has a value of its own"),
    "positions": (np.zeros((8, 2)), "several values for each channel"),
    "texts with a gap": (np.array(["a"] * 6 + [""] * 2), "2 of 8 channels have none: 6, 7"),
    "objects with None": (np.array(["a"] * 7 + [None], dtype=object), "1 of 8 channels have none"),
    "numbers with NaN": (np.array([1.0] * 4 + [np.nan] * 4), "4 of 8 channels have none"),
    "complex": (np.ones(8, dtype="complex64"), "its values are of type complex64"),
}


def shanks() -> si.BaseRecording:
    """Return two shanks of four channels."""
    groups = [linear(4, x_um=250.0 * shank) for shank in range(2)]
    recording, _ = record(groups, Signals(n_neurons=0, duration_s=0.1))
    return recording


@pytest.mark.parametrize("kind", UNFIT)
def test_property_that_cannot_group_channels_is_refused(kind: str) -> None:
    values, reason = UNFIT[kind]
    recording = shanks()
    recording.set_property("named", values)
    with pytest.raises(SettingsError, match=reason) as caught:
        group_by(recording, "named")
    assert str(caught.value).startswith("SPLIT_BY: named cannot split the channels, as ")
    assert str(caught.value).endswith("those that split them are group (2 groups)")
    assert "\n" not in str(caught.value)


def test_missing_property_names_those_that_split_the_channels() -> None:
    recording = shanks()
    recording.set_property("area", np.array(["CA1", "CA1", "CA3", "DG"] * 2))
    recording.set_property("lab", np.array(["ours"] * 8))
    recording.set_property("label", np.array(["left", "right"] * 4))  # refused, as of the units
    with pytest.raises(SettingsError) as caught:
        group_by(recording, "shank")
    assert str(caught.value) == (
        "SPLIT_BY: the channels have no property shank; those that split them are "
        "group (2 groups), area (3 groups)"
    )
    assert caught.value.exit_code == 78


def test_recording_that_nothing_splits_is_told_so() -> None:
    recording, _ = record([linear(4)], Signals(n_neurons=0, duration_s=0.1))
    with pytest.raises(SettingsError, match="no property of theirs splits them, so leave SPLIT_BY"):
        group_by(recording, "shank")


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        (np.array([1.0, 0.0] * 4), [0, 1]),
        (np.array(["b", "a"] * 4, dtype=object), ["a", "b"]),
        (np.array([True, False] * 4), ["False", "True"]),
    ],
)
def test_any_property_becomes_the_groups(values: np.ndarray, groups: list[int | str]) -> None:
    recording = shanks()
    recording.set_property("side", values)
    assert group_by(recording, "side") == []
    split = split_groups(recording)
    assert list(split) == groups
    assert [list(part.channel_ids) for part in split.values()] == [[1, 3, 5, 7], [0, 2, 4, 6]]
    assert [part.get_num_channels() for part in parts(recording, "side")] == [4, 4]
    assert parts(recording, None) == [recording]


def test_one_group_is_noted() -> None:
    recording = shanks()
    recording.set_property("area", np.array(["CA1"] * 8))
    assert group_by(recording, "area") == [
        "SPLIT_BY: all channels have the same area, CA1: they are one group"
    ]
    assert list(split_groups(recording)) == ["CA1"]
