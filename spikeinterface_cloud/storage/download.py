"""Downloads into a folder: parallel, resumable, verified, renamed only when complete.

At most some 60 MiB are in memory at once, whatever is fetched (file_download.py, range_reader.py).
Each file is written as `<name>.part`; an interrupted large one continues where it was, in this
process or in the next.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import stat_result
from pathlib import Path

from spikeinterface_cloud.errors import RecordingError, SourceError
from spikeinterface_cloud.runtime.disk import NoRoom, disk_errors
from spikeinterface_cloud.runtime.logging import format_bytes
from spikeinterface_cloud.storage.digests import digest_of_file
from spikeinterface_cloud.storage.file_download import (
    FILES_AT_ONCE,
    DownloadedFile,
    Resources,
    download_file,
)
from spikeinterface_cloud.storage.progress import FileProgress, Progress
from spikeinterface_cloud.storage.range_reader import ObjectChanged, ObjectReader
from spikeinterface_cloud.storage.remote_file import PART_SUFFIX, RemoteFile, check_names
from spikeinterface_cloud.storage.thread_pool import Stopped, wait_for_all
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Downloaded:
    """The outcome of a download."""

    #: of all the files
    size_bytes: int
    #: of what had to be moved: less, where an earlier download had left something
    moved_bytes: int
    #: in the order of the call
    files: tuple[Path, ...]


def download(
    files: Sequence[RemoteFile], folder: Path, *, timeouts: NetworkTimeouts | None = None
) -> Downloaded:
    """Fetch `files` into `folder`, which is made when it is not there."""
    check_names(files)
    with disk_errors(folder):
        for parent in {(folder / file.name).parent for file in files} | {folder}:
            parent.mkdir(parents=True, exist_ok=True)
    present = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    check_space(folder, sum(_missing_bytes(file, folder, present) for file in files))
    total_bytes = sum(file.size_bytes for file in files)
    with Progress("download", total_bytes) as progress:
        transfer = _Transfer(folder, present, progress, timeouts or NetworkTimeouts())
        transfer.run(files)
    transfer.log_unverified()
    return Downloaded(
        size_bytes=total_bytes,
        moved_bytes=progress.moved_bytes,
        files=tuple(folder / file.name for file in files),
    )


def check_space(folder: Path, needed_bytes: int) -> None:
    """Raise NoRoom when the disk of `folder` has less than that free."""
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise NoRoom(
            f"{format_bytes(needed_bytes)} have to be downloaded, and the disk of {folder} has "
            f"{format_bytes(free_bytes)} free"
        )


def _missing_bytes(file: RemoteFile, folder: Path, present: Mapping[Path, stat_result]) -> int:
    """Return how much disk the file needs besides what it has there, finished or not."""
    if not present:
        return file.size_bytes
    final = folder / file.name
    there = [present.get(path) for path in (final, final.with_name(final.name + PART_SUFFIX))]
    return max(0, file.size_bytes - sum(each.st_blocks * 512 for each in there if each))


class DigestMismatch(Exception):
    """The bytes that arrived have another digest than the server states."""


class _Transfer:
    """One call of `download`."""

    def __init__(
        self,
        folder: Path,
        present: Mapping[Path, stat_result],
        progress: Progress,
        timeouts: NetworkTimeouts,
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._timeouts = timeouts
        #: looked at once, as looking while the folder is written to takes a hundred times as long
        self._present = present
        self._unverified: list[RemoteFile] = []

    def run(self, files: Sequence[RemoteFile]) -> None:
        """Fetch all files; the first that cannot be fetched ends the others."""
        shared = Resources()
        remaining = iter(files)

        def fetch_remaining() -> None:
            for file in remaining:  # each thread takes the next one
                self._fetch(file, shared)

        try:
            n_threads = min(FILES_AT_ONCE, len(files))
            futures = [shared.files.submit(fetch_remaining) for _ in range(n_threads)]
            wait_for_all(futures, shared.stop)
        finally:
            shared.close()

    def log_unverified(self) -> None:
        """Log once which files could be checked by their size only."""
        if self._unverified:
            logger.warning(
                "%d files were checked by their size only: the server states no digest (first: %s)",
                len(self._unverified),
                self._unverified[0].url,
            )

    def _fetch(self, file: RemoteFile, shared: Resources) -> None:
        """Fetch one file; once more from scratch where it does not match its digest.

        One that is not what it was when it was listed is refused: the job's record names what was
        listed, and the other files may be of what was there before.
        """
        if shared.stop.is_set():
            raise Stopped
        try:
            try:
                self._fetch_once(file, shared)
            except DigestMismatch as failure:
                logger.warning("%s %s; it is fetched again from the start", file.url, failure)
                self._fetch_once(file, shared)
        except ObjectChanged as error:
            raise SourceError(
                f"{file.url} changed while the job was fetching; run the job again when its upload "
                "is finished"
            ) from error
        except DigestMismatch as error:
            raise RecordingError(
                f"checksum of {file.url} {error}, twice; the stored file is damaged, or the "
                "network changes bytes: run the job again, and upload the file again if that "
                "does not help"
            ) from error

    def _fetch_once(self, file: RemoteFile, shared: Resources) -> None:
        if file.digest is None:
            file = _reload(file)
        final = self._folder / file.name
        if self._is_there(file, final):
            self._progress.count(file.size_bytes, 0)
        else:
            progress = FileProgress(self._progress)
            try:
                reader = ObjectReader(file, str(final), self._timeouts, shared.stop)
                self._verify(file, download_file(file, final, reader, shared, progress))
            except (ObjectChanged, DigestMismatch):
                progress.reset()
                raise

    def _is_there(self, file: RemoteFile, final: Path) -> bool:
        """Return whether an earlier download left the file complete; its digest shows that."""
        digest = file.digest
        there = self._present.get(final)
        if digest is None or there is None or there.st_size != file.size_bytes:
            return False
        return digest_of_file(final, digest) == digest.value

    def _verify(self, file: RemoteFile, downloaded: DownloadedFile) -> None:
        """Give the file its final name, or delete it and raise DigestMismatch."""
        digest, value = file.digest, downloaded.digest_value
        try:
            if digest is not None and value != digest.value:
                digest = _reload(file).digest  # the ETag of a listing may be no digest at all
                if digest is not None and digest != file.digest:
                    value = digest_of_file(downloaded.part.path, digest)
                if digest is not None and value != digest.value:
                    raise DigestMismatch(f"does not match: {value} came instead of {digest}")
        except (ObjectChanged, DigestMismatch):
            downloaded.part.discard()
            raise
        if digest is None:
            self._unverified.append(file)
        downloaded.part.finish()


def _reload(file: RemoteFile) -> RemoteFile:
    """Return the file with the digest that the server states. Raises ObjectChanged."""
    if file.reload_metadata is None:
        return file
    now = file.reload_metadata()
    if now.etag != file.etag:
        raise ObjectChanged
    return now
