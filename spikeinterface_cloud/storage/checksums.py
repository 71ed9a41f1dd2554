"""The algorithms that S3 and DANDI state digests by, each hashed in parts that threads share.

A CRC of the whole object can be put together from those of its parts, and costs a hundredth of an
MD5: S3 keeps a CRC-64/NVME of every object that came without another checksum.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Literal, Protocol

from awscrt import checksums

Algorithm = Literal["md5", "etag", "sha256", "crc32", "crc32c", "crc64nvme"]


class Hash(Protocol):
    """What hashlib's objects can do, as far as it is needed here."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class CrcKind:
    """One of the CRCs of S3."""

    n_bytes: int
    #: the CRC of bytes that follow those of an earlier CRC
    extend: Callable[[bytes | bytearray | memoryview, int], int]
    #: the CRC of two pieces, from theirs and the second one's size in bytes
    join: Callable[[int, int, int], int]


CRCS: dict[Algorithm, CrcKind] = {
    "crc32": CrcKind(n_bytes=4, extend=checksums.crc32, join=checksums.combine_crc32),
    "crc32c": CrcKind(n_bytes=4, extend=checksums.crc32c, join=checksums.combine_crc32c),
    "crc64nvme": CrcKind(n_bytes=8, extend=checksums.crc64nvme, join=checksums.combine_crc64nvme),
}


class Crc:
    """A CRC with the manners of a hashlib object."""

    def __init__(self, kind: CrcKind, value: int = 0, size_bytes: int = 0) -> None:
        self._kind = kind
        self._value = value
        self._size_bytes = size_bytes

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take in more bytes."""
        self._value = self._kind.extend(data, self._value)
        self._size_bytes += len(data)

    def digest(self) -> bytes:
        """The highest byte first, as S3 writes them."""
        return self._value.to_bytes(self._kind.n_bytes, "big")

    def followed_by(self, other: "Crc") -> "Crc":
        """The CRC of these bytes and then those of `other`."""
        value = self._kind.join(self._value, other._value, other._size_bytes)
        return Crc(self._kind, value, self._size_bytes + other._size_bytes)


def new_hash(algorithm: Algorithm) -> Hash:
    """A fresh hash of one part."""
    if algorithm in CRCS:
        return Crc(CRCS[algorithm])
    if algorithm == "sha256":
        return hashlib.sha256()
    return hashlib.md5(usedforsecurity=False)


def combine(parts: list[Hash], algorithm: Algorithm) -> str:
    """The digest of a file from those of its parts, in lower-case hexadecimal."""
    if algorithm == "etag":
        whole = hashlib.md5(b"".join(part.digest() for part in parts), usedforsecurity=False)
        return f"{whole.hexdigest()}-{len(parts)}"
    crcs = [part for part in parts if isinstance(part, Crc)]
    return (reduce(Crc.followed_by, crcs) if crcs else parts[0]).digest().hex()
