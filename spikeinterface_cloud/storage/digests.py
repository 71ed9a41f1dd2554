"""Digests of files, as S3 and DANDI state them, and computed from the bytes that arrived.

An S3 ETag is the MD5 of an object that was uploaded in one piece, and the MD5 of its parts' MD5s,
followed by `-` and the number of parts, of one that was uploaded in parts. DANDI's own digest of an
asset is the latter, with parts of 64 MiB. An object that is encrypted with a key of KMS or of the
customer has an ETag that says nothing about its bytes.
"""

import base64
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeinterface_cloud.storage.checksums import CRCS, Algorithm, Hash, combine, new_hash

#: bytes read from a file at once while hashing: small enough for a processor's cache
BLOCK_BYTES = 256 * 1024

#: what a CRC is computed in, so that several threads can, in any order
CRC_PART_BYTES = 8 * 1024 * 1024

#: those that S3 states besides an ETag, as the headers name them, the cheapest first
CHECKSUMS: tuple[Algorithm, ...] = ("crc64nvme", "crc32c", "crc32", "sha256")

MD5_HEX = re.compile(r"[0-9a-f]{32}")
MULTIPART_ETAG = re.compile(r"[0-9a-f]{32}-(?P<parts>[1-9][0-9]*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Digest:
    """A digest that the bytes of a file must have."""

    #: `etag` is the digest of an upload in parts
    algorithm: Algorithm
    #: lower-case hexadecimal, with `-<number of parts>` after that of an upload in parts
    value: str
    #: of every part but the last; None where the whole can only be hashed in one go
    part_size_bytes: int | None = None

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value}"


def plain_etag(etag: str | None) -> str | None:
    """Return an ETag without its quotes or its mark of weakness.

    >>> plain_etag('W/"abc"'), plain_etag(None)
    ('abc', None)
    """
    return etag.removeprefix("W/").strip('"') if etag else None


def number_of_parts(etag: str | None) -> int | None:
    """Return how many parts an ETag says the object was uploaded in; None for a whole upload.

    >>> number_of_parts("9b2cf535f27731c974343645a3985328-3")
    3
    >>> number_of_parts("9b2cf535f27731c974343645a3985328")
    """
    found = MULTIPART_ETAG.fullmatch(etag or "")
    return int(found["parts"]) if found else None


def etag_digest(etag: str | None, *, size_bytes: int, part_size_bytes: int | None) -> Digest | None:
    """Return the digest that an ETag stands for.

    None where it cannot be one, or where its parts cannot be of that size.
    """
    if etag is not None and MD5_HEX.fullmatch(etag):
        return Digest(algorithm="md5", value=etag)
    parts = number_of_parts(etag)
    if etag is None or parts is None or not part_size_bytes:
        return None
    if max(1, -(-size_bytes // part_size_bytes)) != parts:
        return None
    return Digest(algorithm="etag", value=etag, part_size_bytes=part_size_bytes)


def checksum_digest(headers: Mapping[str, Any]) -> Digest | None:
    """Return the checksum of the whole object that boto3's answer to a HEAD states, or None.

    One of an upload in parts may cover only the parts' checksums, and is of no use here unless it
    says that it covers the whole object: servers that only resemble S3 do not say.
    """
    in_parts = number_of_parts(plain_etag(headers.get("ETag"))) is not None
    if headers.get("ChecksumType", "COMPOSITE" if in_parts else "FULL_OBJECT") != "FULL_OBJECT":
        return None
    for algorithm in CHECKSUMS:
        value = headers.get(f"Checksum{algorithm.upper()}")
        if value and "-" not in value:
            return Digest(
                algorithm=algorithm,
                value=base64.b64decode(value).hex(),
                part_size_bytes=CRC_PART_BYTES if algorithm in CRCS else None,
            )
    return None


def digest_of_bytes(data: bytes | memoryview, spec: Digest) -> str:
    """Return the value that `data` has by the algorithm of `spec`."""
    view = memoryview(data)
    parts = []
    for start, end in part_bounds(len(view), spec):
        part = new_hash(spec.algorithm)
        part.update(view[start:end])
        parts.append(part)
    return combine(parts, spec.algorithm)


def digest_of_file(file: Path, spec: Digest) -> str:
    """Return the value that the bytes of `file` have by the algorithm of `spec`."""
    parts = []
    with file.open("rb", buffering=0) as stream:
        for start, end in part_bounds(file.stat().st_size, spec):
            part = new_hash(spec.algorithm)
            hash_range(stream.fileno(), start, end, part)
            parts.append(part)
    return combine(parts, spec.algorithm)


def part_bounds(size_bytes: int, spec: Digest) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the parts that are hashed separately; an empty file has one part."""
    part_size_bytes = spec.part_size_bytes or max(size_bytes, 1)
    for start in range(0, max(size_bytes, 1), part_size_bytes):
        yield start, min(start + part_size_bytes, size_bytes)


def hash_range(descriptor: int, start: int, end: int, into: Hash) -> None:
    """Feed the bytes from `start` to `end` of an open file to a hash, block by block."""
    block = memoryview(bytearray(BLOCK_BYTES))
    while start < end:
        count = os.preadv(descriptor, [block[: end - start]], start)
        if count == 0:
            raise EOFError(f"a file ended at byte {start}, before its recorded size of {end}")
        into.update(block[:count])
        start += count


@dataclass(kw_only=True, slots=True)
class _Part:
    """One part: how far it is hashed, and whether a thread is hashing it."""

    position: int
    end: int
    hash: Hash
    busy: bool = False


class RunningDigest:
    """The digest of a file while its ranges are written in any order, computed up to the first gap.

    A part that is one range may be hashed by its writer. Ranges of other parts are read back from
    the page cache, so that nothing is held in memory until its turn comes. Threads may report
    ranges at the same time; one of them at a time hashes a part, and hashlib releases the GIL.
    """

    def __init__(self, file: Path, *, size_bytes: int, range_bytes: int, spec: Digest) -> None:
        self._descriptor = os.open(file, os.O_RDONLY)
        self._range_bytes = range_bytes
        self._size_bytes = size_bytes
        self._spec = spec
        self._written = bytearray(-(-size_bytes // range_bytes))
        self._lock = threading.Lock()
        self._parts = [
            _Part(position=start, end=end, hash=new_hash(spec.algorithm))
            for start, end in part_bounds(size_bytes, spec)
        ]

    def close(self) -> None:
        """Close the file; nothing can be reported after this."""
        os.close(self._descriptor)

    def hash_of_range(self) -> Hash | None:
        """Return a fresh hash for the writer of a range, which passes it to `range_hashed`.

        None where a range is not a part of its own.
        """
        if self._spec.part_size_bytes != self._range_bytes:
            return None
        return new_hash(self._spec.algorithm)

    def range_hashed(self, index: int, hashed: Hash) -> None:
        """Note that range `index` is in the file, and what its bytes add up to."""
        part = self._parts[index]
        part.hash = hashed
        part.position = part.end

    def range_written(self, index: int) -> None:
        """Note that range `index` is in the file, and hash what that has closed the gap to."""
        part_bytes = self._spec.part_size_bytes or self._size_bytes
        start = index * self._range_bytes
        end = min(start + self._range_bytes, self._size_bytes)
        with self._lock:
            self._written[index] = 1
        for number in range(start // part_bytes, -(-end // part_bytes)):
            self._advance(self._parts[number])

    def value(self) -> str:
        """Return the digest; every range must have been reported and every report returned."""
        if any(part.position < part.end for part in self._parts):
            raise ValueError("the digest is not complete before all of the file is written")
        return combine([part.hash for part in self._parts], self._spec.algorithm)

    def _advance(self, part: _Part) -> None:
        with self._lock:
            if part.busy:
                return
            part.busy = True
        while True:
            with self._lock:
                reach = self._reach(part)
                if reach == part.position:
                    part.busy = False
                    return
            hash_range(self._descriptor, part.position, reach, part.hash)
            part.position = reach

    def _reach(self, part: _Part) -> int:
        gap = self._written.find(0, part.position // self._range_bytes)
        return part.end if gap < 0 else max(part.position, min(gap * self._range_bytes, part.end))
