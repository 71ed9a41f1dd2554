"""How far the sorters agree: for each pair, how many units both found."""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spikeinterface_cloud.results.layout import AGREEMENT, CONSENSUS_UNITS


@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementCell:
    """The row's units that the column's sorter found as well."""

    n_units: int
    part: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementMatrix:
    """A row and a column for each sorter with units."""

    sorters: tuple[str, ...]
    n_units: tuple[int, ...]
    rows: tuple[tuple[AgreementCell, ...], ...]
    #: of the neurons, the number that so many sorters found, the largest number of sorters first
    found_by: tuple[tuple[int, int], ...]


def read_agreement(folder: Path, n_units: Mapping[str, int]) -> AgreementMatrix | None:
    """Read the matrix of the sorters in `n_units` (units by sorter); None if none were compared."""
    file = folder / AGREEMENT
    if not file.is_file():
        return None
    matches: Counter[tuple[str, str]] = Counter()
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            matches[row["sorter_1"], row["sorter_2"]] += 1
            matches[row["sorter_2"], row["sorter_1"]] += 1
    names = [name for name, count in n_units.items() if count]
    rows = [[_cell(first, second, matches, n_units) for second in names] for first in names]
    return AgreementMatrix(
        sorters=tuple(names),
        n_units=tuple(n_units[name] for name in names),
        rows=tuple(tuple(row) for row in rows),
        found_by=tuple(sorted(_count_sorters(folder / CONSENSUS_UNITS).items(), reverse=True)),
    )


def _count_sorters(file: Path) -> Counter[int]:
    if not file.is_file():
        return Counter()
    with file.open(newline="", encoding="utf-8") as lines:
        return Counter(int(row["n_sorters"]) for row in csv.DictReader(lines))


def _cell(
    first: str, second: str, matches: Counter[tuple[str, str]], n_units: Mapping[str, int]
) -> AgreementCell:
    count = n_units[first] if first == second else matches[first, second]
    return AgreementCell(n_units=count, part=count / n_units[first])
