"""Groups of channels (shanks, probes, tetrodes) that are sorted by themselves: SPLIT_BY.

The property that SPLIT_BY names becomes the recording's `group`, so that the default preprocessing,
the sorters and the analysis all see the same groups.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.parsing import UNIT_PROPERTIES
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.messages import list_channels, list_first

#: properties are listed in a message up to this number
SHOWN_PROPERTIES = 10


def group_by(recording: BaseRecording, name: str) -> list[str]:
    """Make the property `name` the groups of the recording, and return notes for the user.

    A property that is missing or cannot group the channels raises SettingsError (78).
    """
    values = recording.get_property(name)
    if values is None:
        raise SettingsError(
            f"SPLIT_BY: the channels have no property {name}; {_describe_choices(recording)}"
        )
    problem = find_problem(values)
    if problem is None and (missing := _is_missing(values)).any():
        channels = list_channels(recording.channel_ids[missing])
        problem = f"{np.count_nonzero(missing)} of {missing.size} channels have none: {channels}"
    if problem is not None:
        raise SettingsError(
            f"SPLIT_BY: {name} cannot split the channels, as {problem}; "
            f"{_describe_choices(recording)}"
        )
    groups = _as_labels(values)
    recording.set_property("group", groups)
    if name != "group":
        recording.set_property(name, groups)
    n_groups = len(np.unique(groups))
    if n_groups == 1:
        return [f"SPLIT_BY: all channels have the same {name}, {groups[0]}: they are one group"]
    return []


def find_problem(values: npt.NDArray[np.generic]) -> str | None:
    """Return why the values of a property cannot be groups of channels, or None.

    >>> find_problem(np.array(["a", "a", "b"]))
    >>> find_problem(np.array([2.34, 2.34, 4.68]))
    'its values are measurements (2.34, 4.68)'
    """
    if values.ndim != 1 or values.dtype.names:
        return "it has several values for each channel"
    if values.dtype.kind == "f":
        known = values[np.isfinite(values)]
        if (known != np.round(known)).any():
            return f"its values are measurements ({list_first(np.unique(known))})"
    if values.dtype.kind not in "biufUSO":
        return f"its values are of type {values.dtype}"
    if len(values) > 1 and len(np.unique(values.astype(str))) == len(values):
        return f"each of the {len(values)} channels has a value of its own"
    return None


def split_groups(recording: BaseRecording) -> dict[int | str, BaseRecording]:
    """Return a recording for each group, by the value of the property, in order.

    SpikeInterface's `split_by` refuses a recording that was split before, or is part of one.
    """
    groups = recording.get_channel_groups()
    return {
        group: recording.select_channels(recording.channel_ids[groups == group])
        for group in np.unique(groups).tolist()
    }


def parts(recording: BaseRecording, split_by: str | None) -> Sequence[BaseRecording]:
    """Return what is sorted by itself: the whole recording, or each of its groups."""
    return [recording] if split_by is None else list(split_groups(recording).values())


def _is_missing(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    if values.dtype.kind == "f":
        return np.asarray(~np.isfinite(values.astype("float64")))
    if values.dtype.kind in "biu":
        return np.zeros(len(values), dtype=bool)
    texts = [str(value).strip().lower() for value in values.tolist()]
    return np.array([text in ("", "nan", "none") for text in texts])


def _as_labels(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return whole numbers, or texts, which any format can hold."""
    if values.dtype.kind in "iuf":
        return values.astype("int64")
    return np.array([str(value) for value in values.tolist()])


def _describe_choices(recording: BaseRecording) -> str:
    """Name the properties that can split the channels, with their number of groups."""
    counts = {
        name: len(np.unique(values.astype(str)))
        for name in recording.get_property_keys()
        for values in [recording.get_property(name)]
        if name not in UNIT_PROPERTIES
        and find_problem(values) is None
        and not _is_missing(values).any()
    }
    several = {name: n_groups for name, n_groups in counts.items() if n_groups > 1}
    if not several:
        return "no property of theirs splits them, so leave SPLIT_BY out"
    listed = [f"{name} ({n_groups} groups)" for name, n_groups in several.items()]
    return f"those that split them are {list_first(listed, SHOWN_PROPERTIES)}"
