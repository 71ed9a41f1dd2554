"""The page of the documentation that says how the jobs of the zoo ended."""

import platform
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import neo
import numpy as np
import spikeinterface as si

from spikeinterface_cloud import __version__
from spikeinterface_cloud.errors import EXIT_CODES
from tools.zoo.outcomes import FAULTS, Outcome, Verdict

#: what the zoo writes on the page; all else is written by hand
PART = re.compile(r"(<!-- zoo.*?-->\n).*?(<!-- /zoo -->)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run of the zoo."""

    verdicts: Sequence[Verdict]
    command: str
    #: ISO date
    date: str

    @property
    def n_faults(self) -> int:
        """The number of jobs that ended as none may."""
        return sum(verdict.outcome in FAULTS for verdict in self.verdicts)


def with_tables(page: str, run: Run) -> str:
    """Return the page with the tables of a run."""
    replaced, n_parts = PART.subn(lambda found: found[1] + tables(run) + found[2], page)
    if n_parts != 1:
        raise ValueError("the page has no place for the tables, <!-- zoo --> to <!-- /zoo -->")
    return replaced


def tables(run: Run) -> str:
    """Return the tables of a run in Markdown."""
    return "".join(
        [
            f"Measured on {run.date} with `{run.command}`: {len(run.verdicts)} jobs, "
            f"{sum(verdict.cpu_s for verdict in run.verdicts):.0f} s of CPU, **{run.n_faults} that "
            f"ended as none may**. {_versions()}\n\n",
            "## By outcome\n\n",
            *_table(("outcome", "jobs"), _by_outcome(run.verdicts)),
            "\n## By breakage\n\n",
            *_table(("breakage", *_columns(run.verdicts)), _by(run.verdicts, "breakage")),
            "\n## By layout\n\n",
            *_table(("layout", *_columns(run.verdicts)), _by(run.verdicts, "layout")),
            "\n## What was refused\n\n",
            *_table(("code", "meaning", "jobs"), _by_code(run.verdicts)),
            *_faults(run.verdicts),
        ]
    )


def _versions() -> str:
    return (
        f"spikeinterface_cloud {__version__}, SpikeInterface {si.__version__}, neo "
        f"{neo.__version__}, numpy {np.__version__}, Python {platform.python_version()}."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |\n"


def _by_outcome(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, int]]:
    counts = Counter(verdict.outcome for verdict in verdicts)
    for outcome in Outcome:
        yield str(outcome), counts[outcome]


def _label(verdict: Verdict) -> str:
    if verdict.outcome == Outcome.REFUSED:
        return f"{verdict.exit_code}"
    return str(verdict.outcome)


def _columns(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the outcomes that there are, and the exit codes of those refused."""
    found = {_label(verdict) for verdict in verdicts}
    named = [str(outcome) for outcome in Outcome if str(outcome) in found]
    return [*named, *sorted(found - set(named))]


def _by(verdicts: Sequence[Verdict], name: str) -> Iterator[list[object]]:
    columns = _columns(verdicts)
    groups: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        groups.setdefault(getattr(verdict, name), Counter())[_label(verdict)] += 1
    for group in sorted(groups):
        yield [group, *(groups[group][column] or "" for column in columns)]


def _by_code(verdicts: Sequence[Verdict]) -> Iterator[tuple[object, ...]]:
    refused = [verdict for verdict in verdicts if verdict.outcome == Outcome.REFUSED]
    for code, count in sorted(Counter(verdict.exit_code for verdict in refused).items(), key=str):
        yield code, EXIT_CODES[code or 0].meaning, count


def _faults(verdicts: Sequence[Verdict]) -> Iterator[str]:
    faults = [verdict for verdict in verdicts if verdict.outcome in FAULTS]
    if faults:
        yield "\n## What ended as none may\n\n"
        yield from _table(
            ("layout", "breakage", "outcome", "what"),
            [(each.layout, each.breakage, each.outcome, each.message[:200]) for each in faults],
        )
