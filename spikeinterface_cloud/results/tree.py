"""The tree of the results in its two places: the results folder, and the target."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path

from pydantic import ValidationError

from spikeinterface_cloud.config.locations import ARCHIVE, S3Location
from spikeinterface_cloud.results.archive_folder import Archived, read_archived, remove_archive
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import (
    ARCHIVED,
    COMPARISON,
    COMPLETED,
    LOG,
    RECORD,
    REPORT,
    SYNC,
    files_below,
    is_comparison,
    is_managed,
    remove_managed,
)
from spikeinterface_cloud.results.run_schema import RunJson
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.remote_file import s3_files
from spikeinterface_cloud.storage.session import Storage

logger = logging.getLogger(__name__)


class ResultsTree(ABC):
    """The results in one of their two places."""

    #: the variable that gives the job another place
    variable: str

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is no such file."""

    @abstractmethod
    def fetch(self, name: str, scratch: Path) -> Path:
        """Return a file on this host: the file itself, or its copy in `scratch`."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Return whether there is such a file."""

    @abstractmethod
    def folders(self) -> Collection[str]:
        """Return the names of the folders, those of sorters among them."""

    @abstractmethod
    def paths_below(self, folder: str) -> Collection[str]:
        """Return the paths of the files in a folder, relative to it."""

    @abstractmethod
    def remove(self, names: Sequence[str]) -> None:
        """Remove files, those that exist."""

    def remove_files_of(self, sorter: str) -> None:
        """Remove this program's files from the sorter's folder, except `completed.json`."""
        self.remove([f"{sorter}/{path}" for path in self.paths_below(sorter) if is_managed(path)])

    def read_archive(self) -> Archived | None:
        """Read what identifies the archive of a recording; None if it is of another version."""
        content = self.read(f"{ARCHIVE}/{ARCHIVED}")
        return None if content is None else read_archived(content)

    def has_archive(self) -> bool:
        """Return whether this program has written, or begun to write, an archive."""
        return self.exists(f"{ARCHIVE}/{ARCHIVED}")

    def remove_archive(self) -> None:
        """Remove the archive; the file that identifies it goes last."""
        paths = sorted(self.paths_below(ARCHIVE), key=lambda path: path == ARCHIVED)
        self.remove([f"{ARCHIVE}/{path}" for path in paths])

    def clear(self, sorters: Sequence[str], *, archive: bool = False) -> None:
        """Remove this program's files, and the `archive`; those that identify a job go last."""
        if archive and self.has_archive():
            self.remove_archive()
        for sorter in sorters:
            self.remove_files_of(sorter)
        compared = filter(is_comparison, self.paths_below(COMPARISON))
        self.remove([*(f"{COMPARISON}/{path}" for path in compared), REPORT, SYNC, LOG])
        self.remove([f"{sorter}/{COMPLETED}" for sorter in sorters])
        self.remove([RECORD])

    def read_record(self, folder: str = "") -> RunJson | None:
        """Read `run.json`, here or in a folder; None if there is none of this version."""
        name = f"{folder}/{RECORD}" if folder else RECORD
        content = self.read(name)
        try:
            return None if content is None else RunJson.model_validate_json(content)
        except ValidationError as error:
            reason = str(error).partition("\n")[0]
            logger.info("%s/%s of an earlier run is not used: %s", self, name, reason)
            return None


class _LocalTree(ResultsTree):
    variable = "RESULTS_FOLDER"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def read(self, name: str) -> bytes | None:
        return (self._folder / name).read_bytes() if self.exists(name) else None

    def fetch(self, name: str, scratch: Path) -> Path:  # noqa: ARG002 (it is here)
        return self._folder / name

    def exists(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def folders(self) -> Collection[str]:
        return [path.name for path in self._folder.iterdir() if path.is_dir()]

    def paths_below(self, folder: str) -> Collection[str]:
        return files_below(self._folder / folder)

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def remove_files_of(self, sorter: str) -> None:
        remove_managed(self._folder / sorter)

    def remove_archive(self) -> None:
        remove_archive(self._folder)


class _TargetTree(ResultsTree):
    variable = "TARGET_AWS_S3_BUCKET_FOLDER"

    def __init__(self, location: S3Location, storage: Storage, results: Results) -> None:
        self._location = location
        self._storage = storage
        self._results = results

    def __str__(self) -> str:
        return str(self._location)

    def read(self, name: str) -> bytes | None:
        return self._storage.read_if_exists(self._location.child(name))

    def fetch(self, name: str, scratch: Path) -> Path:
        stored = self._storage.head(self._location.child(name))
        download(s3_files(self._storage, [stored], self._location), scratch)
        return scratch / name

    def exists(self, name: str) -> bool:
        return self._storage.object_exists(self._location.child(name))

    def folders(self) -> Collection[str]:
        return self._storage.folders_in(self._location)

    def paths_below(self, folder: str) -> Collection[str]:
        return self._storage.objects_below(self._location.child(folder))

    def remove(self, names: Sequence[str]) -> None:
        self._results.confirm_lock()
        self._storage.remove_objects([self._location.child(name) for name in names])


def place_of(results: Results, folder: Path, target: S3Location | None) -> ResultsTree:
    """Return the results at a target that holds those of several jobs; else in a folder."""
    if target is None or results.storage is None:
        return _LocalTree(folder)
    return _TargetTree(target, results.storage, results)


def results_trees(results: Results) -> list[ResultsTree]:
    """Return the places of the results: the target, if this job may use it, then the folder."""
    trees: list[ResultsTree] = [_LocalTree(results.folder)]
    if results.storage is not None and results.target is not None:
        trees.insert(0, _TargetTree(results.target, results.storage, results))
    return trees
