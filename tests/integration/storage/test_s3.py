"""Listing, small objects and permissions, against moto's server over HTTP."""

import json
import logging
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import obstore
import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import AwsSettings
from spikeinterface_cloud.errors import SourceError, TargetError, TransferError
from spikeinterface_cloud.storage.digests import Digest
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.servers import (
    S3Server,
    access_to,
    check_permissions,
    client_of,
    free_port,
    guarded_moto_server,
)

pytestmark = pytest.mark.integration

SHORT_TIMEOUTS = NetworkTimeouts(connect_s=1, stall_s=1, give_up_s=1, longest_wait_s=0.2)


@pytest.fixture
def storage(moto_s3: S3Server) -> Storage:
    return Storage(moto_s3.access)


def put(server: S3Server, bucket: str, *keys: str, body: bytes = b"x") -> None:
    """Store the same few bytes under each key."""
    client = server.client
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=body), keys))


def keys_of(storage: Storage, bucket: str, folder: str) -> list[str]:
    return [
        found.location.key for found in storage.list_objects(S3Location(bucket=bucket, key=folder))
    ]


def test_a_listing_goes_beyond_a_thousand_keys(
    storage: Storage, moto_s3: S3Server, bucket: str
) -> None:
    expected = sorted(f"raw/{number // 100}/{number:04d}.dat" for number in range(1500))
    put(moto_s3, bucket, *expected)
    assert keys_of(storage, bucket, "raw") == expected


def test_listing_skips_other_prefixes_and_folder_markers(
    storage: Storage, moto_s3: S3Server, bucket: str
) -> None:
    put(moto_s3, bucket, "raw/a.bin", "raw/sub/b.bin", "raw2/c.bin", "rawd.bin")
    put(moto_s3, bucket, "raw/", "raw/empty/", body=b"")
    assert keys_of(storage, bucket, "raw") == ["raw/a.bin", "raw/sub/b.bin"]


def test_an_empty_file_is_an_object(storage: Storage, moto_s3: S3Server, bucket: str) -> None:
    put(moto_s3, bucket, "raw/empty.bin", body=b"")
    assert keys_of(storage, bucket, "raw") == ["raw/empty.bin"]


def test_folders_in_a_folder_are_named(storage: Storage, moto_s3: S3Server, bucket: str) -> None:
    for key in ("run/simple/a", "run/simple/b/c", "run/lupin/a", "run/run.json", "run2/other/a"):
        moto_s3.client.put_object(Bucket=bucket, Key=key, Body=b"")
    assert storage.folders_in(S3Location(bucket=bucket, key="run")) == {"simple", "lupin"}
    assert storage.folders_in(S3Location(bucket=bucket, key="")) == {"run", "run2"}
    assert storage.folders_in(S3Location(bucket=bucket, key="none")) == set()


def test_a_single_object_is_listed_by_its_own_name(
    storage: Storage, moto_s3: S3Server, bucket: str
) -> None:
    put(moto_s3, bucket, "raw/a.nwb", "raw/a.nwb.json", body=b"12345")
    [found] = storage.list_objects(S3Location(bucket=bucket, key="raw/a.nwb"))
    assert (found.location.key, found.size_bytes) == ("raw/a.nwb", 5)
    assert found.etag == "827ccb0eea8a706c4c34a16891f84e7b"


def test_a_whole_bucket_is_listed(storage: Storage, moto_s3: S3Server, bucket: str) -> None:
    put(moto_s3, bucket, "a.bin", "sub/b.bin")
    assert keys_of(storage, bucket, "") == ["a.bin", "sub/b.bin"]


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("raw/sesion1", "holds no objects; beside it there is session1: check"),
        ("raw/session1/b.bin", "holds no objects; beside it there is a.bin: check"),
        ("elsewhere/entirely", "holds no objects; check the bucket's folder"),
    ],
)
def test_an_empty_folder_is_refused_with_its_neighbors(
    storage: Storage, moto_s3: S3Server, bucket: str, folder: str, message: str
) -> None:
    put(moto_s3, bucket, "raw/session1/a.bin")
    with pytest.raises(SourceError, match=message) as caught:
        storage.list_objects(S3Location(bucket=bucket, key=folder))
    assert caught.value.exit_code == 66
    assert "\n" not in str(caught.value)


def test_a_missing_bucket_is_refused(storage: Storage) -> None:
    with pytest.raises(SourceError, match="there is no bucket no-such-bucket; check its name"):
        storage.list_objects(S3Location(bucket="no-such-bucket", key="raw"))


def test_small_objects_are_written_read_and_removed(storage: Storage, bucket: str) -> None:
    location = S3Location(bucket=bucket, key="jobs/manifest.json")
    assert not storage.object_exists(location)
    storage.write_object(location, b"{}", content_type="application/json")
    assert storage.object_exists(location)
    assert storage.read_object(location) == b"{}"
    storage.remove_object(location)
    storage.remove_object(location)
    with pytest.raises(SourceError, match="no such object"):
        storage.read_object(location)


def test_write_check_leaves_the_target_unchanged(
    storage: Storage, moto_s3: S3Server, bucket: str
) -> None:
    storage.check_writable(S3Location(bucket=bucket, key="results"))
    assert moto_s3.client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_target_without_a_bucket_is_refused(storage: Storage) -> None:
    with pytest.raises(TargetError, match="there is no bucket no-such-bucket") as caught:
        storage.check_writable(S3Location(bucket="no-such-bucket", key="results"))
    assert caught.value.exit_code == 73


def test_a_presigned_url_reads_without_credentials(storage: Storage, bucket: str) -> None:
    location = S3Location(bucket=bucket, key="raw/a b+c.bin")
    storage.write_object(location, b"bytes")
    with urllib.request.urlopen(storage.presigned_url(location, 60), timeout=10) as reply:  # noqa: S310
        assert reply.read() == b"bytes"


def test_unreachable_endpoint_is_a_transfer_error() -> None:
    storage = Storage(access_to(f"http://127.0.0.1:{free_port()}"), timeouts=SHORT_TIMEOUTS)
    with pytest.raises(TransferError, match="Could not connect") as caught:
        storage.list_objects(S3Location(bucket="lab-data", key="raw"))
    assert caught.value.exit_code == 75


def test_overloaded_server_is_retried(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy
) -> None:
    put(moto_s3, bucket, "raw/a.bin")
    proxied_s3.inject(Fault(kind="status", status=503, times=2, matches=lambda _: True))
    assert keys_of(Storage(access_to(proxied_s3.url)), bucket, "raw") == ["raw/a.bin"]


def test_overloaded_server_is_a_transfer_error_after_the_retries(
    bucket: str, proxied_s3: FaultProxy
) -> None:
    proxied_s3.inject(Fault(kind="status", status=503, times=1000, matches=lambda _: True))
    with pytest.raises(TransferError, match=r"the server failed \(503"):
        keys_of(Storage(access_to(proxied_s3.url)), bucket, "raw")


def test_the_digest_is_a_checksum_or_the_etag_or_none(
    storage: Storage, moto_s3: S3Server, bucket: str
) -> None:
    client = client_of(moto_s3.access, request_checksum_calculation="when_required")
    location = S3Location(bucket=bucket, key="a.bin")

    def stored(**options: str) -> Digest | None:
        client.put_object(Bucket=bucket, Key="a.bin", Body=b"12345", **options)
        return storage.stored_digest(location)

    md5 = Digest(algorithm="md5", value="827ccb0eea8a706c4c34a16891f84e7b")
    assert stored() == md5
    assert stored(ServerSideEncryption="aws:kms") is None
    cheap = stored(ChecksumAlgorithm="CRC32")
    assert cheap is not None
    assert (cheap.algorithm, cheap.value) == ("crc32", "cbf53a1c")
    keyed = stored(ServerSideEncryption="aws:kms", ChecksumAlgorithm="SHA256")
    assert keyed is not None
    assert keyed.algorithm == "sha256"
    assert keyed.value.startswith("5994471abb01112afcc18159f6cc74b4")


def test_part_size_is_looked_up(storage: Storage, moto_s3: S3Server, bucket: str) -> None:
    location = S3Location(bucket=bucket, key="large.bin")
    obstore.put(storage.object_store(bucket), location.key, bytes(12 << 20), chunk_size=5 << 20)
    digest = storage.stored_digest(location)
    assert digest is not None
    assert (digest.algorithm, digest.part_size_bytes) == ("etag", 5 << 20)


# What a role may do: moto checks credentials and policies only in a process that is told to.

POLICY_OF_READER = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "*"}
POLICY_OF_WRITER = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": "*"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[dict[str, AwsSettings]]:
    """Settings of users by what they may do, on a server that checks."""
    with guarded_moto_server() as server:
        client = server.client
        client.create_bucket(Bucket="guarded")
        client.put_object(Bucket="guarded", Key="raw/a.bin", Body=b"12345")
        users = {
            "reader": _user(server, "reader", POLICY_OF_READER),
            "writer": _user(server, "writer", POLICY_OF_WRITER),
            "nobody": _user(server, "nobody", None),
            "unknown": access_to(server.url, key="AKIAUNKNOWNUNKNOWN12"),
        }
        assert users["reader"].access_key_id is not None
        key = users["reader"].access_key_id.get_secret_value()
        users["mistyped"] = access_to(server.url, key=key, secret="not-the-secret-of-that-key")
        check_permissions(server)
        yield users


def _user(server: S3Server, name: str, statement: dict[str, Any] | None) -> AwsSettings:
    iam = client_of(server.access, "iam")
    iam.create_user(UserName=name)
    if statement is not None:
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return access_to(server.url, key=key["AccessKeyId"], secret=key["SecretAccessKey"])


GUARDED = S3Location(bucket="guarded", key="raw")


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("nobody", "cannot list s3://guarded/raw: access denied .*s3:ListBucket"),
        ("unknown", "refused the credentials .InvalidAccessKeyId.*; check AWS_ACCESS_KEY_ID"),
        ("mistyped", "refused the credentials .SignatureDoesNotMatch.*; .*give the job a role"),
    ],
)
def test_a_forbidden_source_names_the_remedy(
    guarded: dict[str, AwsSettings], user: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        Storage(guarded[user]).list_objects(GUARDED)
    assert caught.value.exit_code == 66


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("reader", "cannot write s3://guarded/results: access denied .*s3:PutObject"),
        ("unknown", "refused the credentials .InvalidAccessKeyId"),
    ],
)
def test_a_forbidden_target_names_the_remedy(
    guarded: dict[str, AwsSettings], user: str, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        Storage(guarded[user]).check_writable(replace(GUARDED, key="results"))


def test_a_role_that_may_not_delete_may_still_write(
    guarded: dict[str, AwsSettings], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Storage(guarded["writer"]).check_writable(replace(GUARDED, key="results"))
    assert "s3://guarded/results/.write-test" in caplog.text
    assert "could not be deleted" in caplog.text


def test_a_role_that_may_not_list_may_still_read_one_object(
    guarded: dict[str, AwsSettings],
) -> None:
    location = replace(GUARDED, key="raw/a.bin")
    [found] = Storage(guarded["reader"]).list_objects(location)
    assert (found.location, found.size_bytes) == (location, 5)


def test_denied_unsigned_request_says_so(proxied_s3: FaultProxy) -> None:
    proxied_s3.inject(Fault(kind="status", status=403, times=100, matches=lambda _: True))
    storage = Storage(access_to(proxied_s3.url), unsigned=True)
    with pytest.raises(SourceError, match="a request without credentials, and none were found"):
        storage.list_objects(GUARDED)
    assert not any("authorization" in request.headers for request in proxied_s3.counts.requests)
