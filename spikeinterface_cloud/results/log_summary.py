"""The first and the last lines of the log: versions, host and settings; outcomes and cost."""

import logging
from collections.abc import Sequence
from dataclasses import asdict

from spikeinterface_cloud.results.cost import HOUR_S
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.results.run_record import RunRecord, versions
from spikeinterface_cloud.runtime.ec2_metadata import Instance
from spikeinterface_cloud.runtime.logging import format_bytes

logger = logging.getLogger(__name__)

HEAD = ("sorter", "outcome", "units", "labels", "seconds", "USD", "accuracy")

#: right-aligned columns
NUMBERS = ("units", "seconds", "USD")


def log_preamble(record: RunRecord) -> None:
    """Log the versions, the machine and the resolved settings, secrets masked."""
    logger.info("%s", ", ".join(f"{name} {version}" for name, version in versions().items()))
    logger.info("%s", ", ".join(f"{name} {value}" for name, value in record.machine.items()))
    if isinstance(record.instance, Instance):
        logger.info("%s", ", ".join(str(value) for value in asdict(record.instance).values()))
    for name, value in record.settings.items():
        logger.info("%s=%s", name, value)


def log_outcome(run: SorterRun) -> None:
    """Log how one sorter ended."""
    if run.outcome == "failed":
        logger.error("%s failed: %s", run.sorter, run.reason)
    elif run.outcome == "no_units":
        logger.warning("%s found no units: %s", run.sorter, run.reason)
    else:
        logger.info(
            "%s%s found %d units (%s) in %.1f s",
            "an earlier attempt with " if run.outcome == "resumed" else "",
            run.sorter,
            run.n_units,
            _labels(run),
            run.seconds,
        )


def log_summary(record: RunRecord, place: str) -> None:
    """Log the closing table of sorters, what the job cost, and where the results are."""
    for line in outcome_table(record):
        logger.info("%s", line)
    if record.n_consensus_units is not None:
        logger.info("%d units found by two or more sorters", record.n_consensus_units)
    logger.info("cost so far: %s", record.cost)
    published = sum(
        step.size_bytes or 0 for step in record.steps if step.name.startswith("publish")
    )
    logger.info("results (%s uploaded so far): %s", format_bytes(published), place)


def outcome_table(record: RunRecord) -> list[str]:
    """Return a line per sorter: outcome, units by label, seconds and USD, accuracy if known."""
    usd_per_hour = record.cost.usd_per_hour if record.cost.usd is not None else None
    rows = [_row(run, record, usd_per_hour) for run in record.sorters]
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    return [_align(row, widths) for row in (HEAD, *rows)]


def _row(run: SorterRun, record: RunRecord, usd_per_hour: float | None) -> tuple[str, ...]:
    return (
        run.sorter,
        run.outcome,
        str(run.n_units),
        _labels(run),
        f"{run.seconds:.1f}",
        "-" if usd_per_hour is None else f"{run.seconds * usd_per_hour / HOUR_S:.4f}",
        _accuracy(record, run.sorter),
    )


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if name in NUMBERS else cell.ljust(width)
        for name, cell, width in zip(HEAD, row, widths, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _labels(run: SorterRun) -> str:
    return ", ".join(f"{count} {label}" for label, count in run.labels.items()) or "-"


def _accuracy(record: RunRecord, sorter: str) -> str:
    truth = record.ground_truth.get(sorter)
    if truth is None:
        return "-"
    return (
        f"{truth['mean_accuracy']:.2f} on average, {truth['n_found']} of "
        f"{truth['n_true_units']} true units found"
    )
