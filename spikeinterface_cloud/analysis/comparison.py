"""How far sorters agree with each other, and, where it is known, with the truth."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import spikeinterface as si
from spikeinterface.comparison import compare_multiple_sorters, compare_sorter_to_ground_truth

from spikeinterface_cloud.results.layout import (
    AGREEMENT,
    AGREEMENT_MATRIX,
    CONSENSUS,
    CONSENSUS_UNITS,
)
from spikeinterface_cloud.sorting.in_memory import from_trains

logger = logging.getLogger(__name__)

#: of their spikes two units have to share this part to be called the same
MATCH_SCORE = 0.5

#: a unit of the consensus was found by so many sorters at least
CONSENSUS_COUNT = 2

#: a true unit counts as found from this accuracy on
FOUND_ACCURACY = 0.8

AGREEMENT_COLUMNS = ["sorter_1", "unit_1", "sorter_2", "unit_2", "agreement"]


def compare(sortings: Mapping[str, si.BaseSorting], folder: Path) -> int | None:
    """Write the agreement of two or more sorters, and count the units that two or more found.

    `folder` then holds `agreement.csv` (a line a pair of matching units, with the part of their
    spikes they share), `agreement_matrix.csv` (the part of the row's units that the column's sorter
    found too), `consensus_units.csv` (a line a neuron that one or more sorters found) and
    `consensus/` (those that two or more found), which `spikeinterface.load` opens.

    Parameters
    ----------
    sortings
        by sorter, those that have units; fewer than two are not compared (None)
    """
    if len(sortings) < CONSENSUS_COUNT:
        logger.info("fewer than two sorters have units: there is nothing to compare")
        return None
    folder.mkdir(parents=True, exist_ok=True)
    comparison = compare_multiple_sorters(
        list(sortings.values()), name_list=list(sortings), match_score=MATCH_SCORE, n_jobs=1
    )
    agreement = _matching_pairs(comparison)
    agreement.to_csv(folder / AGREEMENT, index=False)
    _part_found_by_both(agreement, sortings).to_csv(folder / AGREEMENT_MATRIX, index_label="sorter")
    units = _joint_units(comparison, sortings)
    units.to_csv(folder / CONSENSUS_UNITS, index_label="consensus_unit_id")
    return _save_consensus(comparison, units, sortings, folder / CONSENSUS)


def _matching_pairs(comparison: Any) -> pd.DataFrame:
    """Return the best matching pairs of units, for each two sorters."""
    rows = [
        (first, unit_first, second, unit_second, scores.loc[unit_first, unit_second])
        for (first, second), pair in comparison.comparisons.items()
        for scores in [pair.agreement_scores]
        for unit_first, unit_second in pair.hungarian_match_12.items()
        if unit_second in scores.columns
    ]
    return pd.DataFrame(rows, columns=AGREEMENT_COLUMNS)


def _part_found_by_both(
    agreement: pd.DataFrame, sortings: Mapping[str, si.BaseSorting]
) -> pd.DataFrame:
    """Return the fraction of each sorter's units (row) that match another's (column)."""
    matrix = pd.DataFrame(np.eye(len(sortings)), index=list(sortings), columns=list(sortings))
    counts = agreement.groupby(["sorter_1", "sorter_2"]).size()
    for (first, second), count in counts.items():
        matrix.loc[first, second] = count / sortings[first].get_num_units()
        matrix.loc[second, first] = count / sortings[second].get_num_units()
    return matrix


def _joint_units(comparison: Any, sortings: Mapping[str, si.BaseSorting]) -> pd.DataFrame:
    """Return a row for each neuron, with its unit in the sorting of each sorter that found it.

    `mean_agreement` is the part of their spikes that pairs of these units share, on average.
    SpikeInterface's own count of sorters is not used: where one sorter has split what another has
    not, it may count that sorter twice. Of these two units it keeps one; the other has a row of its
    own.
    """
    rows = {
        number: {
            "n_sorters": len(found["unit_ids"]),
            "mean_agreement": found["avg_agreement"] if len(found["unit_ids"]) > 1 else None,
            **found["unit_ids"],
        }
        for number, found in comparison.units.items()
    }
    kept = {each for found in comparison.units.values() for each in found["unit_ids"].items()}
    every = ((sorter, unit) for sorter, each in sortings.items() for unit in each.unit_ids)
    for sorter, unit in [each for each in every if each not in kept]:
        rows[len(rows)] = {"n_sorters": 1, "mean_agreement": None, sorter: unit}
    columns = ["n_sorters", "mean_agreement", *sortings]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=object)


def _save_consensus(
    comparison: Any, units: pd.DataFrame, sortings: Mapping[str, si.BaseSorting], folder: Path
) -> int:
    """Save the units that enough sorters found; return how many.

    SpikeInterface's own spike trains are not used: it compares units within 0.4 ms, and then counts
    the same spike twice where two sorters are more than five frames apart.
    """
    agreed = units[units["n_sorters"] >= CONSENSUS_COUNT]
    first = next(iter(sortings.values()))
    delta = int(comparison.delta_time / 1000 * first.sampling_frequency)
    pairs = {
        number: _best_pair(comparison, comparison.units[number]["unit_ids"])
        for number in agreed.index
    }
    trains: list[dict[Any, npt.NDArray[np.int64]]] = []
    for segment in range(first.get_num_segments()):
        trains.append({})
        for number, pair in pairs.items():
            one, other = (sortings[name].get_unit_spike_train(unit, segment) for name, unit in pair)
            trains[-1][number] = joint_train(one, other, delta)
    consensus = from_trains(trains, float(first.sampling_frequency))
    if len(agreed):
        found_by = agreed.drop(columns=["n_sorters", "mean_agreement"]).notna()
        consensus.set_property("n_sorters", agreed["n_sorters"].astype(int))
        consensus.set_property("mean_agreement", agreed["mean_agreement"].astype(float))
        consensus.set_property(
            "sorters", [" ".join(row.index[row]) for _, row in found_by.iterrows()]
        )
    consensus.save(folder=folder, format="numpy_folder", overwrite=True)
    return len(agreed)


def _best_pair(comparison: Any, unit_ids: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the two sorters, each with its unit, that agree best on a neuron."""
    scores = {
        pair: each.agreement_scores.loc[unit_ids[pair[0]], unit_ids[pair[1]]]
        for pair, each in comparison.comparisons.items()
        if pair[0] in unit_ids and pair[1] in unit_ids
    }
    return [(name, unit_ids[name]) for name in max(scores, key=lambda pair: scores[pair])]


def joint_train(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], delta: int
) -> npt.NDArray[np.int64]:
    """Return the first train, and the spikes of the second one that are further than `delta` away.

    >>> joint_train(np.array([100, 500]), np.array([110, 300]), 12)
    array([100, 300, 500])
    """
    if not len(first):
        return second
    after = np.clip(np.searchsorted(first, second), 1, max(len(first) - 1, 1))
    beside = first[np.minimum([after - 1, after], len(first) - 1)]
    is_own = np.abs(beside - second).min(axis=0) > delta
    return np.sort(np.concatenate([first, second[is_own]]))


def compare_with_truth(
    sorting: si.BaseSorting, ground_truth: si.BaseSorting, file: Path
) -> dict[str, float]:
    """Write accuracy, recall and precision by true unit, and return a summary.

    It has the mean accuracy of all true units (0 for one that was missed), and how many there are.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    comparison = compare_sorter_to_ground_truth(ground_truth, sorting, exhaustive_gt=True)
    performance = comparison.get_performance(method="by_unit", output="pandas")
    performance.to_csv(file, index_label="true_unit_id")
    accuracy = performance["accuracy"].astype(float).fillna(0.0)
    return {
        "mean_accuracy": float(accuracy.mean()),
        "n_true_units": len(accuracy),
        "n_found": int((accuracy >= FOUND_ACCURACY).sum()),
    }
