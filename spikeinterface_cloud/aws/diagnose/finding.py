"""What a check found: how it stands, what tells so, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    #: AWS does not let this user see
    NOT_ALLOWED = "not allowed to look"
    #: AWS, or a server that stands for it, has no answer
    NOT_KNOWN = "not known"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One row of the table."""

    #: what was looked at; a judge leaves it to `check`
    check: str = ""
    #: the compute environment that was looked at; empty for what is of the job or its queue
    environment: str = ""
    verdict: Verdict
    evidence: str
    #: what to do about it; empty where there is nothing to do
    remedy: str = ""
    #: the command that does it, where one does
    command: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unavailable:
    """A fact that AWS did not tell."""

    #: the action that it takes, like `ec2:DescribeSubnets`
    permission: str
    #: why there is no answer
    reason: str
    #: whether it is for want of the permission
    denied: bool


#: a fact, or why it is not known
Seen: TypeAlias = T | Unavailable


def ok(evidence: str) -> Finding:
    """Nothing is wrong."""
    return Finding(verdict=Verdict.OK, evidence=evidence)


def warning(evidence: str, remedy: str = "", command: str = "") -> Finding:
    """It may hold a job up."""
    return Finding(verdict=Verdict.WARNING, evidence=evidence, remedy=remedy, command=command)


def failed(evidence: str, remedy: str, command: str = "") -> Finding:
    """It does hold jobs up."""
    return Finding(verdict=Verdict.FAILED, evidence=evidence, remedy=remedy, command=command)


def check(name: str, judge: Callable[..., Iterable[Finding]], *facts: Any) -> list[Finding]:
    """The findings of a judge under the name of their check.

    A judge is asked only where every one of its facts was seen; otherwise the finding is which
    permission it takes to see them.
    """
    unseen = [fact for fact in facts if isinstance(fact, Unavailable)]
    findings = [_not_seen(unseen)] if unseen else judge(*facts)
    return [replace(finding, check=name) for finding in findings]


def downgrade_if_any_passes(findings: Sequence[Finding], name: str) -> list[Finding]:
    """The findings, where a failure of this check is a warning if another one of it went well.

    A job needs one compute environment that has what it asks for, not all of them.
    """
    good = (Verdict.OK, Verdict.WARNING)
    if not any(finding.check == name and finding.verdict in good for finding in findings):
        return list(findings)
    return [
        replace(finding, verdict=Verdict.WARNING)
        if finding.check == name and finding.verdict is Verdict.FAILED
        else finding
        for finding in findings
    ]


def _not_seen(unseen: Iterable[Unavailable]) -> Finding:
    denied = sorted({fact.permission for fact in unseen if fact.denied})
    if denied:
        wanted = ", ".join(denied)
        return Finding(
            verdict=Verdict.NOT_ALLOWED,
            evidence=f"it takes {wanted}",
            remedy="ask the account's owner to allow you that, or to run this command",
        )
    reasons = dict.fromkeys(f"{fact.permission}: {fact.reason}" for fact in unseen)
    return Finding(verdict=Verdict.NOT_KNOWN, evidence="; ".join(reasons))
