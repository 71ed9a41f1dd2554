"""How far the sorters agree: for each pair, how many units both found."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from spikeinterface_cloud.results.layout import AGREEMENT, CONSENSUS_UNITS


@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementMatrix:
    """A row and a column for each sorter with units."""

    #: the row's units that the column's sorter found as well; all of its units for itself
    rows: Mapping[str, Mapping[str, int]]
    #: how many neurons so many sorters found, the largest number of sorters first
    found_by: Mapping[int, int]


def read_agreement(folder: Path, n_units: Mapping[str, int]) -> AgreementMatrix | None:
    """Read the matrix of the sorters in `n_units` (units by sorter); None if none were compared."""
    if not (folder / AGREEMENT).is_file():
        return None
    pairs = pd.read_csv(folder / AGREEMENT, dtype=str)
    counts = Counter(zip(pairs["sorter_1"], pairs["sorter_2"], strict=True))
    counts.update(zip(pairs["sorter_2"], pairs["sorter_1"], strict=True))
    counts.update({(sorter, sorter): count for sorter, count in n_units.items()})
    sorters = [sorter for sorter, count in n_units.items() if count]
    found_by: Mapping[int, int] = {}
    if (folder / CONSENSUS_UNITS).is_file():
        n_sorters = pd.read_csv(folder / CONSENSUS_UNITS)["n_sorters"]
        found_by = n_sorters.value_counts().sort_index(ascending=False).to_dict()
    return AgreementMatrix(
        rows={row: {column: counts[row, column] for column in sorters} for row in sorters},
        found_by=found_by,
    )
