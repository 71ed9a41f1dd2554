"""Sending files to S3: many at a time, each checked against what S3 says it has stored.

At most some 130 MiB are in memory: two large files with 4 parts of 8 MiB under way each, and about
as much again that obstore holds of them. Parts grow only for files above 78 GiB.
"""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError

from spikeinterface_cloud.aws_errors import refuse
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import SourceError, TargetError, TransferError
from spikeinterface_cloud.storage.checksums import Hash, combine, new_hash
from spikeinterface_cloud.storage.digests import (
    Digest,
    digest_of_bytes,
    digest_of_file,
    plain_etag,
)
from spikeinterface_cloud.storage.event_loop import first_error, run_coroutine
from spikeinterface_cloud.storage.progress import FileProgress, Progress
from spikeinterface_cloud.storage.retries import (
    NO_CREDENTIALS,
    TransientError,
    error_name,
    final_status,
    first_line,
    persist_async,
)
from spikeinterface_cloud.storage.s3 import Storage

logger = logging.getLogger(__name__)

MIB = 1024 * 1024

PART_BYTES = 8 * MIB
PARTS_AT_ONCE = 4
LARGE_AT_ONCE = 2
SMALL_BYTES = MIB
SMALL_AT_ONCE = 32

#: S3 takes no more parts than this for one object
MOST_PARTS = 10_000


class StoredDifferently(Exception):
    """What S3 has stored is not what the file holds."""


def upload(
    files: Sequence[tuple[Path, S3Location]], storage: Storage, *, progress_interval_s: float = 30
) -> int:
    """Send each file to its location and return the bytes sent.

    Raises TargetError (no bucket, denied), TransferError (the network, or an object that does not
    match its file twice).
    """
    total_bytes = sum(file.stat().st_size for file, _ in files)
    with Progress("upload", total_bytes, interval_s=progress_interval_s) as progress:
        run_coroutine(_Upload(storage, progress).run(files))
    return total_bytes


class _Upload:
    """One call of `upload`."""

    def __init__(self, storage: Storage, progress: Progress) -> None:
        self._pace = _Pace(storage)
        self._progress = progress
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._small = asyncio.Semaphore(SMALL_AT_ONCE)

    async def run(self, files: Sequence[tuple[Path, S3Location]]) -> None:
        """Send all files; the first that cannot be sent ends the others."""
        waiting = iter(files)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(SMALL_AT_ONCE + LARGE_AT_ONCE, len(files))):
                    tasks.create_task(self._send_each(waiting))
        except BaseExceptionGroup as group:
            raise first_error(group) from None

    async def _send_each(self, waiting: Iterator[tuple[Path, S3Location]]) -> None:
        for file, location in waiting:
            size_bytes = file.stat().st_size
            async with self._small if size_bytes <= SMALL_BYTES else self._large:
                await self._send(file, location)

    async def _send(self, file: Path, location: S3Location) -> None:
        """Send one file; once more when S3 has stored something else."""
        sending = _Sending(file, location, self._pace, FileProgress(self._progress))
        try:
            await sending.send()
        except StoredDifferently:
            logger.warning("%s was not stored as it is in %s; it is sent again", location, file)
            try:
                await sending.send()
            except StoredDifferently as error:
                raise TransferError(
                    "upload",
                    str(file),
                    str(location),
                    "what was stored differs from the file, twice",
                ) from error


class _Pace:
    """The storage that files are sent to, patient enough for the uplink.

    obstore counts a silence from a request's first byte to its answer, however steadily the bytes
    move: on a slow uplink a part needs longer than a stalled connection is given.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._lock = threading.Lock()

    def slow_down(self, used: Storage) -> None:
        """Give requests twice the time, once for all that were cut while they used `used`."""
        patience = used.patience
        longer = replace(patience, stall_s=min(2 * patience.stall_s, patience.give_up_s))
        with self._lock:
            if self.storage is used and longer.stall_s > patience.stall_s:
                self.storage = used.with_patience(longer)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sent:
    """What the request that stored a file has told."""

    size_bytes: int
    #: computed here from the bytes that were sent
    expected: Digest
    #: as S3 answered, without quotes
    etag: str | None


class _Sending:
    """One file on its way to S3."""

    def __init__(self, file: Path, location: S3Location, pace: _Pace, share: FileProgress) -> None:
        self._file = file
        self._location = location
        self._pace = pace
        self._storage = pace.storage
        self._share = share

    async def send(self) -> None:
        """Send the file and make sure that it was stored as it is. Raises StoredDifferently."""
        try:
            sent = await persist_async(self._attempt, self._storage.patience, str(self._location))
        except TransientError as error:
            raise TransferError(
                "upload", str(self._file), str(self._location), str(error)
            ) from error
        if sent.etag != sent.expected.value and not await asyncio.to_thread(self._is_stored, sent):
            self._share.reset()
            raise StoredDifferently

    async def _attempt(self) -> _Sent:
        self._share.reset()
        self._storage = self._pace.storage
        size_bytes = self._file.stat().st_size
        started = time.monotonic()
        try:
            if size_bytes <= PART_BYTES:
                return await self._put_whole()
            return await self._put_parts(size_bytes)
        except TransientError:
            if time.monotonic() - started >= self._storage.patience.stall_s:
                await asyncio.to_thread(self._pace.slow_down, self._storage)
            raise

    async def _put_whole(self) -> _Sent:
        data = await asyncio.to_thread(self._file.read_bytes)
        value = digest_of_bytes(data, Digest(algorithm="md5", value=""))
        etag = await self._put(data, chunk_bytes=None)
        self._share.advance(len(data))
        return _Sent(size_bytes=len(data), expected=Digest(algorithm="md5", value=value), etag=etag)

    async def _put_parts(self, size_bytes: int) -> _Sent:
        """Send the file in parts that are hashed as they are read."""
        part_bytes = max(PART_BYTES, -(-size_bytes // MOST_PARTS))
        hashes: list[Hash] = []

        async def parts() -> AsyncIterator[bytes]:
            with self._file.open("rb") as stream:
                while part := await asyncio.to_thread(_read_hashed, stream, part_bytes, hashes):
                    yield part
                    self._share.advance(len(part))

        etag = await self._put(parts(), chunk_bytes=part_bytes)
        like = Digest(algorithm="etag", value="", part_size_bytes=part_bytes)
        expected = replace(like, value=combine(hashes, like.algorithm))
        return _Sent(size_bytes=size_bytes, expected=expected, etag=etag)

    async def _put(
        self, source: bytes | AsyncIterator[bytes], *, chunk_bytes: int | None
    ) -> str | None:
        """One put; return the ETag that S3 answers."""
        store = await asyncio.to_thread(self._storage.target_store, self._location.bucket)
        content_type = mimetypes.guess_type(self._file.name)[0] or "application/octet-stream"
        try:
            result = await obstore.put_async(
                store,
                self._location.key,
                source,
                attributes={"Content-Type": content_type},
                use_multipart=chunk_bytes is not None,
                chunk_size=chunk_bytes or PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
        except (BaseError, FileNotFoundError) as error:
            raise translate(error, self._location) from error
        return plain_etag(result["e_tag"])

    def _is_stored(self, sent: _Sent) -> bool:
        """Ask S3 what it holds, where its answer was not the expected ETag, as with some
        encryption."""
        try:
            stored = self._storage.stored_digest(self._location)
            if stored is not None:
                return digest_of_file(self._file, stored) == stored.value
            return self._storage.head(self._location).size_bytes == sent.size_bytes
        except SourceError as error:
            logger.warning("%s could not be checked after its upload: %s", self._location, error)
            return True


def _read_hashed(stream: BinaryIO, size_bytes: int, hashes: list[Hash]) -> bytes:
    """The next part of a file, its MD5 appended to `hashes`; nothing at the end of the file."""
    part = stream.read(size_bytes)
    if part:
        hashes.append(new_hash("md5"))
        hashes[-1].update(part)
    return part


def translate(error: Exception, location: S3Location) -> Exception:
    """What an error of obstore means to an upload."""
    name = error_name(error)
    if name == "NoSuchUpload":  # it was completed, or given up, by a request whose answer was lost
        return TransientError("the upload in parts is not there any more")
    if NO_CREDENTIALS in str(error):
        return TransientError(first_line(error))
    if isinstance(error, FileNotFoundError):
        return refuse("NoSuchBucket", "write", location, TargetError)
    if final_status(error) is None:
        return TransientError(first_line(error))
    return refuse(name, "write", location, TargetError)
