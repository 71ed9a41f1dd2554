"""Downloads over connections that break, of bytes that are wrong, of objects that change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spikeinterface_cloud.errors import (
    RecordingError,
    SourceError,
    TransferError,
)
from spikeinterface_cloud.storage.digests import Digest
from spikeinterface_cloud.storage.download import download
from tests.support.fault_proxy import Fault, FaultProxy, Request
from tests.support.servers import S3Server, client_of
from tests.support.transfers import LARGE, RANGE, SHORT_TIMEOUTS, STEADY, fetch, files_of, put, tree

pytestmark = pytest.mark.integration


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
def test_transient_fault_is_retried(
    moto_s3: S3Server,
    bucket: str,
    proxied_s3: FaultProxy,
    tmp_path: Path,
    fault: Fault,
    size_bytes: int,
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE[:size_bytes])
    proxied_s3.inject(replace(fault))
    timeouts = SHORT_TIMEOUTS if fault.kind == "stall" else STEADY
    fetch(proxied_s3.url, bucket, tmp_path, timeouts)
    assert tree(tmp_path) == {"a.bin": LARGE[:size_bytes]}


def test_only_a_broken_range_is_fetched_again(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    proxied_s3.inject(Fault(kind="reset", after_bytes=RANGE // 2))
    fetch(proxied_s3.url, bucket, tmp_path)
    assert len(LARGE) < proxied_s3.counts.sent_bytes < len(LARGE) + RANGE


@pytest.mark.parametrize("kind", ["reset", "stall", "status"])
def test_permanent_fault_ends_the_transfer(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, kind: str
) -> None:
    put(moto_s3, bucket, "a.bin", b"x" * 100_000)
    proxied_s3.inject(Fault(kind=kind, after_bytes=100, times=1000))  # type: ignore[arg-type]
    with pytest.raises(TransferError) as caught:
        fetch(proxied_s3.url, bucket, tmp_path, SHORT_TIMEOUTS)
    assert caught.value.exit_code == 75
    assert str(caught.value).startswith(f"fetch s3://{bucket}/raw/a.bin -> {tmp_path}/a.bin: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.bin").exists()


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
def test_mismatching_etag_is_checked_by_the_stored_digest(
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
        download(files, tmp_path, timeouts=STEADY)
    assert tree(tmp_path) == {"a.bin": b"a.bin", "b.bin": b"b.bin"}
    assert ("2 files were checked by their size only" in caplog.text) is not checksum


CHANGED = "changed while the job was fetching; run the job again when its upload is finished"


def test_object_replaced_during_a_download_is_refused(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    proxied_s3.on_request = _replacing(moto_s3, bucket)
    with pytest.raises(SourceError, match=CHANGED) as caught:
        fetch(proxied_s3.url, bucket, tmp_path)
    assert caught.value.exit_code == 66
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("content", [b"before", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("server", ["moto_s3", "rclone_s3"])
def test_files_of_two_recordings_are_not_mixed(
    request: pytest.FixtureRequest, server: str, content: bytes, tmp_path: Path
) -> None:
    s3: S3Server = request.getfixturevalue(server)
    name = request.getfixturevalue("bucket" if server == "moto_s3" else "rclone_bucket")
    put(s3, name, "a.meta", b"of the first")
    put(s3, name, "b.bin", content)
    listed = files_of(s3.url, name)
    put(s3, name, "b.bin", bytes(len(content)))
    with pytest.raises(SourceError, match=CHANGED):
        download(listed, tmp_path, timeouts=STEADY)
    assert not (tmp_path / "b.bin").exists()


def _replacing(server: S3Server, bucket: str) -> Callable[[Request], None]:
    """Store another object when a range that is not the first one is asked for."""
    once = threading.Lock()

    def replace_object(request: Request) -> None:
        if request.range is None or request.range.startswith("bytes=0-"):
            return
        if once.acquire(blocking=False):
            put(server, bucket, "a.bin", bytes(len(LARGE) + 1))

    return replace_object


def test_an_object_that_is_gone_is_refused(moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    put(moto_s3, bucket, "a.bin", b"bytes")
    files = files_of(moto_s3.url, bucket)
    moto_s3.client.delete_object(Bucket=bucket, Key="raw/a.bin")
    with pytest.raises(SourceError, match=f"s3://{bucket}/raw/a.bin is missing"):
        download(files, tmp_path, timeouts=STEADY)


@pytest.mark.parametrize("size_bytes", [5, len(LARGE)])
def test_a_forbidden_object_is_refused_at_once(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, size_bytes: int
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE[:size_bytes])
    proxied_s3.inject(Fault(kind="status", status=403, times=1000))
    with pytest.raises(SourceError, match=r"access denied \(403\); .*s3:GetObject") as caught:
        fetch(proxied_s3.url, bucket, tmp_path)
    assert caught.value.exit_code == 66
    assert len(proxied_s3.reads()) == 2
