"""What the log says first and last: what runs where, and what came of it."""

import logging
from dataclasses import asdict

from spikeinterface_cloud.instance import Instance
from spikeinterface_cloud.log import format_bytes
from spikeinterface_cloud.run_record import RunRecord, versions
from spikeinterface_cloud.sorting import SorterRun

logger = logging.getLogger(__name__)


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
        logger.info("%s found %d units in %.1f s", run.sorter, run.n_units, run.seconds)


def log_summary(record: RunRecord, place: str) -> None:
    """Log the table of sorters, with their accuracy if known, and where the results are."""
    logger.info("%-16s %-10s %6s %9s  %s", "sorter", "outcome", "units", "seconds", "accuracy")
    for run in record.sorters:
        logger.info(
            "%-16s %-10s %6d %9.1f  %s",
            run.sorter,
            run.outcome,
            run.n_units,
            run.seconds,
            _accuracy(record, run.sorter),
        )
    if record.n_consensus_units is not None:
        logger.info("%d units found by two or more sorters", record.n_consensus_units)
    published = sum(
        step.size_bytes or 0 for step in record.steps if step.name.startswith("publish")
    )
    logger.info("cost so far: %s", record.cost)
    logger.info("results (%s uploaded so far): %s", format_bytes(published), place)


def _accuracy(record: RunRecord, sorter: str) -> str:
    truth = record.ground_truth.get(sorter)
    if truth is None:
        return ""
    return (
        f"{truth['mean_accuracy']:.2f} on average, {truth['n_found']} of "
        f"{truth['n_true_units']} true units found"
    )
