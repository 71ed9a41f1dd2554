"""Uploads in parts that killed jobs have left at the target, which S3 keeps and charges for."""

import logging

from spikeinterface_cloud.config.catalog.snapshot import load_snapshot
from spikeinterface_cloud.config.locations import ARCHIVE
from spikeinterface_cloud.errors import CloudJobError
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import (
    COMPARISON,
    LOG,
    REPORT,
    SYNC,
    is_comparison,
    is_managed,
)

logger = logging.getLogger(__name__)


def abort_unfinished_uploads(results: Results) -> None:
    """Abort the unfinished uploads of this program's files at a target that this job has locked."""
    if results.storage is None or results.target is None:
        return
    try:
        n_aborted = results.storage.abort_uploads(results.target, is_result)
    except CloudJobError as error:
        logger.info("unfinished uploads of an earlier attempt may stay: %s", error)
        return
    if n_aborted:
        logger.info("aborted %d unfinished uploads of an earlier attempt", n_aborted)


def is_result(path: str) -> bool:
    """Return whether this program writes a file of this path, relative to the target.

    >>> is_result("simple/phy/recording.dat"), is_result("mine/phy/recording.dat")
    (True, False)
    """
    folder, _, rest = path.partition("/")
    if folder == ARCHIVE and rest:
        return True
    if folder == COMPARISON:
        return is_comparison(rest)
    return path in (LOG, REPORT, SYNC) or (folder in load_snapshot().sorters and is_managed(rest))
