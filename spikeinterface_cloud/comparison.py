"""How far sorters agree with each other, and, where it is known, with the truth."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import spikeinterface as si
from spikeinterface.comparison import compare_multiple_sorters, compare_sorter_to_ground_truth

logger = logging.getLogger(__name__)

#: of their spikes two units have to share this part to be called the same
MATCH_SCORE = 0.5

#: a unit of the consensus was found by so many sorters at least
CONSENSUS_COUNT = 2

#: a true unit counts as found from this accuracy on
FOUND_ACCURACY = 0.8


def compare(sortings: Mapping[str, si.BaseSorting], folder: Path) -> int | None:
    """Write the agreement table and the consensus sorting of two or more sorters.

    Parameters
    ----------
    sortings
        by sorter, those that have units
    folder
        then holds `agreement.csv` (a line a pair of matching units, with the part of their spikes
        they share) and `consensus/`, which `spikeinterface.load` opens

    Returns
    -------
    int or None
        the number of units that two or more sorters found; None where there is nothing to compare
    """
    if len(sortings) < 2:
        logger.info("fewer than two sorters have units: there is nothing to compare")
        return None
    folder.mkdir(parents=True, exist_ok=True)
    comparison = compare_multiple_sorters(
        list(sortings.values()), name_list=list(sortings), match_score=MATCH_SCORE, n_jobs=1
    )
    rows = [
        (first, unit_first, second, unit_second, scores.loc[unit_first, unit_second])
        for (first, second), pair in comparison.comparisons.items()
        for scores in [pair.agreement_scores]
        for unit_first, unit_second in pair.hungarian_match_12.items()
        if unit_second in scores.columns
    ]
    columns = ["sorter_1", "unit_1", "sorter_2", "unit_2", "agreement"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "agreement.csv", index=False)
    consensus = comparison.get_agreement_sorting(minimum_agreement_count=CONSENSUS_COUNT)
    consensus.save(folder=folder / "consensus", format="numpy_folder", overwrite=True)
    return int(consensus.get_num_units())


def compare_with_truth(
    sorting: si.BaseSorting, ground_truth: si.BaseSorting, file: Path
) -> dict[str, float]:
    """Write the accuracy, recall and precision by true unit, and sum them up.

    Returns
    -------
    dict
        `mean_accuracy` over all true units (0 for one that was missed), `n_true_units`, and
        `n_found`, those with an accuracy of 0.8 or more
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
