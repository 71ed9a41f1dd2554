"""What no sorter can mean: spikes outside of the recording, spikes and units found twice."""

import numpy as np
import spikeinterface as si
from spikeinterface.core import get_template_amplitudes
from spikeinterface.core.template_tools import get_template_peak_shift_on_main_channel
from spikeinterface.curation import (
    find_redundant_units,
    remove_duplicated_spikes,
    remove_excess_spikes,
)
from spikeinterface.postprocessing import align_sorting

from spikeinterface_cloud.sorting.in_memory import in_memory

#: two spikes of one unit closer than this are one spike found twice, as no neuron fires so fast
DUPLICATE_MS = 0.25

#: two units that share more than this part of the spikes of either are one unit found twice
REDUNDANT_PART = 0.9

#: a unit with less than this part of the spikes of another one is a fragment of it; of two more
#: equal ones the larger may just have spikes of other neurons, too
FRAGMENT_PART = 0.5


def remove_impossible_spikes(
    sorting: si.BaseSorting, recording: si.BaseRecording
) -> tuple[si.BaseSorting, int]:
    """Remove spikes outside the recording, duplicate spikes, and units without spikes.

    Return the sorting, in memory, and how many spikes were left out.
    """
    n_found = _n_spikes(sorting)
    sorting = remove_excess_spikes(sorting, recording)
    # of each run of spikes that are too close to the one before only the first is kept
    sorting = remove_duplicated_spikes(sorting, DUPLICATE_MS, method="keep_first")
    kept = in_memory(sorting.remove_empty_units())
    return kept, n_found - _n_spikes(kept)


def find_distinct_units(analyzer: si.SortingAnalyzer) -> list[int | str]:
    """Return the units that remain when one of each redundant pair is left out.

    It is the one that is aligned worse, unless the other one is a mere fragment of it.

    Parameters
    ----------
    analyzer
        with templates, as one of the pair is often found some samples late
    """
    if analyzer.get_num_units() < 2:
        return list(analyzer.unit_ids)
    shifts = get_template_peak_shift_on_main_channel(analyzer, with_dict=True)
    aligned = align_sorting(analyzer.sorting, shifts)
    heights = get_template_amplitudes(analyzer, peak_mode="at_index")
    counts = analyzer.sorting.count_num_spikes_per_unit(outputs="dict")

    def quality(unit: int | str) -> tuple[float, float]:
        return -abs(shifts[unit]), float(np.max(np.abs(heights[unit])))

    left_out: set[int | str] = set()
    for pair in find_redundant_units(aligned, duplicate_threshold=REDUNDANT_PART):
        if left_out.isdisjoint(pair):
            fewer, more = sorted(pair, key=lambda unit: counts[unit])
            is_fragment = counts[fewer] < FRAGMENT_PART * counts[more]
            left_out.add(fewer if is_fragment else min(pair, key=quality))
    return [unit for unit in analyzer.unit_ids if unit not in left_out]


def _n_spikes(sorting: si.BaseSorting) -> int:
    return int(sorting.count_total_num_spikes())
