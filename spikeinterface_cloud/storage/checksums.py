"""Digest algorithms of S3 and DANDI, each computed in parts that threads share.

A CRC of the whole object can be combined from those of its parts, and costs a hundredth of an
MD5: S3 keeps a CRC-64/NVME of every object that came without another checksum.
"""

import hashlib
from functools import reduce
from typing import Literal, Protocol

Algorithm = Literal["md5", "etag", "sha256", "crc32", "crc32c", "crc64nvme"]

#: bytes of each CRC that S3 knows
CRCS: dict[Algorithm, int] = {"crc32": 4, "crc32c": 4, "crc64nvme": 8}


class Hash(Protocol):
    """The part of hashlib's interface that is used here."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """Return the digest of all bytes."""


class Crc:
    """A CRC with the interface of a hashlib object."""

    def __init__(self, algorithm: Algorithm, value: int = 0, size_bytes: int = 0) -> None:
        from awscrt import checksums  # the laptop, which lists and reads small objects, has none

        self._algorithm = algorithm
        self._extend = getattr(checksums, algorithm)
        self._join = getattr(checksums, f"combine_{algorithm}")
        self._value = value
        self._size_bytes = size_bytes

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Add bytes."""
        self._value = self._extend(data, self._value)
        self._size_bytes += len(data)

    def digest(self) -> bytes:
        """Return the CRC, the highest byte first, as S3 writes it."""
        return self._value.to_bytes(CRCS[self._algorithm], "big")

    def followed_by(self, other: "Crc") -> "Crc":
        """Return the CRC of these bytes and then those of `other`."""
        value = self._join(self._value, other._value, other._size_bytes)
        return Crc(self._algorithm, value, self._size_bytes + other._size_bytes)


def new_hash(algorithm: Algorithm) -> Hash:
    """Return a fresh hash of one part."""
    if algorithm in CRCS:
        return Crc(algorithm)
    if algorithm == "sha256":
        return hashlib.sha256()
    return hashlib.md5(usedforsecurity=False)


def combine(parts: list[Hash], algorithm: Algorithm) -> str:
    """Return the digest of a file from those of its parts, in lower-case hexadecimal."""
    if algorithm == "etag":
        whole = hashlib.md5(b"".join(part.digest() for part in parts), usedforsecurity=False)
        return f"{whole.hexdigest()}-{len(parts)}"
    crcs = [part for part in parts if isinstance(part, Crc)]
    return (reduce(Crc.followed_by, crcs) if crcs else parts[0]).digest().hex()
