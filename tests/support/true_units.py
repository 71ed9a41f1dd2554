"""Match the true neurons of a simulated recording with sorted units."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface as si

#: largest distance of matching spikes
TOLERANCE_S = 0.5e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundUnit:
    """The unit that agrees best with a true neuron."""

    #: matching spikes over all spikes of either
    accuracy: float
    #: channel with the largest template
    channel: str
    #: depth of its template there
    amplitude_uv: float
    #: delay of its matching spikes in frames
    offset: float


def found_units(results: Path, sorter: str, truth: dict[str, Any]) -> list[FoundUnit]:
    """Return the best unit of each true neuron, in the order of `truth["units"]`."""
    sorting = si.load(results / sorter / "sorting")
    analyzer = si.load_sorting_analyzer(results / sorter / "analyzer.zarr")
    templates = analyzer.get_extension("templates").get_data()
    tolerance = TOLERANCE_S * truth["fs"]
    found = []
    for neuron in truth["units"]:
        agreements = [
            _agreement(neuron["times"], sorting, unit, tolerance) for unit in sorting.unit_ids
        ]
        best = int(np.argmax([accuracy for accuracy, _ in agreements]))
        accuracy, offset = agreements[best]
        template = templates[list(analyzer.unit_ids).index(sorting.unit_ids[best])]
        channel = int(np.abs(template).max(axis=0).argmax())
        found.append(
            FoundUnit(
                accuracy=accuracy,
                channel=str(analyzer.channel_ids[channel]),
                amplitude_uv=-float(template[:, channel].min()),
                offset=offset,
            )
        )
    return found


def _agreement(
    frames: Sequence[Sequence[int]], sorting: si.BaseSorting, unit: Any, tolerance: float
) -> tuple[float, float]:
    """Return the agreement of a unit with a true neuron, and its delay in frames."""
    assert sorting.get_num_segments() == len(frames)
    n_agreeing, n_all = 0, 0
    offsets: list[float] = []
    for segment, true in enumerate(frames):
        spikes = sorting.get_unit_spike_train(unit, segment_index=segment)
        n_all += len(true) + len(spikes)
        if len(true) and len(spikes):
            nearest = np.abs(np.subtract.outer(spikes, true)).argmin(axis=0)
            late = spikes[nearest] - np.array(true)
            close = np.abs(late) <= tolerance
            n_agreeing += int(close.sum())
            offsets += late[close].tolist()
    return n_agreeing / max(n_all - n_agreeing, 1), float(np.median(offsets)) if offsets else 0.0
