"""Downloads from real servers, over connections that break."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import re
import resource
import signal
import subprocess
import sys
import termios
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

import obstore
import obstore.store
import pytest

from spikeinterface_cloud.connection import Patience
from spikeinterface_cloud.digests import Digest
from spikeinterface_cloud.errors import (
    RecordingError,
    SourceError,
    TransferError,
    UnavailableError,
)
from spikeinterface_cloud.location import S3Location
from spikeinterface_cloud.remote import RemoteFile, http_file, s3_files
from spikeinterface_cloud.storage import Storage, StoredObject
from spikeinterface_cloud.transfer import Downloaded, download
from tests.fault_proxy import Fault, FaultProxy, Request
from tests.servers import S3Server, access_to, client_of, free_port

pytestmark = pytest.mark.integration

MIB = 1024 * 1024

#: what landing.py asks for at once; a file of four ranges
RANGE = 8 * MIB
LARGE = random.Random(3).randbytes(3 * RANGE + 1234)

IMPATIENT = Patience(connect_s=1, stall_s=0.5, give_up_s=2, longest_wait_s=0.2)


#: as a request asks for it
LAST_RANGE = f"bytes={3 * RANGE}-{len(LARGE) - 1}"


def _is_last_range(request: Request) -> bool:
    """Also when obstore asks for the rest of it, after a break."""
    return request.range is not None and request.range.endswith(f"-{len(LARGE) - 1}")


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()  # noqa: S324


def put(server: S3Server, bucket: str, name: str, data: bytes) -> None:
    server.client.put_object(Bucket=bucket, Key=f"raw/{name}", Body=data)


def files_of(url: str, bucket: str) -> list[RemoteFile]:
    """The files of the folder `raw`, with little patience."""
    storage = Storage(access_to(url), patience=IMPATIENT)
    folder = S3Location(bucket=bucket, key="raw")
    return s3_files(storage, storage.list_objects(folder), folder)


def fetch(url: str, bucket: str, folder: Path) -> Downloaded:
    return download(files_of(url, bucket), folder, patience=IMPATIENT)


def leftovers(folder: Path) -> list[str]:
    """The names of unfinished files and their records."""
    return sorted(path.name for path in folder.rglob("*.part*"))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# What arrives


def test_a_folder_arrives_with_its_tree(moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    expected = {
        "session_g0_t0.imec0.ap.bin": LARGE,
        "exactly two ranges.bin": LARGE[: 2 * RANGE],
        "sub/deeper/é x+#%&=.meta": b"fileTimeSecs=1",
        "sub/empty": b"",
    }
    for name, data in expected.items():
        put(moto_s3, bucket, name, data)
    got = fetch(moto_s3.url, bucket, tmp_path / "new" / "source")
    assert tree(tmp_path / "new" / "source") == expected
    assert got.size_bytes == got.moved_bytes == sum(map(len, expected.values()))
    assert {path.name for path in got.files} == {name.rpartition("/")[2] for name in expected}


def test_a_large_file_comes_in_ranges_at_the_same_time(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    fetch(proxied_s3.url, bucket, tmp_path)
    starts = [range(0, len(LARGE), RANGE)[number] for number in range(4)]
    assert {request.range for request in proxied_s3.reads()} == {
        f"bytes={start}-{min(start + RANGE, len(LARGE)) - 1}" for start in starts
    }
    assert proxied_s3.counts.sent_bytes - len(LARGE) < 10_000


def test_many_small_files_need_one_request_each(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    for number in range(200):
        put(moto_s3, bucket, f"{number % 7}/{number}", str(number).encode())
    fetch(proxied_s3.url, bucket, tmp_path)
    assert len(tree(tmp_path)) == 200
    assert len(proxied_s3.reads()) == 200
    assert not [request for request in proxied_s3.counts.requests if request.method == "HEAD"]


def test_an_upload_in_parts_is_verified_by_its_parts(
    moto_s3: S3Server, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Storage(moto_s3.access).object_store(bucket)
    obstore.put(store, "raw/parts.bin", LARGE, chunk_size=5 * MIB, use_multipart=True)
    [file] = files_of(moto_s3.url, bucket)
    assert file.digest is None
    fetch(moto_s3.url, bucket, tmp_path)
    assert (tmp_path / "parts.bin").read_bytes() == LARGE
    assert "size only" not in caplog.text


def test_a_server_that_answers_ranges_with_status_200_is_read_in_ranges(
    rclone_s3: S3Server, rclone_bucket: str, tmp_path: Path
) -> None:
    put(rclone_s3, rclone_bucket, "large.bin", LARGE)
    put(rclone_s3, rclone_bucket, "small.bin", b"small")
    with FaultProxy(rclone_s3.url) as proxy:
        proxy.inject(Fault(kind="reset", after_bytes=RANGE // 2, matches=_is_last_range))
        fetch(proxy.url, rclone_bucket, tmp_path)
        assert proxy.counts.sent_bytes < len(LARGE) + 2 * RANGE
    assert tree(tmp_path) == {"large.bin": LARGE, "small.bin": b"small"}


def test_a_server_that_knows_no_ranges_is_read_in_one_stream(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    proxied_s3.knows_ranges = False
    got = fetch(proxied_s3.url, bucket, tmp_path)
    assert got.moved_bytes == len(LARGE)
    assert tree(tmp_path) == {"large.bin": LARGE}


@pytest.mark.parametrize("kind", ["reset", "truncate"])
def test_a_stream_that_breaks_is_read_again(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, kind: str
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    proxied_s3.knows_ranges = False
    for _ in range(2):
        proxied_s3.inject(
            Fault(
                kind=kind,  # type: ignore[arg-type]
                after_bytes=2 * RANGE + 1,
                matches=lambda request: "large.bin" in request.path and request.range is None,
            )
        )
    got = fetch(proxied_s3.url, bucket, tmp_path)
    assert got.moved_bytes == len(LARGE)
    assert tree(tmp_path) == {"large.bin": LARGE}


# What is there already


def test_what_is_complete_is_not_fetched_again(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    put(moto_s3, bucket, "small.bin", b"small")
    fetch(proxied_s3.url, bucket, tmp_path)
    (tmp_path / "small.bin").write_bytes(b"SMALL")
    proxied_s3.clear()
    got = fetch(proxied_s3.url, bucket, tmp_path)
    assert [request.path for request in proxied_s3.reads()] == [f"/{bucket}/raw/small.bin"]
    assert (got.moved_bytes, got.size_bytes) == (5, 5 + len(LARGE))
    assert tree(tmp_path)["small.bin"] == b"small"


def test_a_broken_transfer_continues_with_the_missing_ranges(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    proxied_s3.inject(Fault(kind="reset", after_bytes=100, times=1000, matches=_is_last_range))
    with pytest.raises(TransferError):
        fetch(proxied_s3.url, bucket, tmp_path)
    assert leftovers(tmp_path) == ["large.bin.part", "large.bin.part.ranges"]
    proxied_s3.clear()
    got = fetch(proxied_s3.url, bucket, tmp_path)
    assert [request.range for request in proxied_s3.reads()] == [LAST_RANGE]
    assert got.moved_bytes == 1234
    assert tree(tmp_path) == {"large.bin": LARGE}


def test_a_killed_transfer_continues_in_the_next_process(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    proxied_s3.inject(Fault(kind="stall", after_bytes=100, matches=_is_last_range))
    process = _fetch_in_a_process(proxied_s3.url, bucket, tmp_path)
    try:
        _wait_for(lambda: _recorded_ranges(tmp_path / "large.bin.part.ranges") == 3, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    proxied_s3.clear()
    fetch(proxied_s3.url, bucket, tmp_path)
    assert [request.range for request in proxied_s3.reads()] == [LAST_RANGE]
    assert tree(tmp_path) == {"large.bin": LARGE}


def _fetch_in_a_process(
    url: str, bucket: str, folder: Path, stderr: int | None = None
) -> subprocess.Popen[bytes]:
    code = f"""
        from pathlib import Path
        from tests.integration.test_transfer import fetch
        fetch({url!r}, {bucket!r}, Path({str(folder)!r}))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=stderr)


def _recorded_ranges(record: Path) -> int:
    return record.read_bytes().count(b"\n") - 1 if record.exists() else 0


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"not json\n0\n1\n",
        b'{"object": "another", "range_bytes": 8388608, "size_bytes": 25167058}\n0\n',
    ],
)
def test_the_record_of_another_object_is_not_believed(
    moto_s3: S3Server, bucket: str, tmp_path: Path, record: bytes
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    (tmp_path / "large.bin.part").write_bytes(bytes(len(LARGE)))
    (tmp_path / "large.bin.part.ranges").write_bytes(record)
    assert fetch(moto_s3.url, bucket, tmp_path).moved_bytes == len(LARGE)
    assert tree(tmp_path) == {"large.bin": LARGE}


def test_wrong_bytes_of_an_earlier_transfer_are_noticed_and_mended(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    proxied_s3.inject(Fault(kind="status", times=1000, matches=_is_last_range))
    with pytest.raises(TransferError):
        fetch(proxied_s3.url, bucket, tmp_path)
    proxied_s3.clear()
    with (tmp_path / "large.bin.part").open("r+b") as part:
        part.write(b"damaged")
    fetch(proxied_s3.url, bucket, tmp_path)
    assert tree(tmp_path) == {"large.bin": LARGE}


# Connections that break


@pytest.mark.parametrize("size_bytes", [100_000, len(LARGE)])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="reset", after_bytes=50_000, times=3),
        Fault(kind="truncate", after_bytes=50_000, times=3),
        Fault(kind="stall", after_bytes=50_000, times=1),
        Fault(kind="status", status=503, times=8),
        Fault(kind="status", status=500, times=3),
        Fault(kind="status", status=429, times=3),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_passing_fault_is_survived(
    moto_s3: S3Server,
    bucket: str,
    proxied_s3: FaultProxy,
    tmp_path: Path,
    fault: Fault,
    size_bytes: int,
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE[:size_bytes])
    proxied_s3.inject(replace(fault))
    fetch(proxied_s3.url, bucket, tmp_path)
    assert tree(tmp_path) == {"a.bin": LARGE[:size_bytes]}


def test_a_range_that_breaks_costs_that_range_again_and_no_other(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    proxied_s3.inject(Fault(kind="reset", after_bytes=RANGE // 2))
    fetch(proxied_s3.url, bucket, tmp_path)
    assert len(LARGE) < proxied_s3.counts.sent_bytes < len(LARGE) + RANGE


@pytest.mark.parametrize("kind", ["reset", "stall", "status"])
def test_a_lasting_fault_ends_the_transfer(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, kind: str
) -> None:
    put(moto_s3, bucket, "a.bin", b"x" * 100_000)
    proxied_s3.inject(Fault(kind=kind, after_bytes=100, times=1000))  # type: ignore[arg-type]
    with pytest.raises(TransferError) as caught:
        fetch(proxied_s3.url, bucket, tmp_path)
    assert caught.value.exit_code == 75
    assert str(caught.value).startswith(f"fetch s3://{bucket}/raw/a.bin -> {tmp_path}/a.bin: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.bin").exists()


# Bytes that are not those that were stored


@pytest.mark.parametrize("size_bytes", [100_000, len(LARGE)])
def test_wrong_bytes_are_fetched_again(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, size_bytes: int
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE[:size_bytes])
    proxied_s3.inject(Fault(kind="corrupt", after_bytes=777))
    fetch(proxied_s3.url, bucket, tmp_path)
    assert tree(tmp_path) == {"a.bin": LARGE[:size_bytes]}


@pytest.mark.parametrize("size_bytes", [100_000, len(LARGE)])
def test_wrong_bytes_twice_are_refused_and_not_left_behind(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, size_bytes: int
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE[:size_bytes])
    proxied_s3.inject(Fault(kind="corrupt", after_bytes=777, times=1000))
    message = f"checksum of s3://{bucket}/raw/a.bin does not match"
    with pytest.raises(RecordingError, match=message) as caught:
        fetch(proxied_s3.url, bucket, tmp_path)
    assert caught.value.exit_code == 65
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("checksum", [True, False])
def test_an_etag_that_is_no_digest_is_asked_about_before_it_is_believed(
    moto_s3: S3Server,
    bucket: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    checksum: bool,
) -> None:
    """An object under a key of KMS has an ETag that looks like an MD5 and is none.

    moto gives it its MD5 all the same, so the files here carry another one, as from S3's listing.
    """
    calculation = "when_supported" if checksum else "when_required"
    client = client_of(moto_s3.access, request_checksum_calculation=calculation)
    for name in ("a.bin", "b.bin"):
        client.put_object(
            Bucket=bucket, Key=f"raw/{name}", Body=name.encode(), ServerSideEncryption="aws:kms"
        )
    files = [
        replace(file, digest=Digest(algorithm="md5", value="0" * 32))
        for file in files_of(moto_s3.url, bucket)
    ]
    with caplog.at_level(logging.WARNING):
        download(files, tmp_path, patience=IMPATIENT)
    assert tree(tmp_path) == {"a.bin": b"a.bin", "b.bin": b"b.bin"}
    assert ("2 files were checked by their size only" in caplog.text) is not checksum


# Objects that change, or may not be read


def test_an_object_that_is_replaced_meanwhile_is_fetched_as_it_is_now(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    proxied_s3.on_request = _replacing(moto_s3, bucket, times=1)
    fetch(proxied_s3.url, bucket, tmp_path)
    assert tree(tmp_path) == {"a.bin": b"\x01" * (len(LARGE) + 1)}


def test_an_object_that_is_replaced_on_a_server_that_ignores_conditions_is_noticed(
    rclone_s3: S3Server, rclone_bucket: str, tmp_path: Path
) -> None:
    put(rclone_s3, rclone_bucket, "a.bin", b"before")
    files = files_of(rclone_s3.url, rclone_bucket)
    put(rclone_s3, rclone_bucket, "a.bin", b"after!")
    download(files, tmp_path, patience=IMPATIENT)
    assert tree(tmp_path) == {"a.bin": b"after!"}


def test_an_object_that_keeps_changing_is_refused(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    proxied_s3.on_request = _replacing(moto_s3, bucket, times=1000)
    with pytest.raises(SourceError, match="keeps changing while it is fetched") as caught:
        fetch(proxied_s3.url, bucket, tmp_path)
    assert caught.value.exit_code == 66
    assert tree(tmp_path) == {}


def _replacing(server: S3Server, bucket: str, times: int) -> Callable[[Request], None]:
    """Store another object whenever a range that is not the first one is asked for."""
    versions = iter(range(1, times + 1))
    lock = threading.Lock()

    def replace_object(request: Request) -> None:
        if request.range is None or request.range.startswith("bytes=0-"):
            return
        with lock:
            if (version := next(versions, None)) is not None:
                put(server, bucket, "a.bin", bytes([version % 256]) * (len(LARGE) + version))

    return replace_object


def test_an_object_that_is_gone_is_refused(moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    put(moto_s3, bucket, "a.bin", b"bytes")
    files = files_of(moto_s3.url, bucket)
    moto_s3.client.delete_object(Bucket=bucket, Key="raw/a.bin")
    with pytest.raises(SourceError, match=f"s3://{bucket}/raw/a.bin is missing"):
        download(files, tmp_path, patience=IMPATIENT)


@pytest.mark.parametrize("size_bytes", [5, len(LARGE)])
def test_a_forbidden_object_is_refused_at_once(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, size_bytes: int
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE[:size_bytes])
    proxied_s3.inject(Fault(kind="status", status=403, times=1000))
    with pytest.raises(SourceError, match=r"access denied; .*s3:GetObject") as caught:
        fetch(proxied_s3.url, bucket, tmp_path)
    assert caught.value.exit_code == 66
    assert len(proxied_s3.reads()) == 2


# Plain HTTP


def signed_file(url: str, bucket: str, asked: list[str], digest: Digest | None) -> RemoteFile:
    storage = Storage(access_to(url), patience=IMPATIENT)

    def sign() -> str:
        asked.append(storage.presigned_url(S3Location(bucket=bucket, key="raw/a b+c.nwb"), 60))
        return asked[-1]

    return http_file("sub-1/a.nwb", sign, size_bytes=len(LARGE), digest=digest, patience=IMPATIENT)


def test_a_signed_url_is_fetched_in_ranges_and_renewed_when_it_expires(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a b+c.nwb", LARGE)
    asked: list[str] = []
    file = signed_file(proxied_s3.url, bucket, asked, Digest(algorithm="md5", value=md5(LARGE)))
    third = f"bytes={2 * RANGE}-{3 * RANGE - 1}"
    proxied_s3.inject(
        Fault(kind="status", status=403, matches=lambda request: request.range == third)
    )
    download([file], tmp_path, patience=IMPATIENT)
    assert tree(tmp_path) == {"sub-1/a.nwb": LARGE}
    assert len(asked) == 2
    assert all("Signature=" in request.path for request in proxied_s3.reads())
    assert not [request for request in proxied_s3.counts.requests if request.method == "HEAD"]


def test_a_signature_is_never_shown(
    bucket: str, proxied_s3: FaultProxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proxied_s3.inject(Fault(kind="status", status=503, times=1000))
    file = signed_file(proxied_s3.url, bucket, [], None)
    with caplog.at_level(logging.DEBUG), pytest.raises(TransferError) as caught:
        download([file], tmp_path, patience=IMPATIENT)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("spikeinterface_cloud")]
    assert ours
    assert "Signature" not in "".join([*ours, str(caught.value), file.url])


def test_a_file_of_another_size_than_stated_is_refused(
    moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a b+c.nwb", LARGE + b"more")
    with pytest.raises(SourceError, match="keeps changing"):
        download([signed_file(moto_s3.url, bucket, [], None)], tmp_path, patience=IMPATIENT)


def test_an_unreachable_server_is_an_error_of_the_network(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/a.nwb?X-Amz-Signature=abc"
    file = http_file("a.nwb", lambda: url, size_bytes=10, patience=IMPATIENT)
    with pytest.raises(TransferError):
        download([file], tmp_path, patience=IMPATIENT)


# Names and disks


def nowhere(name: str, size_bytes: int = 1) -> RemoteFile:
    """A file whose server must never be asked."""

    def store() -> obstore.store.HTTPStore:
        raise AssertionError("the server was asked")

    return RemoteFile(
        name=PurePosixPath(name),
        size_bytes=size_bytes,
        url=f"s3://lab/{name}",
        store=store,
        path="",
    )


@pytest.mark.parametrize(
    "key",
    [
        "../escape",
        "a/../../escape",
        "/etc/passwd",
        "a//b",
        "a/./b",
        "a\\b",
        "a\0b",
        "C:/windows",
        "n" * 300,
    ],
)
def test_a_key_that_escapes_the_folder_is_refused(storage: Storage, key: str) -> None:
    folder = S3Location(bucket="lab", key="raw")
    stored = StoredObject(
        location=S3Location(bucket="lab", key=f"raw/{key}"), size_bytes=1, etag=None
    )
    with pytest.raises(SourceError, match="rename it at the source") as caught:
        s3_files(storage, [stored], folder)
    assert caught.value.exit_code == 66


@pytest.fixture
def storage(moto_s3: S3Server) -> Storage:
    return Storage(moto_s3.access)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["../a"], "outside of its folder"),
        (["a", "b", "a"], "would both be written as 'a'"),
        (["a/b", "a"], "is a file where s3://lab/a/b needs a folder"),
        (["a", "a.part"], "named like an unfinished download of s3://lab/a;"),
    ],
)
def test_names_that_cannot_be_written_are_refused_before_any_byte(
    tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        download([nowhere(name) for name in names], tmp_path / "source")
    assert not (tmp_path / "source").exists()


def test_a_disk_that_is_too_small_is_refused_before_any_byte(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"needs 1.0 EiB|needs 1048576.0 TiB") as caught:
        download([nowhere("a.bin", size_bytes=1 << 60)], tmp_path)
    assert caught.value.exit_code == 69
    assert "SCRATCH_FOLDER" in str(caught.value)


def test_a_file_that_the_system_does_not_take_is_a_full_disk(
    moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (RANGE, hard))
    try:
        with pytest.raises(UnavailableError, match=r"the disk is full: .*a\.bin"):
            fetch(moto_s3.url, bucket, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607


def test_a_disk_that_fills_up_meanwhile_ends_the_transfer(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, small_disk: Path
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)

    def fill(request: Request) -> None:
        if request.range is not None:
            with suppress(OSError):
                (small_disk / "filler").write_bytes(bytes(35 * MIB))

    proxied_s3.on_request = fill
    with pytest.raises(UnavailableError, match="the disk is full") as caught:
        fetch(proxied_s3.url, bucket, small_disk / "source")
    assert caught.value.exit_code == 69
    assert not (small_disk / "source" / "a.bin").exists()


# Interruption and progress


class Stop(Exception):
    """What the signal handler of a test raises."""


def test_a_signal_ends_the_transfer_and_leaves_what_has_come(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    proxied_s3.inject(Fault(kind="stall", matches=_is_last_range))

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    files = files_of(proxied_s3.url, bucket)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.6)
        with pytest.raises(Stop):
            download(files, tmp_path, patience=Patience(stall_s=60))
    finally:
        signal.signal(signal.SIGALRM, before)
    proxied_s3.clear()
    fetch(proxied_s3.url, bucket, tmp_path)
    assert [request.range for request in proxied_s3.reads()] == [LAST_RANGE]


def test_a_line_of_progress_is_logged_at_intervals(
    moto_s3: S3Server,
    bucket: str,
    proxied_s3: FaultProxy,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    proxied_s3.inject(Fault(kind="stall", matches=_is_last_range))
    with caplog.at_level(logging.INFO):
        download(
            files_of(proxied_s3.url, bucket), tmp_path, patience=IMPATIENT, progress_interval_s=0.2
        )
    assert re.search(
        r"fetch: 24.0 MiB of 24.0 MiB \(100%\), [0-9.]+ [KM]iB/s, \d+ s left", caplog.text
    )


def test_a_terminal_shows_a_bar(moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    terminal, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    try:
        process = _fetch_in_a_process(moto_s3.url, bucket, tmp_path, stderr=theirs)
        assert process.wait(timeout=60) == 0
        os.set_blocking(terminal, False)
        shown = os.read(terminal, 100_000).decode()
    finally:
        os.close(theirs)
        os.close(terminal)
    assert "fetch: " in shown
    assert "24.0M" in shown
