"""One file on its way from the network to its temporary name, hashed as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from spikeinterface_cloud.digests import RunningDigest, digest_of_bytes
from spikeinterface_cloud.event_loop import first_error
from spikeinterface_cloud.part_file import PartFile
from spikeinterface_cloud.progress import Share
from spikeinterface_cloud.ranges import (
    ObjectChanged,
    ObjectReader,
    RangesNotSupported,
)
from spikeinterface_cloud.remote import RemoteFile
from spikeinterface_cloud.retries import PassingFailure

Result = TypeVar("Result")

MIB = 1024 * 1024

#: What one request of a large file asks for: long enough that the wait for its first byte hardly
#: counts.
RANGE_BYTES = 8 * MIB

#: Requests at once. Together they hold at most 12 x 8 MiB + 32 x 1 MiB = 128 MiB, whatever is
#: fetched.
LARGE_AT_ONCE = 12
SMALL_AT_ONCE = 32
SMALL_BYTES = MIB

#: blocks of a stream, for servers that do not answer ranges
BLOCK_BYTES = 2 * MIB


class Resources:
    """What the files of one transfer share: slots for requests, and threads for the disk and for
    hashing."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._small = asyncio.Semaphore(SMALL_AT_ONCE)
        self._disk = ThreadPoolExecutor(4, thread_name_prefix="disk")
        self._hashing = ThreadPoolExecutor(4, thread_name_prefix="hash")

    def slot(self, size_bytes: int) -> asyncio.Semaphore:
        """The slots that a request of that size waits for."""
        return self._small if size_bytes <= SMALL_BYTES else self._large

    def disk(self, action: Callable[[], Result]) -> asyncio.Future[Result]:
        """Do something to a file in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._disk, action)

    def hashing(self, action: Callable[[], Result]) -> asyncio.Future[Result]:
        """Hash something in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._hashing, action)

    def close(self) -> None:
        """End the threads, when they have done what they are at."""
        self._disk.shutdown(cancel_futures=True)
        self._hashing.shutdown(cancel_futures=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Landed:
    """A complete file that still has its temporary name."""

    part: PartFile
    #: by the algorithm of the file's digest; None when the file has none
    digest_value: str | None


async def land(
    file: RemoteFile, final: Path, reader: ObjectReader, shared: Resources, share: Share
) -> Landed:
    """Fetch all of `file` beside its final name.

    Raises ObjectChanged, SourceError, TransferError, or UnavailableError when the disk is full;
    what has arrived of a large file stays for the next attempt.
    """
    part = PartFile(final, size_bytes=file.size_bytes, range_bytes=RANGE_BYTES)
    if file.size_bytes <= RANGE_BYTES:
        return await _land_whole(file, part, reader, shared, share)
    return await _LargeFile(file, part, reader, shared, share).land()


async def _land_whole(
    file: RemoteFile, part: PartFile, reader: ObjectReader, shared: Resources, share: Share
) -> Landed:
    def write(data: memoryview) -> str | None:
        part.write_whole(data)
        return digest_of_bytes(data, file.digest) if file.digest else None

    if file.size_bytes == 0:
        return Landed(part=part, digest_value=await shared.disk(lambda: write(memoryview(b""))))
    async with shared.slot(file.size_bytes):
        data = await reader.read(0, file.size_bytes)
        value = await shared.disk(lambda: write(memoryview(data)))
    share.advance(file.size_bytes)
    return Landed(part=part, digest_value=value)


class _LargeFile:
    """A file that is fetched in ranges, or as one stream where the server does not answer them."""

    def __init__(
        self,
        file: RemoteFile,
        part: PartFile,
        reader: ObjectReader,
        shared: Resources,
        share: Share,
    ) -> None:
        self._file = file
        self._part = part
        self._reader = reader
        self._shared = shared
        self._share = share
        self._ranges = -(-file.size_bytes // RANGE_BYTES)
        self._streamed = 0
        self._digest: RunningDigest | None = None
        self._hashed: list[asyncio.Future[None]] = []

    async def land(self) -> Landed:
        """Fetch what is missing of the file, and leave it there, resumable, when that fails."""
        file = self._file
        identity = file.etag or (file.digest.value if file.digest else None)
        try:
            done = await self._shared.disk(partial(self._part.open, identity))
            if file.digest is not None:
                self._digest = RunningDigest(
                    self._part.path,
                    size_bytes=file.size_bytes,
                    range_bytes=RANGE_BYTES,
                    like=file.digest,
                )
            await self._fetch(done)
            await asyncio.gather(*self._hashed)
            return Landed(
                part=self._part, digest_value=self._digest.value() if self._digest else None
            )
        except ObjectChanged:
            self._part.discard()
            raise
        finally:
            self._part.close()
            if self._digest is not None:
                await asyncio.gather(*self._hashed, return_exceptions=True)
                self._digest.close()

    async def _fetch(self, done: Sequence[int]) -> None:
        """Fetch what is missing: one range first, which tells whether the server answers ranges,
        then the others."""
        for index in done:
            start, end = self._bounds(index)
            self._share.skip(end - start)
            self._hash(index)
        missing = iter(sorted(set(range(self._ranges)) - set(done)))
        try:
            if (first := next(missing, None)) is not None:
                await self._fetch_range(first)
        except RangesNotSupported:
            await self._reader.persist(self._stream)
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(LARGE_AT_ONCE):
                    tasks.create_task(self._fetch_ranges(missing))
        except BaseExceptionGroup as group:
            raise first_error(group) from None

    async def _fetch_ranges(self, indices: Iterator[int]) -> None:
        for index in indices:
            await self._fetch_range(index)

    async def _fetch_range(self, index: int) -> None:
        start, end = self._bounds(index)
        async with self._shared.slot(RANGE_BYTES):
            data = await self._reader.read(start, end)
            await self._store(start, memoryview(data), range(index, index + 1))

    async def _stream(self) -> None:
        """Fetch the whole file in one request, the next block on its way while the last one is
        written."""
        position = 0
        writing: asyncio.Task[None] | None = None
        async with self._shared.slot(RANGE_BYTES):
            result = await self._reader.open(0, self._file.size_bytes)
            try:
                async for block in result.stream(BLOCK_BYTES):
                    if writing:
                        await writing
                    writing = asyncio.create_task(self._store_block(position, block))
                    position += len(block)
            finally:
                if writing:
                    await writing
        if position != self._file.size_bytes:
            raise PassingFailure(f"{position} bytes came instead of {self._file.size_bytes}")

    async def _store_block(self, start: int, block: bytes) -> None:
        """Write a block of a stream, and count the ranges that it completes, unless an earlier
        attempt did."""
        end = start + len(block)
        reached = self._ranges if end == self._file.size_bytes else end // RANGE_BYTES
        completed = range(self._streamed, max(self._streamed, reached))
        await self._store(start, memoryview(block), completed)
        self._streamed = completed.stop

    async def _store(self, start: int, data: memoryview, completed: range) -> None:
        """Write `data`, which completes those ranges, and let them be hashed while the transfer
        goes on."""

        def write() -> None:
            self._part.write(start, data)
            for index in completed:
                self._part.range_written(index)

        await self._shared.disk(write)
        for index in completed:
            range_start, range_end = self._bounds(index)
            self._share.advance(range_end - range_start)
            self._hash(index)

    def _hash(self, index: int) -> None:
        if self._digest is not None:
            self._hashed.append(self._shared.hashing(partial(self._digest.range_written, index)))

    def _bounds(self, index: int) -> tuple[int, int]:
        start = index * RANGE_BYTES
        return start, min(start + RANGE_BYTES, self._file.size_bytes)
