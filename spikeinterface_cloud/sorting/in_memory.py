"""Sortings in memory, with every segment of their recording.

SpikeInterface's own end with the last segment that has a spike.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import spikeinterface as si
from spikeinterface.core.numpyextractors import SpikeVectorSortingSegment


def in_memory(sorting: si.BaseSorting, *, with_metadata: bool = False) -> si.NumpySorting:
    """Return a copy of a sorting."""
    copy = si.NumpySorting.from_sorting(
        sorting, with_metadata=with_metadata, copy_spike_vector=True
    )
    add_silent_segments(copy, sorting.get_num_segments())
    for segment, original in zip(copy.segments, sorting.segments, strict=True):
        segment._t_start = original._t_start
    return copy


def from_trains(
    trains: Sequence[Mapping[Any, npt.NDArray[Any]]], sampling_frequency_hz: float
) -> si.NumpySorting:
    """Return a sorting of the trains of each segment, by unit, in frames."""
    sorting = si.NumpySorting.from_unit_dict([{**each} for each in trains], sampling_frequency_hz)
    add_silent_segments(sorting, len(trains))
    return sorting


def add_silent_segments(sorting: si.NumpySorting, n_segments: int) -> None:
    """Give a sorting the last segments of its recording, in which no unit has a spike."""
    spikes = sorting.to_spike_vector()
    for index in range(sorting.get_num_segments(), n_segments):
        sorting.add_sorting_segment(SpikeVectorSortingSegment(spikes, index, sorting.unit_ids))
