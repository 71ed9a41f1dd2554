"""Downloads that are refused: names that no file can have, disks that are full."""

from __future__ import annotations

import resource
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import obstore
import obstore.store
import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import (
    SourceError,
    UnavailableError,
)
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.remote_file import RemoteFile, s3_files
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.stored_object import StoredObject
from tests.support.fault_proxy import FaultProxy, Request
from tests.support.servers import S3Server
from tests.support.transfers import LARGE, MIB, RANGE, fetch, put

pytestmark = pytest.mark.integration


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
        location=S3Location(bucket="lab", key=f"raw/{key}"),
        size_bytes=1,
        etag=None,
        modified=datetime.now(tz=UTC),
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
    with pytest.raises(
        UnavailableError, match=r"1.0 EiB have to be|1048576.0 TiB have to be"
    ) as caught:
        download([nowhere("a.bin", size_bytes=1 << 60)], tmp_path)
    assert caught.value.exit_code == 69
    assert "SCRATCH_FOLDER" in str(caught.value)


def test_file_above_the_size_limit_is_a_full_disk(
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


def test_disk_that_fills_up_ends_the_transfer(
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
