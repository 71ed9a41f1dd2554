"""What a diagnosis found, as a table for people and as values for JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import Finding, Verdict
from spikeinterface_cloud.aws.diagnose.run import Diagnosis

#: narrower than this, a table is no table any more
NARROWEST = 30


def findings_table(diagnosis: Diagnosis, width: int) -> str:
    """The findings, a row each: check, verdict and evidence, with the remedy below the evidence.

    Commands are never broken, so that they can be copied.

    Parameters
    ----------
    width
        characters of a line
    """
    findings = diagnosis.findings
    names = _names(findings)
    name_width = max(map(len, names), default=0)
    verdict_width = max((len(finding.verdict) for finding in findings), default=0)
    indent = " " * (name_width + verdict_width + 4)
    lines: list[str] = []
    for name, finding in zip(names, findings, strict=True):
        start = f"{name:<{name_width}}  {finding.verdict:<{verdict_width}}  "
        for line in _cell(finding, max(NARROWEST, width - len(indent))):
            lines.append(f"{start}{line}")
            start = indent
    return "\n".join(lines)


def diagnosis_values(diagnosis: Diagnosis) -> dict[str, Any]:
    """What `--json` says."""
    return {
        "jobId": diagnosis.job_id,
        "jobQueue": diagnosis.queue,
        "findings": [
            {
                "check": finding.check,
                "computeEnvironment": finding.environment or None,
                "verdict": str(finding.verdict),
                "evidence": finding.evidence,
                "remedy": finding.remedy or None,
                "command": finding.command or None,
            }
            for finding in diagnosis.findings
        ],
    }


def summary(diagnosis: Diagnosis) -> str:
    """One line on all the findings together."""
    by_verdict: dict[Verdict, list[str]] = {}
    for name, finding in zip(_names(diagnosis.findings), diagnosis.findings, strict=True):
        by_verdict.setdefault(finding.verdict, []).append(name)
    parts = [
        f"{verdict}: {', '.join(dict.fromkeys(by_verdict[verdict]))}"
        for verdict in (Verdict.FAILED, Verdict.WARNING, Verdict.NOT_ALLOWED, Verdict.NOT_KNOWN)
        if verdict in by_verdict
    ]
    return "; ".join(parts) or "nothing was found that would hold a job up"


def _names(findings: Sequence[Finding]) -> list[str]:
    """The checks, with their compute environment where there are several."""
    several = len({finding.environment for finding in findings} - {""}) > 1
    return [
        f"{finding.check} ({finding.environment})"
        if several and finding.environment
        else finding.check
        for finding in findings
    ]


def _cell(finding: Finding, width: int) -> Iterator[str]:
    yield from _wrapped(finding.evidence, width)
    if finding.remedy:
        yield from _wrapped(f"-> {finding.remedy}", width)
    if finding.command:
        yield f"   $ {finding.command}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
