"""Refuse results of another job in the results folder or at the target, or remove them (OVERWRITE).

Results belong to another job if

- a sorter's folder has a `completed.json` that is not one of this job's (another fingerprint, a
  sorter that this job does not run, or another version of this program), or
- `run.json` is of another job and lists a sorter, not as failed, whose files are still there.

Everything else does not block. Finished sorters of this job are resumed, whichever attempt left
them. Files without `completed.json` are the unfinished sorting of an attempt that was killed, and
are replaced. A run that was refused, or whose sorters failed, left only records and logs.
"""

import logging
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from spikeinterface_cloud.config.catalog.snapshot import load_snapshot
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import SourceError, TargetError
from spikeinterface_cloud.results.completion import read_completion
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import (
    COMPARISON,
    COMPLETED,
    LOG,
    RECORD,
    REPORT,
    comparison_files,
    is_comparison,
    is_managed,
    managed_files,
    remove_managed,
)
from spikeinterface_cloud.results.resume import Fingerprints
from spikeinterface_cloud.results.run_schema import RunJson
from spikeinterface_cloud.storage.session import Storage

logger = logging.getLogger(__name__)


class _Tree(Protocol):
    """The tree of the results, in one of its two places."""

    #: the variable that gives the job another place
    variable: str

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is no such file."""

    def folders(self) -> Collection[str]:
        """Return the names of the folders, those of sorters among them."""

    def has_files_of(self, sorter: str) -> bool:
        """Return whether this program's files are in the sorter's folder."""

    def clear(self, sorters: list[str]) -> None:
        """Remove this program's files; those that identify a job go last."""


class _LocalTree:
    variable = "RESULTS_FOLDER"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def read(self, name: str) -> bytes | None:
        file = self._folder / name
        return file.read_bytes() if file.is_file() else None

    def folders(self) -> Collection[str]:
        return [path.name for path in self._folder.iterdir() if path.is_dir()]

    def has_files_of(self, sorter: str) -> bool:
        return bool(managed_files(self._folder / sorter))

    def clear(self, sorters: list[str]) -> None:
        for sorter in sorters:
            remove_managed(self._folder / sorter)
        files = [
            *comparison_files(self._folder).values(),
            *(self._folder / name for name in (REPORT, LOG)),
            *(self._folder / sorter / COMPLETED for sorter in sorters),
            self._folder / RECORD,
        ]
        for file in files:
            file.unlink(missing_ok=True)


class _TargetTree:
    variable = "TARGET_AWS_S3_BUCKET_FOLDER"

    def __init__(self, location: S3Location, storage: Storage) -> None:
        self._location = location
        self._storage = storage

    def __str__(self) -> str:
        return str(self._location)

    def read(self, name: str) -> bytes | None:
        version = self._storage.read_version(self._location.child(name))
        return None if version is None else version[0]

    def folders(self) -> Collection[str]:
        return self._storage.folders_in(self._location)

    def has_files_of(self, sorter: str) -> bool:
        return any(map(is_managed, self._paths_below(sorter)))

    def clear(self, sorters: list[str]) -> None:
        names = [
            f"{COMPARISON}/{path}" for path in self._paths_below(COMPARISON) if is_comparison(path)
        ]
        for sorter in sorters:
            names += [f"{sorter}/{path}" for path in self._paths_below(sorter) if is_managed(path)]
        self._remove([*names, REPORT, LOG])
        self._remove([f"{sorter}/{COMPLETED}" for sorter in sorters])
        self._remove([RECORD])

    def _remove(self, names: list[str]) -> None:
        self._storage.remove_objects([self._location.child(name) for name in names])

    def _paths_below(self, folder: str) -> Iterable[str]:
        return self._storage.objects_below(self._location.child(folder))


def check_other_jobs(results: Results, job: Fingerprints, *, overwrite: bool) -> str:
    """Refuse a results folder or a target with results of another job, unless it is to go.

    Returns
    -------
    str
        A description of the results to remove, for the table of checks.

    Raises
    ------
    TargetError
        There are such results, and `overwrite` is false.
    TransferError
        The network gave out.
    """
    found = {tree: _describe_other_job(tree, job) for tree in _trees(results)}
    descriptions = {tree: description for tree, description in found.items() if description}
    if descriptions and not overwrite:
        results.stop_publishing()
        tree, description = next(iter(descriptions.items()))
        raise TargetError(
            f"{tree} holds the results of another job ({description}); give this job another "
            f"folder ({tree.variable}), or replace those results: OVERWRITE=true "
            "(submit_job.py --overwrite)"
        )
    removed = (
        f"{tree}: {description} will be removed" for tree, description in descriptions.items()
    )
    return "; ".join(removed) or "none of another job"


def remove_other_jobs(results: Results, job: Fingerprints) -> None:
    """Remove this program's files from a results folder or a target with results of another job.

    A place without such results is left alone, so that the next attempt at this job resumes.

    Raises
    ------
    TargetError
        The files may not be removed.
    TransferError
        The network gave out.
    """
    for tree in _trees(results):
        description = _describe_other_job(tree, job)
        if description is None:
            continue
        logger.warning("removing the results of another job (%s) from %s", description, tree)
        try:
            tree.clear(_sorters_in(tree, _read_record(tree), job))
        except TargetError:
            results.stop_publishing()
            raise


def _trees(results: Results) -> Iterator[_Tree]:
    if results.storage is not None and results.target is not None:
        yield _TargetTree(results.target, results.storage)
    yield _LocalTree(results.folder)


def _describe_other_job(tree: _Tree, job: Fingerprints) -> str | None:
    """Name what is there of another job; None if there is nothing, or if it may not be read."""
    try:
        record = _read_record(tree)
        folders = [
            sorter
            for sorter in _sorters_in(tree, record, job)
            if _is_of_another_job(tree, sorter, record, job)
        ]
    except SourceError as error:
        logger.warning("%s; results of another job would not be noticed", error)
        return None
    if not folders:
        return None
    named = ", ".join(f"{sorter}/" for sorter in folders)
    if record is None:
        return f"{named}; no run.json, so that job is running or was killed"
    identifier = f" {record.run_identifier}" if record.run_identifier else ""
    ended = f" {record.ended:%Y-%m-%d %H:%M:%S}Z" if record.ended else ""
    fingerprint = f", fingerprint {record.fingerprint[:16]}" if record.fingerprint else ""
    return f"{named}; run.json: {record.status}{identifier}{ended}{fingerprint}"


def _is_of_another_job(tree: _Tree, sorter: str, record: RunJson | None, job: Fingerprints) -> bool:
    content = tree.read(f"{sorter}/{COMPLETED}")
    if content is not None:
        completion = read_completion(content)
        return completion is None or completion.fingerprint != job.sorters.get(sorter)
    if record is None or record.fingerprint in (None, job.job):
        return False
    listed = any(run.sorter == sorter and run.outcome != "failed" for run in record.sorters)
    return listed and tree.has_files_of(sorter)


def _sorters_in(tree: _Tree, record: RunJson | None, job: Fingerprints) -> list[str]:
    """Return the sorters that have a folder in the tree."""
    listed = [run.sorter for run in record.sorters] if record else []
    known = dict.fromkeys([*job.sorters, *listed, *load_snapshot().sorters])
    folders = tree.folders()
    return [sorter for sorter in known if sorter in folders]


def _read_record(tree: _Tree) -> RunJson | None:
    content = tree.read(RECORD)
    try:
        return None if content is None else RunJson.model_validate_json(content)
    except ValidationError:  # of another version of this program, or not its file
        return None
