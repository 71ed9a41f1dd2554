"""A child of an array runs its line of the manifest, and is refused in one line where it cannot."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.manifest import manifest_bytes, manifest_location
from tests.support.job import ONE_WORKER, assert_refused, assert_succeeded, run_job, s3_access
from tests.support.servers import S3Server, check_permissions, guarded_moto_server
from tests.support.sorted_results import keys_below

pytestmark = pytest.mark.integration

BUCKET = "many"
ARRAY = "6dd4a2b0-6b1c-4f0e-9c3e-1b5e6f7a8b9c"

#: ten seconds of three units: what two lines differ in is the seed of the simulation
SIMULATION = {"durations": [10.0], "num_channels": 16, "num_units": 3}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A manifest of two recordings on a server."""

    server: S3Server
    url: str


def line(name: str, seed: int) -> dict[str, str]:
    return {
        "TEST_WITH_TOY_RECORDING": "true",
        "READ_RECORDING_KWARGS": json.dumps(SIMULATION | {"seed": seed}),
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": BUCKET,
        "TARGET_AWS_S3_BUCKET_FOLDER": f"results/{name}",
        "RUN_IDENTIFIER": name,
    }


def put_manifest(server: S3Server, data: bytes) -> str:
    """Store a manifest below the target, as a submission does; its URL."""
    location = manifest_location(S3Location(bucket=BUCKET, key="results"), data)
    server.client.put_object(Bucket=location.bucket, Key=location.key, Body=data)
    return str(location)


@pytest.fixture(scope="module")
def listed(moto_s3: S3Server) -> Listed:
    moto_s3.client.create_bucket(Bucket=BUCKET)
    data = manifest_bytes([line("first", 1), line("second", 2)])
    url = put_manifest(moto_s3, data)
    return Listed(server=moto_s3, url=url)


def published(server: S3Server, name: str) -> dict[str, Any]:
    """The record that a child left in its folder of the target."""
    reply = server.client.get_object(Bucket=BUCKET, Key=f"results/{name}/run.json")
    content: dict[str, Any] = json.loads(reply["Body"].read())
    return content


def test_child_sorts_recording_of_its_line(tmp_path: Path, listed: Listed) -> None:
    job = run_job(
        tmp_path,
        ONE_WORKER
        | s3_access(listed.server.url)
        | {"MANIFEST_URL": listed.url, "AWS_BATCH_JOB_ARRAY_INDEX": "1"}
        # those of the job definition: the line is stronger
        | {"SORTERS": "kilosort4", "SOURCE_FOLDER": "/nowhere", "RUN_IDENTIFIER": "default"},
    )
    assert_succeeded(job)
    record = published(listed.server, "second")
    assert record["status"] == "succeeded"
    assert record["manifest"] == {"url": listed.url, "index": 1}
    assert record["run_identifier"] == "second"
    assert record["settings"]["MANIFEST_URL"] == listed.url
    assert json.loads(record["settings"]["READ_RECORDING_KWARGS"])["seed"] == 2
    assert [run["sorter"] for run in record["sorters"]] == ["simple"]
    assert keys_below(listed.server.client, BUCKET, "results/first") == []
    assert f"this job is line 2 of {listed.url}" in job.log


@pytest.mark.parametrize(
    ("job_identifier", "names", "target"),
    [
        (f"{ARRAY}:0", ["first", "second"], "s3://many/results/first"),
        (f"{ARRAY}:1", ["first", "third"], "s3://many/results/third"),
        (ARRAY, ["alone"], "s3://many/results/alone"),
    ],
)
def test_job_id_selects_line_without_index(
    tmp_path: Path, listed: Listed, job_identifier: str, names: list[str], target: str
) -> None:
    data = manifest_bytes([line(name, 1) for name in names])
    url = put_manifest(listed.server, data)
    variables = {"MANIFEST_URL": url, "AWS_BATCH_JOB_ID": job_identifier}
    job = run_job(tmp_path, s3_access(listed.server.url) | variables, "--check")
    assert job.exit_code == 0, job.output
    assert f"{target}\n" in job.output


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_child_beyond_manifest_is_refused(
    tmp_path: Path, listed: Listed, arguments: tuple[str, ...]
) -> None:
    job = run_job(
        tmp_path,
        s3_access(listed.server.url)
        | {"MANIFEST_URL": listed.url, "AWS_BATCH_JOB_ARRAY_INDEX": "2"},
        *arguments,
    )
    assert job.exit_code == 78, job.log
    assert "the list has 2 lines, and this is child 2 of the array" in job.log + job.output
    assert "Traceback" not in job.log


@pytest.mark.parametrize(
    ("url", "exit_code", "pattern"),
    [
        ("s3://many/results/none.jsonl", 66, "cannot read s3://many/results/none.jsonl: there is "),
        ("s3://no-such-bucket/a.jsonl", 66, "there is no bucket no-such-bucket"),
        ("s3://many", 78, "MANIFEST_URL: 's3://many' does not name an object on S3; write s3://"),
        ("https://many/a.jsonl", 78, "MANIFEST_URL: .* is not the name of an S3 bucket"),
    ],
)
def test_missing_manifest_is_refused(
    tmp_path: Path, listed: Listed, url: str, exit_code: int, pattern: str
) -> None:
    job = run_job(tmp_path, s3_access(listed.server.url) | {"MANIFEST_URL": url})
    assert_refused(job, exit_code, pattern)
    assert not job.results.exists()


def test_invalid_line_is_refused_with_all_problems(tmp_path: Path, listed: Listed) -> None:
    bad = {"SORTERS": "simple", "N_JOBS": "many", "TARGET_AWS_S3_BUCKET": BUCKET}
    url = put_manifest(listed.server, manifest_bytes([bad]))
    job = run_job(tmp_path, s3_access(listed.server.url) | {"MANIFEST_URL": url})
    assert_refused(job, 78, "no source given; set one of", "N_JOBS: ")


@pytest.fixture(scope="module")
def guarded() -> Iterator[S3Server]:
    """A server that allows nothing to the tests' key."""
    with guarded_moto_server() as server:
        server.client.create_bucket(Bucket=BUCKET)
        check_permissions(server)
        yield server


def test_forbidden_manifest_is_refused(tmp_path: Path, guarded: S3Server) -> None:
    job = run_job(
        tmp_path, s3_access(guarded.url) | {"MANIFEST_URL": f"s3://{BUCKET}/results/a.jsonl"}
    )
    assert_refused(job, 66, "cannot read s3://many/results/a.jsonl: .*(denied|refused)")
