"""Objects that S3 keeps from a job for another reason than its permissions, and the remedies."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import AwsSettings, JobSettings
from spikeinterface_cloud.errors import CloudJobError, SettingsError, SourceError, TargetError
from spikeinterface_cloud.storage.archived import check_restored
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.remote_file import s3_files
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.upload import upload
from tests.support.fault_proxy import Fault, FaultProxy, charge_requester, is_write
from tests.support.servers import S3Server, access_to
from tests.support.sources import find
from tests.support.transfers import fetch

pytestmark = pytest.mark.integration

KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/1a2b"
NO_DECRYPT = f"User: x is not authorized to perform: kms:Decrypt on resource: {KMS_KEY}"


def put_archived(server: S3Server, bucket: str, *keys: str, storage_class: str = "GLACIER") -> None:
    for key in keys:
        server.client.put_object(Bucket=bucket, Key=key, Body=b"x", StorageClass=storage_class)


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_archived_source_is_refused_with_the_command_that_restores_it(
    moto_s3: S3Server, bucket: str, storage_class: str
) -> None:
    put_archived(moto_s3, bucket, "raw/a b.nwb", storage_class=storage_class)
    folder = S3Location(bucket=bucket, key="raw")
    with pytest.raises(SourceError) as caught:
        find(folder, "nwb", moto_s3.access)
    message = str(caught.value)
    assert f"in the storage class {storage_class}, an archive" in message
    command = f"aws s3api restore-object --bucket {bucket} --key 'raw/a b.nwb'"
    assert message.endswith(f"{command} --restore-request Days=14")
    assert "denied" not in message
    assert caught.value.exit_code == 66


def test_restored_and_running_restores_are_told_apart(moto_s3: S3Server, bucket: str) -> None:
    storage = Storage(moto_s3.access)
    put_archived(moto_s3, bucket, "raw/a.bin", "raw/b.bin")
    objects = storage.list_objects(S3Location(bucket=bucket, key="raw"))
    with pytest.raises(SourceError, match=r"2 objects, like .*raw/a\.bin, .*restore each of them"):
        check_restored(storage, objects)
    moto_s3.client.restore_object(Bucket=bucket, Key="raw/a.bin", RestoreRequest={"Days": 1})
    check_restored(storage, [each for each in objects if each.location.key == "raw/a.bin"])
    with pytest.raises(SourceError, match=r"^s3://\S+/raw/b\.bin is in .*GLACIER"):
        check_restored(storage, objects)


def test_restore_under_way_is_waited_for_not_asked_for(
    moto_s3: S3Server, proxied_s3: FaultProxy, bucket: str
) -> None:
    put_archived(moto_s3, bucket, "raw/a.bin")
    moto_s3.client.restore_object(Bucket=bucket, Key="raw/a.bin", RestoreRequest={"Days": 1})
    proxied_s3.answer_headers = {"x-amz-restore": 'ongoing-request="true"'}
    storage = Storage(access_to(proxied_s3.url))
    objects = storage.list_objects(S3Location(bucket=bucket, key="raw"))
    with pytest.raises(SourceError, match=r"a restore is under way: run the job again") as caught:
        check_restored(storage, objects)
    assert "restore-object" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (403, "InvalidObjectState", "not valid for the class", r"is archived.*restore-object"),
        (403, "AccessDenied", NO_DECRYPT, rf"{KMS_KEY}\); allow .* role or user kms:Decrypt$"),
        (403, "AccessDenied", "Access Denied", r"s3:GetObject.*AWS_REQUESTER_PAYS=true"),
        (400, "KMS.DisabledException", f"{KMS_KEY} is disabled", r"KMS key .*is disabled\); ask"),
    ],
)
def test_refused_download_has_the_remedy_of_its_reason(
    moto_s3: S3Server,
    proxied_s3: FaultProxy,
    bucket: str,
    tmp_path: Path,
    status: int,
    code: str,
    message: str,
    expected: str,
) -> None:
    moto_s3.client.put_object(Bucket=bucket, Key="raw/a.bin", Body=b"x")
    proxied_s3.inject(Fault(kind="status", status=status, code=code, message=message, times=99))
    with pytest.raises(SourceError, match=expected) as caught:
        fetch(proxied_s3.url, bucket, tmp_path)
    assert f"s3://{bucket}/raw/a.bin" in str(caught.value)


@pytest.mark.parametrize("size_bytes", [1, 20 * 1024 * 1024])
def test_used_up_quota_is_named_with_its_remedy(
    moto_s3: S3Server, proxied_s3: FaultProxy, bucket: str, tmp_path: Path, size_bytes: int
) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(bytes(size_bytes))
    proxied_s3.inject(
        Fault(kind="status", status=403, code="QuotaExceeded", times=99, matches=is_write)
    )
    storage = Storage(access_to(proxied_s3.url))
    target = S3Location(bucket=bucket, key="results")
    for write in (
        lambda: storage.check_writable(target),
        lambda: upload([(file, target.child("a.bin"))], storage),
    ):
        with pytest.raises(TargetError, match=r"no room left for this account .*higher quota") as e:
            write()
        assert "s3:PutObject" not in str(e.value)


def test_requester_pays_bucket_is_read_and_written_where_the_setting_says_so(
    proxied_s3: FaultProxy, moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    for key in ("raw/a.bin", "raw/sub/b.bin"):
        moto_s3.client.put_object(Bucket=bucket, Key=key, Body=bytes(5 * 1024 * 1024))
    proxied_s3.weather = charge_requester
    refused, storage = (
        Storage(access_to(proxied_s3.url).model_copy(update={"requester_pays": pays}))
        for pays in (False, True)
    )
    folder = S3Location(bucket=bucket, key="raw")
    with pytest.raises(CloudJobError, match="for a requester-pays bucket set AWS_REQUESTER_PAYS"):
        refused.list_objects(folder)
    proxied_s3.counts.faults.clear()

    assert len(storage.list_objects(folder)) == 2
    assert storage.folders_in(folder) == {"sub"}
    location = folder.child("a.bin")
    assert storage.object_exists(location)
    assert storage.stored_digest(location) is not None
    assert len(storage.read_object(location)) == 5 * 1024 * 1024
    with urllib.request.urlopen(storage.presigned_url(location, 60)) as reply:  # noqa: S310
        assert len(reply.read()) == 5 * 1024 * 1024
    files = s3_files(storage, storage.list_objects(folder), folder)
    assert download(files, tmp_path / "raw").size_bytes == 10 * 1024 * 1024
    storage.check_writable(folder)
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(20 * 1024 * 1024))
    upload([(large, folder.child("large.bin"))], storage)
    assert not proxied_s3.counts.faults, "every request said who pays"


def test_setting_of_requester_pays_reaches_s3() -> None:
    given = {"AWS_REQUESTER_PAYS": "yes"}
    assert AwsSettings.from_env(given).requester_pays
    job = {"AWS_S3_BUCKET": "lab", "DATA_TYPE": "nwb", "SORTERS": "simple"}
    assert JobSettings.from_env(job | given).aws.requester_pays
    assert not JobSettings.from_env(job).aws.requester_pays
    for read in (AwsSettings.from_env, lambda env: JobSettings.from_env(job | env)):
        with pytest.raises(SettingsError, match=r"^AWS_REQUESTER_PAYS: .*maybe") as caught:
            read({"AWS_REQUESTER_PAYS": "maybe"})
        assert "\n" not in str(caught.value)
