"""Downloads from plain and signed URLs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import (
    SourceError,
    TransferError,
)
from spikeinterface_cloud.storage.digests import Digest
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.remote_file import RemoteFile, http_file
from spikeinterface_cloud.storage.session import Storage
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.servers import S3Server, access_to, free_port
from tests.support.transfers import LARGE, RANGE, STEADY, md5, put, tree

pytestmark = pytest.mark.integration


def signed_file(url: str, bucket: str, asked: list[str], digest: Digest | None) -> RemoteFile:
    storage = Storage(access_to(url), timeouts=STEADY)

    def sign() -> str:
        asked.append(storage.presigned_url(S3Location(bucket=bucket, key="raw/a b+c.nwb"), 60))
        return asked[-1]

    return http_file("sub-1/a.nwb", sign, size_bytes=len(LARGE), digest=digest, timeouts=STEADY)


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
    download([file], tmp_path, timeouts=STEADY)
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
        download([file], tmp_path, timeouts=STEADY)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("spikeinterface_cloud")]
    assert ours
    assert "Signature" not in "".join([*ours, str(caught.value), file.url])


def test_a_file_of_another_size_than_stated_is_refused(
    moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a b+c.nwb", LARGE + b"more")
    with pytest.raises(SourceError, match="changed while the job was fetching"):
        download([signed_file(moto_s3.url, bucket, [], None)], tmp_path, timeouts=STEADY)


def test_unreachable_server_is_a_transfer_error(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/a.nwb?X-Amz-Signature=abc"
    file = http_file("a.nwb", lambda: url, size_bytes=10, timeouts=STEADY)
    with pytest.raises(TransferError):
        download([file], tmp_path, timeouts=STEADY)
