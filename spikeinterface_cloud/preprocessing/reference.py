"""Choose a common median reference that suits the layout of the channels, if any does.

The median of some channels is a reference only if most of them do not see the same spike. On a
tetrode all four wires do: their median is the spike, and subtracting it erases the neuron.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si
import spikeinterface.preprocessing as spre

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.excerpts import spread_excerpts
from spikeinterface_cloud.recording.samples.blanks import read_signal

logger = logging.getLogger(__name__)

#: a spike is seen on contacts up to this distance
SPIKE_REACH_UM = 100.0

#: largest fraction of a reference that may see one spike: it shifts the median by one standard
#: deviation of the noise at most
LARGEST_FRACTION_IN_REACH = 0.4

#: if a spike reaches no larger fraction, its own channels may stay in the reference
SMALL_FRACTION_IN_REACH = 0.1

#: largest factor by which a reference to other groups may raise the noise of any group
LARGEST_RISE = 1.02

#: factor to which a reference lowers the noise of channels that share much of it
MUCH_LESS = 0.9

N_EXCERPTS = 10
EXCERPT_S = 0.2


def common_reference(recording: si.BaseRecording) -> dict[str, Any] | None:
    """Return the parameters of SpikeInterface's `common_reference`, None if no median is suitable.

    Each group (probe, shank) is referenced to its own median if all groups are large enough, as two
    probes share little noise. Small groups (tetrodes, short shanks) are referenced to the other
    groups if these are large enough, and if that raises the noise of no group.

    Parameters
    ----------
    recording
        high-pass filtered, with a probe and one gain
    """
    parameters: dict[str, Any] = {"reference": "global", "operator": "median"}
    groups = recording.get_channel_groups()
    masks = [groups == name for name in np.unique(groups)]
    locations = recording.get_channel_locations()
    members = [recording.channel_ids[mask].tolist() for mask in masks]
    if all(fraction_in_reach(locations[mask]) <= LARGEST_FRACTION_IN_REACH for mask in masks):
        return {**parameters, "groups": members} if len(masks) > 1 else parameters
    if len(masks) > 1 and all(
        fraction_in_reach(locations[~mask]) <= LARGEST_FRACTION_IN_REACH for mask in masks
    ):
        if fraction_in_reach(locations) > SMALL_FRACTION_IN_REACH:
            parameters |= {"groups": members, "ref_channel_ids": "out_of_group"}
        if max(_noise_ratios(recording, masks, parameters)) <= LARGEST_RISE:
            return parameters
        logger.info("no common reference: the groups of channels share no common noise")
        return None
    logger.info("no common reference: on this layout, most channels of it would see the same spike")
    return None


def lowers_noise(recording: si.BaseRecording, step: Mapping[str, Any]) -> bool:
    """Return whether a common reference lowers the noise of any group of channels by much."""
    groups = recording.get_channel_groups()
    masks = [groups == name for name in np.unique(groups)]
    return min(_noise_ratios(recording, masks, step["params"])) < MUCH_LESS


def have_one_gain(recording: si.BaseRecording) -> bool:
    """Return whether all channels have the same gain, or none is known."""
    gains = recording.get_channel_gains()
    return gains is None or bool(np.allclose(gains, gains[0], rtol=0.01))


def reference_notes(
    recording: si.BaseRecording, steps: Sequence[Mapping[str, Any]], split_by: str | None
) -> list[str]:
    """Return a note for each group of channels whose chosen reference takes its spikes away.

    Raises
    ------
    RecordingError
        if a channel would be subtracted from itself
    """
    notes = []
    locations = recording.get_channel_locations()
    for step in steps:
        params = step.get("params", {})
        if step["name"] != "common_reference" or params.get("reference", "global") != "global":
            continue
        if params.get("ref_channel_ids") is not None:
            continue
        for name, members in _referenced(recording, params, split_by).items():
            if len(members) == 1:
                raise RecordingError(
                    f"PREPROCESSING: common_reference would subtract the only channel of {name} "
                    "from itself; leave the step out, or set PREPROCESSING=default"
                )
            if fraction_in_reach(locations[members]) > LARGEST_FRACTION_IN_REACH:
                notes.append(
                    f"most channels of {name} see the same spike, of which common_reference "
                    "subtracts a part; PREPROCESSING=default references only where that is not so"
                )
    return notes


def _referenced(
    recording: si.BaseRecording, params: Mapping[str, Any], split_by: str | None
) -> dict[str, npt.NDArray[np.intp]]:
    """Return the indices of the channels that are one reference, by what to call them."""
    if split_by is not None:
        groups = recording.get_channel_groups()
        return {f"{split_by} {name}": np.flatnonzero(groups == name) for name in np.unique(groups)}
    if params.get("groups"):
        return {
            f"group {number} of {len(params['groups'])}": recording.ids_to_indices(members)
            for number, members in enumerate(params["groups"], start=1)
        }
    return {"the recording": np.arange(recording.get_num_channels())}


def fraction_in_reach(locations: npt.NDArray[np.floating[Any]]) -> float:
    """Return the largest fraction of channels that see one spike.

    Parameters
    ----------
    locations
        of the contacts, in um, of shape (channels, 2 or 3)

    Examples
    --------
    >>> fraction_in_reach(np.array([[0.0, 0.0], [0.0, 20.0], [20.0, 0.0], [20.0, 20.0]]))
    1.0
    >>> fraction_in_reach(np.array([[0.0, 50.0 * depth] for depth in range(20)]))
    0.25
    """
    distances = np.linalg.norm(locations[:, np.newaxis] - locations, axis=2)
    return float((distances <= SPIKE_REACH_UM).mean(axis=1).max())


def _noise_ratios(
    recording: si.BaseRecording,
    masks: Sequence[npt.NDArray[np.bool_]],
    parameters: Mapping[str, Any],
) -> list[float]:
    """Return the factor by which the reference changes the noise of each group of channels."""
    before = _noise(recording)
    after = _noise(spre.common_reference(recording, **parameters))
    medians = [(np.median(before[mask]), np.median(after[mask])) for mask in masks]
    return [float(end / start) if start > 0 else 1.0 for start, end in medians]


def _noise(recording: si.BaseRecording) -> npt.NDArray[np.float64]:
    """Return the mean deviation of each channel, as a median is a whole number of steps."""
    levels = []
    for segment, start, end in spread_excerpts(recording, N_EXCERPTS, EXCERPT_S):
        signal = read_signal(recording, segment, start, end)
        if len(signal):
            levels.append(np.abs(signal - np.median(signal, axis=0)).mean(axis=0))
    if not levels:
        return np.zeros(recording.get_num_channels())
    return np.asarray(np.median(levels, axis=0), dtype="float64")
