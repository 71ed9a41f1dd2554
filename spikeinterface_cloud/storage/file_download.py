"""Download of one file to its temporary name, hashed as it arrives."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spikeinterface_cloud.runtime.host import boot_id
from spikeinterface_cloud.storage.checksums import Hash
from spikeinterface_cloud.storage.digests import RunningDigest, digest_of_bytes
from spikeinterface_cloud.storage.partial_file import PartFile
from spikeinterface_cloud.storage.progress import FileProgress
from spikeinterface_cloud.storage.range_reader import ObjectChanged, ObjectReader
from spikeinterface_cloud.storage.remote_file import RemoteFile
from spikeinterface_cloud.storage.thread_pool import Stopped, Threads, wait_for_all

MIB = 1024 * 1024

#: What one request of a large file asks for: long enough that the wait for its first byte hardly
#: counts, short enough that little is fetched twice after a break.
RANGE_BYTES = 8 * MIB

#: Files up to this size are held in memory; of larger ones a block or two of each request is.
SMALL_BYTES = MIB

#: Files at once, each with one request while it is small; and requests at once for the ranges of
#: all large ones together.
FILES_AT_ONCE = 32
RANGES_AT_ONCE = 12


class Resources:
    """What the files of one transfer share: threads, and the event that stops them."""

    def __init__(self) -> None:
        self.files = Threads(FILES_AT_ONCE, "fetch")
        self.ranges = Threads(RANGES_AT_ONCE, "range")
        self.hashing = Threads(4, "hash")
        self.stop = threading.Event()

    def close(self) -> None:
        """Stop what is under way, and end the threads."""
        self.stop.set()
        for threads in (self.files, self.ranges, self.hashing):
            threads.end()


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadedFile:
    """A complete file, which may still have its temporary name."""

    part: PartFile
    #: by the algorithm of the file's digest; None when the file has none
    digest_value: str | None


def download_file(
    file: RemoteFile, final: Path, reader: ObjectReader, shared: Resources, progress: FileProgress
) -> DownloadedFile:
    """Fetch all of `file` beside its final name.

    Raises ObjectChanged, SourceError, TransferError, UnavailableError when the disk is full, or
    Stopped; what has arrived of a large file stays for the next attempt.
    """
    part = PartFile(final, size_bytes=file.size_bytes, range_bytes=RANGE_BYTES)
    if file.size_bytes <= SMALL_BYTES:
        return _download_small(file, part, reader, progress)
    return _LargeFile(file, part, reader, shared, progress).download()


def _download_small(
    file: RemoteFile, part: PartFile, reader: ObjectReader, progress: FileProgress
) -> DownloadedFile:
    data = memoryview(reader.read_whole() if file.size_bytes else b"")
    part.write_whole(data)
    value = digest_of_bytes(data, file.digest) if file.digest else None
    if file.digest is not None and value == file.digest.value:
        part.finish()
    progress.advance(file.size_bytes)
    return DownloadedFile(part=part, digest_value=value)


class HashingWriter:
    """Writes a range into the file, and hashes it where ranges are parts of the digest."""

    def __init__(
        self, part: PartFile, start: int, digest: RunningDigest | None, failed: threading.Event
    ) -> None:
        self._part = part
        self._start = start
        self._digest = digest
        self._failed = failed
        self.hash: Hash | None = None

    def write(self, start: int, block: bytes) -> None:
        """Write the next block; a range that failed starts again with its first one.

        Raises Stopped once another range of the file has failed.
        """
        if self._failed.is_set():
            raise Stopped
        if start == self._start:
            self.hash = self._digest.hash_of_range() if self._digest else None
        self._part.write(start, block)
        if self.hash is not None:
            self.hash.update(block)


def _identity(file: RemoteFile) -> str | None:
    """Return which object a range is of, for the next attempt; None where that is unknown.

    Without a digest it is valid until the machine restarts: bytes may not have reached the disk.
    """
    if file.digest is not None:
        return file.etag or file.digest.value
    return f"{file.etag} {boot_id()}" if file.etag else None


class _LargeFile:
    """A file that is fetched in ranges."""

    def __init__(
        self,
        file: RemoteFile,
        part: PartFile,
        reader: ObjectReader,
        shared: Resources,
        progress: FileProgress,
    ) -> None:
        self._file = file
        self._part = part
        self._reader = reader
        self._shared = shared
        self._progress = progress
        self._ranges = -(-file.size_bytes // RANGE_BYTES)
        self._digest: RunningDigest | None = None
        self._hashed: list[Future[None]] = []

    def download(self) -> DownloadedFile:
        """Fetch what is missing of the file, and leave it there, resumable, when that fails."""
        file = self._file
        try:
            done = self._part.open(_identity(file))
            if file.digest is not None:
                self._digest = RunningDigest(
                    self._part.path,
                    size_bytes=file.size_bytes,
                    range_bytes=RANGE_BYTES,
                    spec=file.digest,
                )
            self._fetch(done)
            for hashed in self._hashed:
                hashed.result()
            return DownloadedFile(
                part=self._part, digest_value=self._digest.value() if self._digest else None
            )
        except ObjectChanged:
            self._part.discard()
            raise
        finally:
            self._part.close()
            if self._digest is not None:
                wait(self._hashed)
                self._digest.close()

    def _fetch(self, done: Sequence[int]) -> None:
        """Fetch what is missing: one range first, which shows whether the server allows it."""
        for index in done:
            start, end = self._bounds(index)
            self._progress.skip(end - start)
            self._hash(index)
        missing = sorted(set(range(self._ranges)) - set(done))
        self._fetch_ranges(missing[:1])
        self._fetch_ranges(missing[1:])

    def _fetch_ranges(self, indices: Sequence[int]) -> None:
        """Fetch these ranges; none is under way when this ends, as the file is closed then."""
        failed = threading.Event()
        futures = [
            self._shared.ranges.submit(partial(self._fetch_range, index, failed))
            for index in indices
        ]
        try:
            wait_for_all(futures, failed)
        finally:
            wait(futures)

    def _fetch_range(self, index: int, failed: threading.Event) -> None:
        start, end = self._bounds(index)
        writer = HashingWriter(self._part, start, self._digest, failed)
        self._reader.read_range(start, end, writer.write)
        self._part.range_written(index)
        self._progress.advance(end - start)
        if self._digest is not None and writer.hash is not None:
            self._digest.range_hashed(index, writer.hash)
        else:
            self._hash(index)

    def _hash(self, index: int) -> None:
        if self._digest is not None:
            self._hashed.append(
                self._shared.hashing.submit(partial(self._digest.range_written, index))
            )

    def _bounds(self, index: int) -> tuple[int, int]:
        start = index * RANGE_BYTES
        return start, min(start + RANGE_BYTES, self._file.size_bytes)
