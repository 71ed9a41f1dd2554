"""The findings of a diagnosis, as a table for people and as values for JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import Finding, Verdict
from spikeinterface_cloud.aws.diagnose.run import Diagnosis
from spikeinterface_cloud.aws.table import table

#: the least width of the evidence
NARROWEST = 30


def findings_table(diagnosis: Diagnosis, width: int) -> str:
    """Return a row for each finding: check, verdict, and evidence with the remedy below.

    Commands are never wrapped, so that they can be copied.
    """
    findings, names = diagnosis.findings, _names(diagnosis.findings)
    verdicts = [str(finding.verdict) for finding in findings]
    taken = sum(max(map(len, column), default=0) + 2 for column in (names, verdicts))
    cells = [_cell(finding, max(NARROWEST, width - taken)) for finding in findings]
    return table(list(zip(names, verdicts, cells, strict=True)))


def diagnosis_values(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the values of `--json`."""
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
    """Return one line that summarizes the findings."""
    by_verdict: dict[Verdict, list[str]] = {}
    for name, finding in zip(_names(diagnosis.findings), diagnosis.findings, strict=True):
        by_verdict.setdefault(finding.verdict, []).append(name)
    parts = [
        f"{verdict}: {', '.join(dict.fromkeys(by_verdict[verdict]))}"
        for verdict in (Verdict.FAILED, Verdict.WARNING, Verdict.NO_PERMISSION, Verdict.UNKNOWN)
        if verdict in by_verdict
    ]
    return "; ".join(parts) or "no problem found that would keep a job from starting"


def _names(findings: Sequence[Finding]) -> list[str]:
    """Return the names of the checks, with the compute environment if there are several."""
    several = len({finding.environment for finding in findings} - {""}) > 1
    return [
        f"{finding.check} ({finding.environment})"
        if several and finding.environment
        else finding.check
        for finding in findings
    ]


def _cell(finding: Finding, width: int) -> str:
    parts = [finding.evidence] + ([f"-> {finding.remedy}"] if finding.remedy else [])
    wrap = partial(textwrap.wrap, width=width, break_long_words=False, break_on_hyphens=False)
    lines = [line for part in parts for line in wrap(part)]
    return "\n".join([*lines, f"   $ {finding.command}"] if finding.command else lines)
