"""Scores of a sorting against the truth, their table in Markdown, and the verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import spikeinterface as si
from accuracy_recordings import About
from spikeinterface.comparison import compare_sorter_to_ground_truth

#: a true unit with this accuracy is found
FOUND = 0.8
#: a unit that agrees less with every true unit is false
FALSE = 0.2
#: edges of the classes of the signal-to-noise ratio
SNR_EDGES = (5.0, 10.0)
SNR_CLASSES = ("below 5", "5 to 10", "10 or more")

#: how much the job may lose against the bare sorter
ALLOWED_ACCURACY, ALLOWED_UNITS = 0.005, 1

#: standard errors beyond which a difference is no chance
SURE = 2.0

BARE = "bare"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One sorting of one recording, scored."""

    scenario: str
    seed: int
    sorter: str
    #: `bare`, or the job's PREPROCESSING
    way: str
    mean_accuracy: float
    n_true: int
    n_found: int
    n_false: int
    #: found units and true units of each class
    by_snr: list[tuple[int, int]]
    #: of the job's check: healthy channels removed, bad ones kept; None where nothing is checked
    false_removals: int | None
    missed_bad: int | None
    cpu_s: float


def score(
    truth: si.BaseSorting, sorting: si.BaseSorting, about: About
) -> tuple[float, int, int, list[tuple[int, int]]]:
    """Return mean accuracy, units found, false units, and the found and true of each SNR class.

    The accuracy of a true unit that was missed is 0.
    """
    comparison = compare_sorter_to_ground_truth(truth, sorting, exhaustive_gt=True)
    performance = comparison.get_performance(method="by_unit", output="pandas")
    accuracy = performance["accuracy"].astype(float).fillna(0.0).to_numpy()
    agreement = comparison.agreement_scores.to_numpy()
    best = agreement.max(axis=0) if agreement.size else np.zeros(len(sorting.unit_ids))
    classes = np.digitize(about.snr, SNR_EDGES)
    found = accuracy >= FOUND
    by_snr = [
        (int(found[classes == n].sum()), int((classes == n).sum())) for n in range(len(SNR_CLASSES))
    ]
    return float(accuracy.mean()), int(found.sum()), int((best < FALSE).sum()), by_snr


def judge_channels(removed: Iterable[str], about: About) -> tuple[int, int]:
    """Return how many healthy channels were removed, and how many bad ones were kept."""
    bad = {*about.noisy, *about.dead}
    return len(set(removed) - bad), len(bad - set(removed))


def markdown(rows: Sequence[Row]) -> str:
    """Return the table: a line for each scenario, sorter and way, over all sortings."""
    heads = ["scenario", "sorter", "way", "sortings", "mean accuracy", f"units at {FOUND}"]
    heads += ["false units", *(f"SNR {name}" for name in SNR_CLASSES)]
    heads += ["healthy channels removed", "bad ones kept", "CPU h"]
    lines = [heads, ["---"] * len(heads)]
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.scenario, row.sorter, row.way].append(row)
    lines += [[*key, *_cells(group)] for key, group in groups.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(group: Sequence[Row]) -> list[str]:
    n_found, n_true = sum(r.n_found for r in group), sum(r.n_true for r in group)
    snr = [
        f"{sum(r.by_snr[n][0] for r in group)} of {sum(r.by_snr[n][1] for r in group)}"
        for n in range(len(SNR_CLASSES))
    ]
    return [
        str(len(group)),
        f"{np.mean([r.mean_accuracy for r in group]):.3f}",
        f"{n_found} of {n_true}",
        str(sum(r.n_false for r in group)),
        *snr,
        _sum([r.false_removals for r in group]),
        _sum([r.missed_bad for r in group]),
        f"{sum(r.cpu_s for r in group) / 3600:.3f}",
    ]


def _sum(counts: Sequence[int | None]) -> str:
    known = [count for count in counts if count is not None]
    return str(sum(known)) if known else "-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A job that is further below its bare sorter than allowed."""

    way: str
    #: a sentence for the verdict
    text: str
    #: whether equal sortings differ too little for this to be chance
    is_sure: bool


def losses(rows: Sequence[Row]) -> list[Loss]:
    """Return each job that is too far below its bare sorter, by the means of equal sortings."""
    groups: dict[tuple[str, int, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.scenario, row.seed, row.sorter, row.way].append(row)
    found = []
    for (scenario, seed, sorter, way), jobs in groups.items():
        bare = groups.get((scenario, seed, sorter, BARE), jobs)
        accuracy = Shortfall([row.mean_accuracy for row in bare], [r.mean_accuracy for r in jobs])
        units = Shortfall([row.n_found for row in bare], [row.n_found for row in jobs])
        lost = [
            each
            for each, allowed in ((accuracy, ALLOWED_ACCURACY), (units, ALLOWED_UNITS))
            if each.mean > allowed
        ]
        if lost:
            text = (
                f"{scenario}, seed {seed}, {sorter}, PREPROCESSING={way}: mean accuracy "
                f"{np.mean(accuracy.job):.3f} beside {np.mean(accuracy.bare):.3f}, "
                f"{np.mean(units.job):.3g} units found beside {np.mean(units.bare):.3g}, by "
                f"{len(jobs)} and {len(bare)} sortings; standard errors of these differences: "
                f"{accuracy.standard_error:.3f} and {units.standard_error:.2g}"
            )
            is_sure = any(each.mean > SURE * each.standard_error for each in lost)
            found.append(Loss(way=way, text=text, is_sure=is_sure))
    return found


@dataclass(frozen=True, slots=True)
class Shortfall:
    """How far a job is below its bare sorter, each by one value a sorting."""

    bare: Sequence[float]
    job: Sequence[float]

    @property
    def mean(self) -> float:
        """The mean of the bare sorter less that of the job."""
        return float(np.mean(self.bare) - np.mean(self.job))

    @property
    def standard_error(self) -> float:
        """That of `mean`; 0 where a single sorting says nothing of it."""
        sides = (self.bare, self.job)
        return float(np.sqrt(sum(np.var(s, ddof=1) / len(s) for s in sides if len(s) > 1)))


def verdict(rows: Sequence[Row]) -> str:
    """Return whether the promise holds, where it does not, and where that may be chance."""
    found = losses(rows)
    n_jobs = len({(r.scenario, r.seed, r.sorter, r.way) for r in rows if r.way != BARE})
    promise = f"no more than {ALLOWED_ACCURACY} in mean accuracy and {ALLOWED_UNITS} unit"
    if not found:
        return f"Verdict: kept. Each of {n_jobs} jobs is below its bare sorter by {promise}."
    sure, others = [each for each in found if each.is_sure], [e for e in found if not e.is_sure]
    head = (
        f"Verdict: broken by {len(sure)} of {n_jobs} jobs, undecided for {len(others)}; allowed is "
        f"{promise}, and undecided is what is below by at most {SURE:g} standard errors:"
    )
    lines = [*(f"- broken: {e.text}" for e in sure), *(f"- undecided: {e.text}" for e in others)]
    return "\n".join([head, "", *lines])
