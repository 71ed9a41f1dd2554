"""Uploads to real servers, over connections that break."""

from __future__ import annotations

import logging
import random
import time
from pathlib import Path

import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import TargetError, TransferError
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from spikeinterface_cloud.storage.upload import upload
from tests.support.fault_proxy import DROP_S, DROPS, Fault, FaultProxy, Request, is_write
from tests.support.servers import S3Server, access_to, free_port

pytestmark = pytest.mark.integration

MIB = 1024 * 1024

#: two parts and a bit
LARGE = random.Random(4).randbytes(2 * 8 * MIB + 1234)

SHORT_TIMEOUTS = NetworkTimeouts(connect_s=1, stall_s=1, give_up_s=2, longest_wait_s=0.2)


def send(url: str, bucket: str, files: dict[str, bytes], folder: Path) -> int:
    """Write `files` and upload them below `results`."""
    pairs = []
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        pairs.append((path, S3Location(bucket=bucket, key="results").child(name)))
    return upload(pairs, Storage(access_to(url), timeouts=SHORT_TIMEOUTS))


def stored(server: S3Server, bucket: str) -> dict[str, bytes]:
    """What is below `results`."""
    client = server.client
    entries = client.list_objects_v2(Bucket=bucket, Prefix="results/").get("Contents", [])
    return {
        entry["Key"].removeprefix("results/"): client.get_object(Bucket=bucket, Key=entry["Key"])[
            "Body"
        ].read()
        for entry in entries
    }


def test_a_folder_is_stored_with_its_tree(moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    files = {
        "run.json": b"{}",
        "report.html": b"<html>",
        "simple/analyzer.zarr/é x+#%/0.0": b"chunk",
        "simple/empty": b"",
        "simple/units.nwb": LARGE,
        "exactly one part": LARGE[: 8 * MIB],
    }
    assert send(moto_s3.url, bucket, files, tmp_path) == sum(map(len, files.values()))
    assert stored(moto_s3, bucket) == files


def test_objects_have_a_content_type(moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    send(moto_s3.url, bucket, {"report.html": b"<html>", "units": b""}, tmp_path)
    types = [
        moto_s3.client.head_object(Bucket=bucket, Key=f"results/{name}")["ContentType"]
        for name in ("report.html", "units")
    ]
    assert types == ["text/html", "application/octet-stream"]


def test_upload_of_no_files_sends_no_bytes(moto_s3: S3Server) -> None:
    assert upload([], Storage(moto_s3.access)) == 0


def test_other_etags_of_multipart_uploads_are_accepted(
    rclone_s3: S3Server, rclone_bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"units.nwb": LARGE, "run.json": b"{}"}
    with caplog.at_level(logging.WARNING):
        send(rclone_s3.url, rclone_bucket, files, tmp_path)
    assert stored(rclone_s3, rclone_bucket) == files
    assert not caplog.records


def test_bucket_with_kms_encryption_is_no_mismatch(
    moto_s3: S3Server, bucket: str, tmp_path: Path, proxied_s3: FaultProxy
) -> None:
    """Such a bucket answers an ETag that is not the MD5; moto does not, so the proxy changes it."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    moto_s3.client.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    proxied_s3.answer_headers["etag"] = '"0123456789abcdef0123456789abcdef"'
    send(proxied_s3.url, bucket, {"run.json": b"{}"}, tmp_path)
    assert stored(moto_s3, bucket) == {"run.json": b"{}"}
    assert [request.method for request in proxied_s3.counts.requests].count("PUT") == 1


@pytest.mark.parametrize("size_bytes", [100_000, len(LARGE)])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=503, times=8, matches=is_write),
        Fault(kind="status", status=500, times=3, matches=is_write),
        Fault(kind="status", status=400, code="BadDigest", matches=is_write),
        Fault(kind="status", status=400, code="XAmzContentSHA256Mismatch", matches=is_write),
        Fault(kind="reset", times=3, matches=is_write),
        Fault(kind="stall", times=1, matches=is_write),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code or fault.status}",
)
def test_transient_fault_is_retried(
    moto_s3: S3Server,
    bucket: str,
    proxied_s3: FaultProxy,
    tmp_path: Path,
    fault: Fault,
    size_bytes: int,
) -> None:
    proxied_s3.inject(fault)
    send(proxied_s3.url, bucket, {"units.nwb": LARGE[:size_bytes]}, tmp_path)
    assert stored(moto_s3, bucket) == {"units.nwb": LARGE[:size_bytes]}
    assert fault.times == 0


@pytest.mark.parametrize("size_bytes", [100_000, len(LARGE)])
def test_slow_uplink_is_no_stall(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, size_bytes: int
) -> None:
    """obstore counts from a request's first byte, though bytes are moving all the time."""
    timeouts = NetworkTimeouts(connect_s=10, stall_s=0.15, give_up_s=10, longest_wait_s=0.1)
    assert timeouts.stall_s < DROPS * DROP_S / 2
    proxied_s3.inject(Fault(kind="drip", in_request=True, times=10**6, matches=is_write))
    (tmp_path / "units.nwb").write_bytes(LARGE[:size_bytes])
    target = S3Location(bucket=bucket, key="results/units.nwb")
    storage = Storage(access_to(proxied_s3.url), timeouts=timeouts)
    upload([(tmp_path / "units.nwb", target)], storage)
    assert stored(moto_s3, bucket) == {"units.nwb": LARGE[:size_bytes]}


@pytest.mark.parametrize("size_bytes", [100_000, len(LARGE)])
def test_permanent_fault_ends_the_upload_and_leaves_no_parts(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, size_bytes: int
) -> None:
    proxied_s3.inject(Fault(kind="status", status=503, times=1000, matches=is_write))
    with pytest.raises(TransferError) as caught:
        send(proxied_s3.url, bucket, {"units.nwb": LARGE[:size_bytes]}, tmp_path)
    assert caught.value.exit_code == 75
    assert str(caught.value).startswith(
        f"upload {tmp_path}/units.nwb -> s3://{bucket}/results/units.nwb: "
    )
    assert stored(moto_s3, bucket) == {}
    assert "Uploads" not in moto_s3.client.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("size_bytes", [100_000, len(LARGE)])
def test_object_that_differs_from_its_file_is_sent_again(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path, size_bytes: int
) -> None:
    proxied_s3.inject(Fault(kind="damage", matches=is_write))
    send(proxied_s3.url, bucket, {"units.nwb": LARGE[:size_bytes]}, tmp_path)
    assert stored(moto_s3, bucket) == {"units.nwb": LARGE[:size_bytes]}


def test_object_that_differs_from_its_file_twice_is_an_error(
    bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    proxied_s3.inject(Fault(kind="damage", times=1000, matches=is_write))
    with pytest.raises(TransferError, match="what was stored differs from the file, twice"):
        send(proxied_s3.url, bucket, {"run.json": b"{}"}, tmp_path)


@pytest.mark.parametrize("size_bytes", [2, len(LARGE)])
def test_a_missing_bucket_is_refused(moto_s3: S3Server, tmp_path: Path, size_bytes: int) -> None:
    with pytest.raises(TargetError, match="there is no bucket no-such-bucket") as caught:
        send(moto_s3.url, "no-such-bucket", {"units.nwb": LARGE[:size_bytes]}, tmp_path)
    assert caught.value.exit_code == 73
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size_bytes", [2, len(LARGE)])
def test_a_forbidden_target_is_refused_at_once(
    bucket: str, proxied_s3: FaultProxy, tmp_path: Path, size_bytes: int
) -> None:
    proxied_s3.inject(
        Fault(kind="status", status=403, times=1000, matches=lambda r: r.method in ("PUT", "POST"))
    )
    with pytest.raises(TargetError, match=r"access denied \(403\); .*s3:PutObject"):
        send(proxied_s3.url, bucket, {"units.nwb": LARGE[:size_bytes]}, tmp_path)
    sent = [each for each in proxied_s3.counts.requests if each.method in ("PUT", "POST")]
    assert len(sent) == 1, "it is not tried again"


def test_unreachable_server_is_a_transfer_error(tmp_path: Path) -> None:
    with pytest.raises(TransferError):
        send(f"http://127.0.0.1:{free_port()}", "lab-data", {"run.json": b"{}"}, tmp_path)


def test_many_small_files_are_sent_at_the_same_time(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    under_way: list[int] = []

    def note(request: Request) -> None:
        under_way.append(proxied_s3.requests_under_way)
        time.sleep(0.02)

    proxied_s3.on_request = note
    files = {f"chunk/{number}": str(number).encode() for number in range(100)}
    send(proxied_s3.url, bucket, files, tmp_path)
    assert stored(moto_s3, bucket) == files
    assert 4 < max(under_way) <= 34
