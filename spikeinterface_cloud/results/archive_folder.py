"""`recording.zarr`, the archive of the recording: resume from it, publish it, remove it.

`archive.json` in it says which recording it is of. At the target it comes first, too, without the
ETags of the other files: so the next attempt knows an unfinished archive from a folder that is not
of this program, which nothing here touches.
"""

import logging
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from spikeinterface_cloud.config.locations import ARCHIVE
from spikeinterface_cloud.errors import ClaimLost, SourceError, TargetError
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import ARCHIVED, files_below
from spikeinterface_cloud.results.recorded_file import RecordedFile, sha256_of
from spikeinterface_cloud.results.run_schema import ArchiveEntry
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.runtime.host import usable_cpus
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.stored_object import StoredObject
from spikeinterface_cloud.storage.upload import upload

logger = logging.getLogger(__name__)

#: the folder until the archive in it has been compared with the recording, or while it is removed
UNFINISHED = f".{ARCHIVE}"


class ArchivedFile(RecordedFile):
    """One file of the archive."""

    @field_validator("path")
    @classmethod
    def _is_of_the_recording(cls, path: str) -> str:
        if path == ARCHIVED:
            raise ValueError("not a file of an archive")
        return path


class Archived(BaseModel):
    """The content of `archive.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    #: SHA-256 of everything that decides what the archive holds
    fingerprint: str
    completed: datetime
    archive: ArchiveEntry
    files: tuple[ArchivedFile, ...]

    def text(self) -> str:
        """Return the content of the file."""
        return self.model_dump_json(indent=2)


def read_archived(content: bytes) -> Archived | None:
    """Parse the file; None if it is invalid, or of another version of this program."""
    try:
        return Archived.model_validate_json(content)
    except ValidationError:
        return None


def remove_archive(results_folder: Path) -> None:
    """Remove the archive from a results folder, and what is left of unfinished ones."""
    for name in (UNFINISHED, ARCHIVE):
        folder, unfinished = results_folder / name, results_folder / UNFINISHED
        if folder.is_symlink():
            folder.unlink()
        elif folder.is_dir():  # without its name, half of it is not taken for anything
            shutil.rmtree(folder.replace(unfinished))


class ArchiveFolder:
    """The archive of one recording, in the results and at the target."""

    def __init__(self, fingerprint: str, results: Results) -> None:
        self.path = results.folder / ARCHIVE
        #: of an earlier attempt, complete at the target, or here if there is none
        self.earlier: ArchiveEntry | None = None
        self._fingerprint = fingerprint
        self._results = results

    def load_state(self) -> bool:
        """Return whether an earlier attempt has completed the archive, as `earlier` then says."""
        if self._results.storage is None:
            archived = self.find_written()
        else:
            archived = self._find_published(self._results.storage)
        self.earlier = archived.archive if archived else None
        return archived is not None

    def find_written(self) -> Archived | None:
        """Return the archive in the results folder, if it is of this recording and unchanged."""
        file = self.path / ARCHIVED
        archived = read_archived(file.read_bytes()) if file.is_file() else None
        if archived is None or archived.fingerprint != self._fingerprint:
            return None
        expected = {each.path: (each.size_bytes, each.sha256) for each in archived.files}
        if self._describe_files(self.path) != expected:
            logger.warning("%s is written again, as files of it were changed", self.path)
            return None
        return archived

    def prepare(self) -> Path:
        """Remove an archive that cannot be used; return the folder to write another one into."""
        remove_archive(self._results.folder)
        return self._results.folder / UNFINISHED

    def finish(self, entry: ArchiveEntry) -> Archived:
        """Give the written archive its name, and the file that identifies it."""
        unfinished = self._results.folder / UNFINISHED
        archived = Archived(
            fingerprint=self._fingerprint,
            completed=datetime.now(UTC),
            archive=entry,
            files=tuple(
                ArchivedFile(path=path, size_bytes=size_bytes, sha256=sha256)
                for path, (size_bytes, sha256) in self._describe_files(unfinished).items()
            ),
        )
        with room_for_results(unfinished):
            (unfinished / ARCHIVED).write_text(archived.text())
        unfinished.replace(self.path)
        return archived

    def publish(self, archived: Archived) -> None:
        """Upload the archive; `archive.json` says that it is complete when everything is there."""
        storage = self._results.storage
        if storage is None:
            return
        self._results.confirm_lock()
        location = self._results.target_location(ARCHIVE)
        unfinished = archived.model_copy(update={"files": ()})
        storage.write_object(location.child(ARCHIVED), unfinished.text().encode())
        files = [self.path / entry.path for entry in archived.files]
        self._results.publish_files(ARCHIVE, files)
        stored = self._list(self._storage())
        files_stored = tuple(entry.with_etag(stored) for entry in archived.files)
        archived = archived.model_copy(update={"files": files_stored})
        with room_for_results(self.path):
            (self.path / ARCHIVED).write_text(archived.text())
        self._results.confirm_lock()
        pair = (self.path / ARCHIVED, location.child(ARCHIVED))
        upload([pair], self._storage(), self._results.confirm_stale_lock)
        self._remove_others({ARCHIVED, *(entry.path for entry in archived.files)}, stored)

    def _find_published(self, storage: Storage) -> Archived | None:
        try:
            location = self._results.target_location(ARCHIVE)
            content = storage.read_if_exists(location.child(ARCHIVED))
        except SourceError as error:  # the role may only write
            logger.warning("%s; an earlier archive cannot be used", error)
            return None
        archived = read_archived(content) if content is not None else None
        if archived is None or archived.fingerprint != self._fingerprint:
            return None
        stored = self._list(storage)
        for entry in archived.files:
            found = stored.get(entry.path)
            if found is None or not entry.is_stored_as(found):
                logger.warning("%s/%s was changed, or is missing", location, entry.path)
                return None
        return archived if archived.files else None

    def _list(self, storage: Storage) -> Mapping[str, StoredObject]:
        try:
            return storage.objects_below(self._results.target_location(ARCHIVE))
        except SourceError as error:
            logger.warning("%s; the next attempt will write the archive again", error)
            return {}

    def _remove_others(self, keep: set[str], stored: Mapping[str, StoredObject]) -> None:
        superseded = [each.location for path, each in stored.items() if path not in keep]
        try:
            self._storage().remove_objects(superseded)
        except TargetError as error:
            logger.warning(
                "%d files of an earlier archive stay in %s (%s lists those that belong together): "
                "%s",
                *(len(superseded), self._results.target_location(ARCHIVE), ARCHIVED, error),
            )

    def _storage(self) -> Storage:
        storage = self._results.storage
        if storage is None:  # the lock was lost meanwhile
            raise ClaimLost(f"{self._results} is written by another attempt")
        return storage

    @staticmethod
    def _describe_files(folder: Path) -> dict[str, tuple[int, str]]:
        """Return size and SHA-256 of each file but `archive.json`, by path."""
        files = {path: file for path, file in files_below(folder).items() if path != ARCHIVED}
        with ThreadPoolExecutor(usable_cpus()) as threads:
            described = threads.map(_describe, files.values())
            return dict(zip(files, described, strict=True))


def _describe(file: Path) -> tuple[int, str]:
    return file.stat().st_size, sha256_of(file)
