"""Refuse results of another job in the results folder or at the target, or remove them (OVERWRITE).

Results belong to another job if

- a sorter's folder has a `completed.json` that is not one of this job's (another fingerprint, a
  sorter that this job does not run, or another version of this program),
- `recording.zarr/archive.json` is of another recording, or
- `run.json` is of another job and lists a sorter, not as failed, whose files are still there.

Everything else does not block. Finished sorters of this job are resumed, whichever attempt left
them. Files without `completed.json` are the unfinished sorting of an attempt that was killed, and
are replaced. A run that was refused, or whose sorters failed, left only records and logs.
"""

import logging

from spikeinterface_cloud.config.catalog.snapshot import load_snapshot
from spikeinterface_cloud.config.locations import ARCHIVE
from spikeinterface_cloud.errors import SourceError, TargetError
from spikeinterface_cloud.results.completion import read_completion
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import COMPLETED, is_managed
from spikeinterface_cloud.results.resume import Fingerprints
from spikeinterface_cloud.results.run_schema import RunJson
from spikeinterface_cloud.results.tree import ResultsTree, results_trees

logger = logging.getLogger(__name__)


def check_other_jobs(results: Results, job: Fingerprints, *, overwrite: bool) -> str:
    """Refuse a results folder or a target with results of another job, unless it is to go.

    Returns
    -------
    str
        A description of the results to remove, for the table of checks.
    """
    trees = results_trees(results)
    for tree in trees if job.archive else ():
        _check_archive_replaceable(tree)
    found = {tree: _describe_other_job(tree, job) for tree in trees}
    descriptions = {tree: description for tree, description in found.items() if description}
    if descriptions and not overwrite:
        results.stop_publishing()
        tree, description = next(iter(descriptions.items()))
        raise TargetError(
            f"{tree} holds the results of another job ({description}); give this job another "
            f"folder ({tree.variable}), or replace those results: OVERWRITE=true "
            "(spikeinterface-cloud --overwrite)"
        )
    removed = (
        f"{tree}: {description} will be removed" for tree, description in descriptions.items()
    )
    return "; ".join(removed) or "none of another job"


def remove_other_jobs(results: Results, job: Fingerprints) -> None:
    """Remove this program's files from a results folder or a target with results of another job.

    A place without such results is left alone, so that the next attempt at this job resumes.
    """
    for tree in results_trees(results):
        description = _describe_other_job(tree, job)
        if description is None:
            continue
        logger.warning("removing the results of another job (%s) from %s", description, tree)
        try:
            tree.clear(
                _sorters_in(tree, tree.read_record(), job), archive=_is_other_archive(tree, job)
            )
        except TargetError:
            results.stop_publishing()
            raise


def _describe_other_job(tree: ResultsTree, job: Fingerprints) -> str | None:
    """Name what is there of another job; None if there is nothing, or if it may not be read."""
    try:
        record = tree.read_record()
        folders = [
            sorter
            for sorter in _sorters_in(tree, record, job)
            if _is_of_another_job(tree, sorter, record, job)
        ]
        folders += [ARCHIVE] if _is_other_archive(tree, job) else []
    except SourceError as error:
        logger.warning("%s; results of another job would not be noticed", error)
        return None
    if not folders:
        return None
    named = ", ".join(f"{folder}/" for folder in folders)
    if record is None:
        return f"{named}; no run.json, so that job is running or was killed"
    identifier = f" {record.run_identifier}" if record.run_identifier else ""
    ended = f" {record.ended:%Y-%m-%d %H:%M:%S}Z" if record.ended else ""
    fingerprint = f", fingerprint {record.fingerprint[:16]}" if record.fingerprint else ""
    return f"{named}; run.json: {record.status}{identifier}{ended}{fingerprint}"


def _is_of_another_job(
    tree: ResultsTree, sorter: str, record: RunJson | None, job: Fingerprints
) -> bool:
    content = tree.read(f"{sorter}/{COMPLETED}")
    if content is not None:
        completion = read_completion(content, sorter)
        return completion is None or completion.fingerprint != job.sorters.get(sorter)
    if record is None or record.fingerprint in (None, job.job):
        return False
    listed = any(run.sorter == sorter and run.outcome != "failed" for run in record.sorters)
    return listed and any(map(is_managed, tree.paths_below(sorter)))


def _is_other_archive(tree: ResultsTree, job: Fingerprints) -> bool:
    if not tree.has_archive():
        return False
    archived = tree.read_archive()
    return archived is None or archived.fingerprint != job.recording


def _check_archive_replaceable(tree: ResultsTree) -> None:
    """Refuse a folder of the archive's name that this program has not written."""
    try:
        is_foreign = not tree.has_archive() and bool(tree.paths_below(ARCHIVE))
    except SourceError as error:  # the role may only write
        logger.warning("%s; a folder of the archive's name would not be noticed", error)
        return
    if is_foreign:
        raise TargetError(
            f"{tree}/{ARCHIVE} is not of this program, and ARCHIVE=zarr would replace it; move it "
            f"away, or give this job another folder ({tree.variable})"
        )


def _sorters_in(tree: ResultsTree, record: RunJson | None, job: Fingerprints) -> list[str]:
    """Return the sorters that have a folder in the tree."""
    listed = [run.sorter for run in record.sorters] if record else []
    known = dict.fromkeys([*job.sorters, *listed, *load_snapshot().sorters])
    folders = tree.folders()
    return [sorter for sorter in known if sorter in folders]
