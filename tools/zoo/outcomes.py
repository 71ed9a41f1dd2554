"""How a job ended, by the contract of its exit codes."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tools.zoo import judge
from tools.zoo.processes import Ended
from tools.zoo.specimen import Breakage, Specimen


class Outcome(StrEnum):
    """The class of an end."""

    RIGHT = "right"
    #: the results differ, and a note in `run.json` says why
    SAID = "right, with a note"
    #: the results differ, and nothing in the files could tell
    UNNOTICEABLE = "not to be noticed"
    REFUSED = "refused"
    #: a whole recording was refused
    REFUSED_WHOLE = "REFUSED THOUGH WHOLE"
    WRONG = "WRONG SUCCESS"
    TRACEBACK = "TRACEBACK"
    TIMEOUT = "TIMEOUT"
    #: a mistake of the zoo itself
    NOT_JUDGED = "NOT JUDGED"


#: these are mistakes of the program
FAULTS = (
    Outcome.REFUSED_WHOLE,
    Outcome.WRONG,
    Outcome.TRACEBACK,
    Outcome.TIMEOUT,
    Outcome.NOT_JUDGED,
)

#: `2024-05-01T10:00:00Z ERROR   message`
ERROR = re.compile(r"^\S+Z ERROR +(.*)$", re.MULTILINE)

#: codes by which a job refuses its input; 70: its sorter did
REFUSALS = (65, 66, 69, 70, 73, 75, 78)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """How the job of one specimen ended."""

    layout: str
    breakage: str
    outcome: Outcome
    exit_code: int | None
    #: what was said, or what is wrong
    message: str
    seconds: float
    cpu_s: float


def classify(
    ended: Ended, log: str, results: Path, specimen: Specimen, breakage: Breakage
) -> tuple[Outcome, str]:
    """Return the class of an end, and what was said or is wrong."""
    errors = ERROR.findall(log)
    if ended.exit_code is None:
        return Outcome.TIMEOUT, (log.splitlines() or [""])[-1]
    # readers whose destructor fails print a traceback, which ends no job
    tracebacks = log.count("Traceback (most recent call last)") - log.count("Exception ignored in")
    if tracebacks > 0 or ended.exit_code in (1, 2):
        return Outcome.TRACEBACK, (log.strip().splitlines() or [""])[-1]
    if ended.exit_code != 0:
        if ended.exit_code not in REFUSALS or not errors:
            return Outcome.TRACEBACK, f"exit code {ended.exit_code} without a cause"
        outcome = Outcome.REFUSED_WHOLE if breakage.harmless else Outcome.REFUSED
        return outcome, errors[0]
    found = judge.differences(results, specimen.truth)
    if not found:
        return Outcome.RIGHT, ""
    message = "; ".join(found)
    if breakage.said and re.search(breakage.said, _notes(results)):
        return Outcome.SAID, message
    if breakage.noticed_by and not breakage.noticed_by & specimen.layout.holds:
        return Outcome.UNNOTICEABLE, message
    return Outcome.WRONG, message


def _notes(results: Path) -> str:
    record = json.loads((results / "run.json").read_text())
    return "\n".join([*record["recording"]["notes"], *record["preprocessing"]["notes"]])
