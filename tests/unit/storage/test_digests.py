"""Digests against figures that other programs have computed, and ranges that arrive in any
order."""

import hashlib
import random
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from dandischema.digests.dandietag import DandiETag

from spikeinterface_cloud.storage.checksums import Algorithm
from spikeinterface_cloud.storage.digests import (
    Digest,
    RunningDigest,
    checksum_digest,
    digest_of_bytes,
    digest_of_file,
    etag_digest,
    plain_etag,
)

KIB = 1024
DATA = random.Random(1).randbytes(100 * KIB + 7)


def etag_of(data: bytes, part_bytes: int) -> str:
    """The ETag of an upload in parts, by its definition."""
    parts = [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]
    digests = b"".join(hashlib.md5(part).digest() for part in parts)  # noqa: S324
    return f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"  # noqa: S324


def crc64nvme_of(data: bytes) -> str:
    """CRC-64/NVME bit by bit, by its definition."""
    value = 0xFFFF_FFFF_FFFF_FFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x9A6C_9329_AC4B_C9B5 if value & 1 else 0)
    return f"{value ^ 0xFFFF_FFFF_FFFF_FFFF:016x}"


EXPECTED: dict[Algorithm, Callable[[bytes], str]] = {
    "md5": lambda data: hashlib.md5(data).hexdigest(),  # noqa: S324
    "sha256": lambda data: hashlib.sha256(data).hexdigest(),
    "crc32": lambda data: f"{zlib.crc32(data):08x}",
    "crc64nvme": crc64nvme_of,
    "etag": lambda data: etag_of(data, 16 * KIB),
}


def like(algorithm: Algorithm) -> Digest:
    """A digest of that algorithm whose value does not matter."""
    part_size_bytes = None if algorithm in ("md5", "sha256") else 16 * KIB
    return Digest(algorithm=algorithm, value="", part_size_bytes=part_size_bytes)


@pytest.mark.parametrize("algorithm", EXPECTED)
def test_bytes_and_files_have_the_digest_of_the_definition(
    algorithm: Algorithm, tmp_path: Path
) -> None:
    file = tmp_path / "recording.bin"
    file.write_bytes(DATA)
    assert digest_of_bytes(DATA, like(algorithm)) == EXPECTED[algorithm](DATA)
    assert digest_of_file(file, like(algorithm)) == EXPECTED[algorithm](DATA)


def test_an_empty_file_has_a_digest() -> None:
    assert digest_of_bytes(b"", like("md5")) == "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [("crc32", "cbf43926"), ("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")],
)
def test_the_check_values_of_the_catalogue_of_crcs(algorithm: Algorithm, value: str) -> None:
    parts = Digest(algorithm=algorithm, value="", part_size_bytes=4)
    assert digest_of_bytes(b"123456789", parts) == value


@pytest.mark.parametrize("size_bytes", [1, 64 * KIB * KIB, 64 * KIB * KIB + 1])
def test_the_digest_in_parts_is_the_one_of_dandi(size_bytes: int, tmp_path: Path) -> None:
    file = tmp_path / "asset.nwb"
    with file.open("wb") as stream:
        stream.truncate(size_bytes)
    value = DandiETag.from_file(file).as_str()
    digest = etag_digest(value, size_bytes=size_bytes, part_size_bytes=64 * KIB * KIB)
    assert digest is not None
    assert digest_of_file(file, digest) == value


@pytest.mark.parametrize("algorithm", EXPECTED)
@pytest.mark.parametrize("range_bytes", [3 * KIB, 16 * KIB, 50 * KIB])
def test_ranges_in_any_order_from_many_threads_give_the_digest(
    algorithm: Algorithm, range_bytes: int, tmp_path: Path
) -> None:
    file = tmp_path / "recording.bin"
    file.write_bytes(bytes(len(DATA)))
    running = RunningDigest(
        file, size_bytes=len(DATA), range_bytes=range_bytes, spec=like(algorithm)
    )
    indices = list(range(-(-len(DATA) // range_bytes)))
    random.Random(2).shuffle(indices)

    def write(mine: list[int]) -> None:
        for index in mine:
            start = index * range_bytes
            with file.open("r+b") as stream:
                stream.seek(start)
                stream.write(DATA[start : start + range_bytes])
            running.range_written(index)

    threads = [threading.Thread(target=write, args=(indices[number::3],)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert running.value() == EXPECTED[algorithm](DATA)
    running.close()


def test_digest_with_a_missing_range_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "recording.bin"
    file.write_bytes(DATA)
    running = RunningDigest(file, size_bytes=len(DATA), range_bytes=16 * KIB, spec=like("md5"))
    running.range_written(1)
    with pytest.raises(ValueError, match="before all of the file is written"):
        running.value()
    running.close()


@pytest.mark.parametrize(
    ("etag", "size_bytes", "part_size_bytes", "algorithm"),
    [
        ("d41d8cd98f00b204e9800998ecf8427e", 0, None, "md5"),
        ("d41d8cd98f00b204e9800998ecf8427e-2", 10, 5, "etag"),
        ("d41d8cd98f00b204e9800998ecf8427e-2", 10, 6, "etag"),
        ("d41d8cd98f00b204e9800998ecf8427e-1", 10, 64, "etag"),
        ("d41d8cd98f00b204e9800998ecf8427e-2", 10, None, None),
        ("d41d8cd98f00b204e9800998ecf8427e-2", 10, 4, None),
        ("0x8DC5A2B7F3E1", 10, None, None),
        (None, 10, None, None),
    ],
)
def test_only_valid_etags_are_digests(
    etag: str | None, size_bytes: int, part_size_bytes: int | None, algorithm: str | None
) -> None:
    digest = etag_digest(etag, size_bytes=size_bytes, part_size_bytes=part_size_bytes)
    assert (digest and digest.algorithm) == algorithm


def test_quotes_and_weakness_are_stripped_from_an_etag() -> None:
    assert [plain_etag(text) for text in ('"a"', 'W/"a"', "a", None)] == ["a", "a", "a", None]


@pytest.mark.parametrize(
    ("etag", "kind", "trusted"),
    [
        ('"9b2cf535f27731c974343645a3985328"', None, True),
        ('"9b2cf535f27731c974343645a3985328-3"', None, False),
        ('"9b2cf535f27731c974343645a3985328-3"', "COMPOSITE", False),
        ('"9b2cf535f27731c974343645a3985328-3"', "FULL_OBJECT", True),
    ],
)
def test_only_whole_object_checksums_are_used(etag: str, kind: str | None, trusted: bool) -> None:
    headers = {"ETag": etag, "ChecksumCRC32": "y/Q5Jg=="} | ({"ChecksumType": kind} if kind else {})
    assert (checksum_digest(headers) is not None) == trusted
