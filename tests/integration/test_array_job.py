"""Jobs that are lines of a list on S3."""

import json

import pytest

from spikeinterface_cloud.array_job import resolve_environment
from spikeinterface_cloud.errors import SettingsError
from tests.support.job import s3_access
from tests.support.servers import S3Server

pytestmark = pytest.mark.integration

SERVER = "https://api.dandi.my-lab.org/api"


def environment(server: S3Server, bucket: str, **line: str) -> dict[str, str]:
    """Write a list of one line; return the variables of its job."""
    server.client.put_object(Bucket=bucket, Key="jobs.jsonl", Body=json.dumps(line).encode())
    return {**s3_access(server.url), "MANIFEST_URL": f"s3://{bucket}/jobs.jsonl"}


def test_list_cannot_name_the_server_that_gets_the_key(moto_s3: S3Server, bucket: str) -> None:
    environ = environment(moto_s3, bucket, SORTERS="simple", DANDI_INSTANCE_URL=SERVER)
    for named in ({}, {"DANDI_INSTANCE_URL": "https://api.dandi.another-lab.org/api"}):
        with pytest.raises(SettingsError, match=r"^DANDI_INSTANCE_URL: .* in the environment"):
            resolve_environment(environ | named)


def test_list_may_repeat_the_server_of_the_environment(moto_s3: S3Server, bucket: str) -> None:
    environ = environment(moto_s3, bucket, SORTERS="simple", DANDI_INSTANCE_URL=SERVER)
    resolved = resolve_environment(environ | {"DANDI_INSTANCE_URL": SERVER})
    assert resolved["SORTERS"] == "simple"
    assert resolved["DANDI_INSTANCE_URL"] == SERVER
