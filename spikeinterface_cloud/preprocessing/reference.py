"""Which common median reference suits the layout of the channels, if any does.

The median of a set of channels is a reference only where most of the set do not see the same spike.
On a tetrode all four wires do: their median is the spike, and subtracting it erases the neuron.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si
import spikeinterface.preprocessing as spre

from spikeinterface_cloud.recording.excerpts import spread_excerpts

logger = logging.getLogger(__name__)

#: a spike is seen on contacts up to this distance
SPIKE_REACH_UM = 100.0

#: the largest part of a reference that may see one spike: the median then lies at most one standard
#: deviation of the noise from its place
LARGEST_PART_IN_REACH = 0.4

#: where a spike reaches no more than this part, its own channels may stay in the reference
SMALL_PART_IN_REACH = 0.1

#: a reference to the channels of other groups may raise the noise of no group by more than this
LARGEST_RISE = 1.02

N_EXCERPTS = 10
EXCERPT_S = 0.2


def common_reference(recording: si.BaseRecording) -> dict[str, Any] | None:
    """The parameters of SpikeInterface's `common_reference`, or None where no median is one.

    Each group (probe, shank) is referenced to its own median where all groups are large enough, as
    two probes share little. Small groups (tetrodes, short shanks) are referenced to the channels of
    the other groups where these are enough, and where that raises the noise of no group.

    Parameters
    ----------
    recording
        high-pass filtered, with a probe
    """
    if not have_one_gain(recording):
        logger.info("no common reference: the channels have different gains")
        return None
    parameters: dict[str, Any] = {"reference": "global", "operator": "median"}
    groups = recording.get_channel_groups()
    masks = [groups == name for name in np.unique(groups)]
    locations = recording.get_channel_locations()
    members = [recording.channel_ids[mask].tolist() for mask in masks]
    if all(part_in_reach(locations[mask]) <= LARGEST_PART_IN_REACH for mask in masks):
        return {**parameters, "groups": members} if len(masks) > 1 else parameters
    if len(masks) > 1 and all(
        part_in_reach(locations[~mask]) <= LARGEST_PART_IN_REACH for mask in masks
    ):
        if part_in_reach(locations) > SMALL_PART_IN_REACH:
            parameters |= {"groups": members, "ref_channel_ids": "out_of_group"}
        if _lowers_noise(recording, masks, parameters):
            return parameters
        logger.info("no common reference: the groups of channels share no common noise")
        return None
    logger.info(
        "no common reference: on this layout most channels of a reference would see the same spike"
    )
    return None


def have_one_gain(recording: si.BaseRecording) -> bool:
    """Whether a step means the same on all channels, as far as is known."""
    gains = recording.get_channel_gains()
    return gains is None or bool(np.allclose(gains, gains[0], rtol=0.01))


def part_in_reach(locations: npt.NDArray[np.floating[Any]]) -> float:
    """The largest part of some channels that sees one spike.

    Parameters
    ----------
    locations
        of the contacts, in um: channels x 2 or 3

    Examples
    --------
    >>> part_in_reach(np.array([[0.0, 0.0], [0.0, 20.0], [20.0, 0.0], [20.0, 20.0]]))
    1.0
    >>> part_in_reach(np.array([[0.0, 50.0 * depth] for depth in range(20)]))
    0.25
    """
    distances = np.linalg.norm(locations[:, np.newaxis] - locations, axis=2)
    return float((distances <= SPIKE_REACH_UM).mean(axis=1).max())


def _lowers_noise(
    recording: si.BaseRecording,
    masks: Sequence[npt.NDArray[np.bool_]],
    parameters: Mapping[str, Any],
) -> bool:
    """Whether the reference raises the noise of no group (masks over channels)."""
    before = _noise(recording)
    after = _noise(spre.common_reference(recording, **parameters))
    return all(np.median(after[mask]) <= LARGEST_RISE * np.median(before[mask]) for mask in masks)


def _noise(recording: si.BaseRecording) -> npt.NDArray[np.float64]:
    """The mean deviation of each channel, which steps of a converter do not round as a median."""
    levels = []
    for segment, start, end in spread_excerpts(recording, N_EXCERPTS, EXCERPT_S):
        traces = recording.get_traces(segment_index=segment, start_frame=start, end_frame=end)
        levels.append(np.abs(traces - np.median(traces, axis=0)).mean(axis=0))
    return np.asarray(np.median(levels, axis=0), dtype="float64")
