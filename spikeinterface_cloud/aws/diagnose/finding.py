"""The outcome of a check: a verdict, the evidence, and the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

#: a part of a reply of AWS
Reply: TypeAlias = Mapping[str, Any]


class Verdict(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NO_PERMISSION = "no permission"
    #: AWS, or a server that stands in for it, has no answer
    UNKNOWN = "unknown"


#: the verdicts of what does not keep a job from starting
PASSES = frozenset({Verdict.OK, Verdict.WARNING})


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One row of the table."""

    #: the name of the check, which `run_check` sets
    check: str = ""
    #: the compute environment; empty for the job and its queue
    environment: str = ""
    verdict: Verdict
    evidence: str
    #: empty if there is nothing to do
    remedy: str = ""
    #: the command that applies the remedy, if there is one
    command: str = ""


class Unavailable(Exception):
    """AWS did not give a fact.

    Parameters
    ----------
    permission
        the action that gives it, like `ec2:DescribeSubnets`
    denied
        whether the permission is missing
    """

    def __init__(self, *, permission: str, reason: str, denied: bool) -> None:
        super().__init__(f"{permission}: {reason}")
        self.permission = permission
        self.denied = denied


def ok(evidence: str) -> Finding:
    """Return that nothing is wrong."""
    return Finding(verdict=Verdict.OK, evidence=evidence)


def warning(evidence: str, remedy: str = "", command: str = "") -> Finding:
    """Return what may keep jobs from starting."""
    return Finding(verdict=Verdict.WARNING, evidence=evidence, remedy=remedy, command=command)


def failed(evidence: str, remedy: str, command: str = "") -> Finding:
    """Return what keeps jobs from starting."""
    return Finding(verdict=Verdict.FAILED, evidence=evidence, remedy=remedy, command=command)


def run_check(name: str, check: Callable[..., Iterable[Finding]], *facts: Any) -> list[Finding]:
    """Return the findings of a check, under its name.

    If a fact is unavailable, the check does not run, and the finding says which permission the
    fact takes.
    """
    missing = [fact for fact in facts if isinstance(fact, Unavailable)]
    findings = [_unavailable(missing)] if missing else check(*facts)
    return [replace(finding, check=name) for finding in findings]


def downgrade_if_any_passes(findings: Sequence[Finding], name: str) -> list[Finding]:
    """Turn failures of a check into warnings if another finding of the same check passes.

    A job needs one suitable instance type or compute environment, not all of them.
    """
    if not any(finding.check == name and finding.verdict in PASSES for finding in findings):
        return list(findings)
    return [_downgrade(finding) if finding.check == name else finding for finding in findings]


def downgrade_if_an_environment_passes(findings: Sequence[Finding]) -> list[Finding]:
    """Turn failures of compute environments into warnings if one of them passes all its checks.

    Batch starts jobs in any environment of a queue that can run them.
    """
    verdicts: dict[str, set[Verdict]] = {}
    for finding in findings:
        verdicts.setdefault(finding.environment, set()).add(finding.verdict)
    if not any(found <= PASSES for found in verdicts.values()):
        return list(findings)
    return [_downgrade(finding) for finding in findings]


def _downgrade(finding: Finding) -> Finding:
    is_failed = finding.verdict is Verdict.FAILED
    return replace(finding, verdict=Verdict.WARNING) if is_failed else finding


def first_match(reason: str, entries: Mapping[str, T]) -> T | None:
    """Return the first entry whose pattern occurs in a reason of AWS; None if there is none."""
    return next(
        (entry for pattern, entry in entries.items() if re.search(pattern, reason, re.IGNORECASE)),
        None,
    )


def _unavailable(missing: Sequence[Unavailable]) -> Finding:
    if denied := sorted({fact.permission for fact in missing if fact.denied}):
        return Finding(
            verdict=Verdict.NO_PERMISSION,
            evidence=f"requires {', '.join(denied)}",
            remedy="ask the account's owner for this permission, or to run this command",
        )
    return Finding(verdict=Verdict.UNKNOWN, evidence="; ".join(dict.fromkeys(map(str, missing))))
