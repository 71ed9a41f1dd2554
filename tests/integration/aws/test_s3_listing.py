"""Recordings below a prefix of S3, and results of earlier jobs."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from spikeinterface_cloud.aws.batch.completed import find_unfinished
from spikeinterface_cloud.aws.inputs.recording_list import ListedRecording, Listing, jobs_of
from spikeinterface_cloud.aws.inputs.s3_prefix import prefix_recordings
from spikeinterface_cloud.aws_errors import AwsError
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import SettingsError, SourceError
from spikeinterface_cloud.storage.s3 import S3Objects
from tests.support.fault_proxy import FaultProxy, Request
from tests.support.servers import S3Server, access_to, client_of

pytestmark = pytest.mark.integration

#: a target that is no part of what is listed
ELSEWHERE = S3Location(bucket="lab-results")


@pytest.fixture
def raw(moto_s3: S3Server, bucket: str) -> str:
    """A bucket with SpikeGLX runs at two depths, an NWB file, and what a console leaves behind."""
    for key, size_bytes in {
        "raw/": 0,
        "raw/day1/": 0,
        "raw/day1/run_g0/run_g0_t0.imec0.ap.bin": 100,
        "raw/day1/run_g0/run_g0_t0.imec0.ap.meta": 11,
        "raw/day2/run_g1/run_g1_t0.imec0.ap.bin": 200,
        "raw/notes.txt": 3,
        "raw/session.nwb": 5,
        "rawer/day3/run_g2/a.bin": 9,
    }.items():
        moto_s3.client.put_object(Bucket=bucket, Key=key, Body=bytes(size_bytes))
    return bucket


def objects(client: Any) -> S3Objects:
    """What the laptop reaches with a client."""
    return S3Objects(client, raises=AwsError)


@pytest.mark.parametrize(
    ("prefix", "pattern", "found"),
    [
        ("raw/", None, {"day1": 111, "day2": 200}),
        ("raw", "*/", {"day1": 111, "day2": 200}),
        ("raw/", "*/*_g0/", {"day1/run_g0": 111}),
        ("raw/", "day2/*/", {"day2/run_g1": 200}),
        ("raw/", "*.nwb", {"session.nwb": 5}),
        ("raw/", "*/*/*.bin", {
            "day1/run_g0/run_g0_t0.imec0.ap.bin": 100,
            "day2/run_g1/run_g1_t0.imec0.ap.bin": 200,
        }),
        ("", "raw*/", {"raw": 319, "rawer": 9}),
    ],
)  # fmt: skip
def test_a_prefix_is_listed_by_pattern(
    moto_s3: S3Server, raw: str, prefix: str, pattern: str | None, found: dict[str, int]
) -> None:
    listed = prefix_recordings(objects(moto_s3.client), f"s3://{raw}/{prefix}", pattern, ELSEWHERE)
    assert {each.name: each.size_bytes for each in listed.recordings} == found
    start = f"{prefix.rstrip('/')}/" if prefix else ""
    assert [dict(each.variables) for each in listed.recordings] == [
        {"AWS_S3_BUCKET": raw, "AWS_S3_BUCKET_FOLDER": f"{start}{name}"} for name in found
    ]


def test_prefix_listing_reads_each_page_once(
    moto_s3: S3Server, proxied_s3: FaultProxy, bucket: str
) -> None:
    direct = moto_s3.client
    for index in range(1_100):
        direct.put_object(Bucket=bucket, Key=f"raw/run-{index:04}/a.bin", Body=b"ab")
    client = client_of(access_to(proxied_s3.url))
    listed = prefix_recordings(objects(client), f"s3://{bucket}/raw", None, ELSEWHERE)
    assert len(listed.recordings) == 1_100
    assert {each.size_bytes for each in listed.recordings} == {2}
    assert len(proxied_s3.counts.requests) == 2


@pytest.mark.parametrize(
    ("place", "pattern", "error", "message"),
    [
        ("{bucket}/raw", "night*/", SourceError, "holds nothing that matches night*/; check"),
        ("{bucket}/raw", "*.bin", SourceError, "there is day1/, day2/, notes.txt; check --match"),
        ("{bucket}/none", None, SourceError, "holds nothing that matches */; check --match"),
        ("no-such-bucket/raw", None, AwsError, "there is no bucket"),
        ("No Bucket/raw", None, SettingsError, "--source-prefix: 's3://No Bucket/raw' is not"),
    ],
)
def test_prefix_without_matches_is_refused(
    moto_s3: S3Server,
    raw: str,
    place: str,
    pattern: str | None,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        prefix_recordings(
            objects(moto_s3.client), f"s3://{place.format(bucket=raw)}", pattern, ELSEWHERE
        )


@pytest.mark.parametrize("target", ["raw/day2", "raw/day2/results/all"])
def test_results_folder_is_not_listed_as_recording(
    moto_s3: S3Server, raw: str, target: str
) -> None:
    place = S3Location(bucket=raw, key=target)
    listed = prefix_recordings(objects(moto_s3.client), f"s3://{raw}/raw", None, place)
    assert [each.name for each in listed.recordings] == ["day1"]
    assert listed.notes == ("left out day2, where the results go",)


def test_doubled_slash_is_no_recording(moto_s3: S3Server, bucket: str) -> None:
    storage = objects(moto_s3.client)
    moto_s3.client.put_object(Bucket=bucket, Key="raw//m1/a.bin", Body=b"1")
    left_out = f"left out s3://{bucket}/raw//m1/a.bin, as no path of files can have such a name"
    with pytest.raises(SourceError, match=re.escape(left_out)):
        prefix_recordings(storage, f"s3://{bucket}/raw", None, ELSEWHERE)
    moto_s3.client.put_object(Bucket=bucket, Key="raw/m2/a.bin", Body=b"1")
    target = S3Location(bucket=bucket, key="raw/results")
    listed = prefix_recordings(storage, f"s3://{bucket}/raw", None, target)
    assert [each.name for each in listed.recordings] == ["m2"]
    assert listed.notes == (f"{left_out}; rename it",)


def test_succeeded_jobs_are_left_out(moto_s3: S3Server, bucket: str) -> None:
    states = {
        "done": b'{"status": "succeeded"}',
        "failed": b'{"status": "failed"}',
        "broken": b"{",
        "list": b"[]",
        "running": None,
    }
    rows = tuple(
        ListedRecording(
            label=name, name=name, variables={"DANDISET_S3_FILE_URL": f"dandi://d/000003/{name}"}
        )
        for name in states
    )
    for name, content in states.items():
        if content is not None:
            moto_s3.client.put_object(Bucket=bucket, Key=f"all/{name}/run.json", Body=content)
    common = {
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": bucket,
        "TARGET_AWS_S3_BUCKET_FOLDER": "all",
    }
    jobs = jobs_of(Listing(title="all", recordings=rows), common)
    left = find_unfinished(objects(moto_s3.client), jobs).jobs
    assert [job.label for job in left] == ["failed", "broken", "list", "running"]


def test_records_are_looked_up_in_parallel(proxied_s3: FaultProxy, bucket: str) -> None:
    under_way: list[int] = []

    def watch(_: Request) -> None:
        under_way.append(proxied_s3.requests_under_way)
        time.sleep(0.05)

    rows = tuple(
        ListedRecording(label=str(row), name=str(row), variables={"DANDISET_S3_FILE_URL": "000003"})
        for row in range(30)
    )
    common = {"SORTERS": "simple", "TARGET_AWS_S3_BUCKET": bucket}
    proxied_s3.on_request = watch
    jobs = jobs_of(Listing(title="all", recordings=rows), common)
    assert find_unfinished(objects(client_of(access_to(proxied_s3.url))), jobs).jobs == jobs
    assert len(under_way) == 30
    assert max(under_way) > 4


def test_missing_target_bucket_stops_skip_completed(moto_s3: S3Server) -> None:
    row = ListedRecording(label="a", name="a", variables={"DANDISET_S3_FILE_URL": "000003"})
    common = {"SORTERS": "simple", "TARGET_AWS_S3_BUCKET": "no-such-bucket"}
    jobs = jobs_of(Listing(title="all", recordings=(row,)), common)
    with pytest.raises(AwsError, match="there is no bucket"):
        find_unfinished(objects(moto_s3.client), jobs)
