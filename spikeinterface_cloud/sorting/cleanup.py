"""What no sorter can mean: spikes outside of the recording, spikes and units found twice."""

import spikeinterface as si
from spikeinterface.curation import (
    remove_duplicated_spikes,
    remove_excess_spikes,
    remove_redundant_units,
)

#: two spikes of one unit closer than this are one spike found twice, as no neuron fires so fast
DUPLICATE_MS = 0.25

#: two units that share more than this part of the spikes of either are one unit found twice
REDUNDANT_PART = 0.9


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
    kept = si.NumpySorting.from_sorting(sorting.remove_empty_units())
    return kept, n_found - _n_spikes(kept)


def find_distinct_units(analyzer: si.SortingAnalyzer) -> list[int | str]:
    """Return the units that remain when only the better aligned one of each redundant pair is kept.

    Parameters
    ----------
    analyzer
        with templates, as one of the pair is often found some samples late
    """
    if analyzer.get_num_units() < 2:
        return list(analyzer.unit_ids)
    kept = remove_redundant_units(
        analyzer, align=True, duplicate_threshold=REDUNDANT_PART, remove_strategy="minimum_shift"
    )
    return list(kept.unit_ids)


def _n_spikes(sorting: si.BaseSorting) -> int:
    return int(sorting.count_total_num_spikes())
