"""From the laptop to the bucket: `submit_job.py`, and a Batch that starts the image."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.containers.cloud import Cloud
from tests.end_to_end.containers.conftest import SOURCE, SOURCE_BUCKET, TARGET_BUCKET, Source
from tests.end_to_end.containers.containers import TIMEOUT_S
from tests.end_to_end.containers.laptop import Laptop
from tests.support.servers import SECRET_KEY
from tests.support.sorted_results import (
    assert_complete,
    download_folder,
    files_with,
    keys_below,
    n_true_units_found,
)

pytestmark = [pytest.mark.integration, pytest.mark.sorting, pytest.mark.docker]

SORTERS = ["simple"]

#: how often the tests ask for a job's state
INTERVAL = ["--poll-interval", "0.5"]


# ----- one recording -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """A job from its submission to its end, as the user saw it."""

    job_id: str
    logs: subprocess.CompletedProcess[str]
    waited: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def submitted(laptop: Laptop, source: Source) -> Submitted:
    submission = laptop.submit_job(
        *("--source", f"s3://{SOURCE_BUCKET}/{SOURCE}"),
        *("--target", f"s3://{TARGET_BUCKET}/from-batch"),
        *("--data-type", "spikeglx", "--sorters", ",".join(SORTERS)),
    )
    assert submission.returncode == 0, submission.stderr
    [job_id] = submission.stdout.split()
    with laptop.started("logs", job_id, "--follow", *INTERVAL) as following:
        waited = laptop.submit_job("wait", job_id, *INTERVAL)
        output, errors = following.communicate(timeout=TIMEOUT_S)
    logs = subprocess.CompletedProcess(following.args, following.returncode, output, errors)
    return Submitted(job_id=job_id, logs=logs, waited=waited)


def test_wait_ends_as_the_container_did(submitted: Submitted) -> None:
    assert submitted.waited.returncode == 0, submitted.waited.stderr + submitted.logs.stdout


def test_the_log_is_followed_to_its_end(submitted: Submitted) -> None:
    assert submitted.logs.returncode == 0, submitted.logs.stderr
    assert "sort with simple done" in submitted.logs.stdout
    assert "publish run.json done" in submitted.logs.stdout.splitlines()[-1]
    assert f"{submitted.job_id} is SUCCEEDED" in submitted.logs.stderr


def test_the_bucket_holds_what_the_sorters_found(
    submitted: Submitted, cloud: Cloud, source: Source, tmp_path: Path
) -> None:
    results = download_folder(cloud.server.client, TARGET_BUCKET, "from-batch", tmp_path)
    assert_complete(results, SORTERS)
    assert n_true_units_found(results, "simple", source.simulated.truth) == 3
    assert files_with(results, SECRET_KEY) == []


def test_results_shows_and_fetches_the_same(
    submitted: Submitted, laptop: Laptop, cloud: Cloud, tmp_path: Path
) -> None:
    folder = tmp_path / "fetched"
    shown = laptop.submit_job("results", submitted.job_id, "--download", str(folder))
    assert shown.returncode == 0, shown.stderr
    assert "simple: sorted, 3 units" in shown.stdout
    keys = keys_below(cloud.server.client, TARGET_BUCKET, "from-batch")
    fetched = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    assert sorted(fetched) == sorted(key.removeprefix("from-batch/") for key in keys)


# ----- many recordings ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ended_array(laptop: Laptop, cloud: Cloud, source: Source) -> dict[str, Any]:
    """What `status` says of an array of three recordings, the second of which is broken."""
    client = cloud.server.client
    for name in ("a", "b", "c"):
        for key in keys_below(client, SOURCE_BUCKET, SOURCE):
            copy = key.replace(SOURCE, f"many/{name}", 1)
            client.copy({"Bucket": SOURCE_BUCKET, "Key": key}, SOURCE_BUCKET, copy)
    for key in keys_below(client, SOURCE_BUCKET, "many/b"):
        if key.endswith(".meta"):
            client.put_object(Bucket=SOURCE_BUCKET, Key=key, Body=b"typeThis=imec\n")
    submission = laptop.submit_job(
        *("--source-prefix", f"s3://{SOURCE_BUCKET}/many/", "--yes"),
        *("--target", f"s3://{TARGET_BUCKET}/many"),
        *("--data-type", "spikeglx", "--sorters", ",".join(SORTERS)),
    )
    assert submission.returncode == 0, submission.stderr
    [job_id] = submission.stdout.split()
    children = [f"{job_id}:{number}" for number in range(3)]
    # the children, as moto never ends an array of which a child failed
    codes = [laptop.submit_job("wait", child, *INTERVAL).returncode for child in children]
    assert [code != 0 for code in codes] == [False, True, False]
    status = laptop.submit_job("status", "--json", job_id, *children)
    assert status.returncode == 0, status.stderr
    jobs = {job["jobId"].partition(":")[2]: job for job in json.loads(status.stdout)}
    # moto tells the containers' exit codes in its list of jobs alone
    listed = cloud.client("batch").list_jobs(arrayJobId=job_id)["jobSummaryList"]
    for job in listed:
        jobs[job["jobId"].partition(":")[2]]["exitCode"] = job["container"]["exitCode"]
    return jobs


def test_the_status_of_the_array_counts_its_jobs(ended_array: dict[str, Any]) -> None:
    array = ended_array[""]
    assert array["arraySize"] == 3
    assert {status: n for status, n in array["arrayCounts"].items() if n} == {
        "SUCCEEDED": 2,
        "FAILED": 1,
    }


def test_the_status_shows_which_failed_and_with_which_code(ended_array: dict[str, Any]) -> None:
    assert [ended_array[number]["status"] for number in "012"] == [
        "SUCCEEDED",
        "FAILED",
        "SUCCEEDED",
    ]
    assert ended_array["1"]["exitCode"] == os.EX_DATAERR


@pytest.mark.parametrize("name", ["a", "c"])
def test_the_others_are_sorted_into_folders_of_their_own(
    ended_array: dict[str, Any], cloud: Cloud, source: Source, tmp_path: Path, name: str
) -> None:
    results = download_folder(cloud.server.client, TARGET_BUCKET, f"many/{name}", tmp_path)
    assert_complete(results, SORTERS)
    assert n_true_units_found(results, "simple", source.simulated.truth) == 3


def test_the_broken_one_says_why(ended_array: dict[str, Any], cloud: Cloud, tmp_path: Path) -> None:
    results = download_folder(cloud.server.client, TARGET_BUCKET, "many/b", tmp_path)
    record = json.loads((results / "run.json").read_text())
    assert (record["status"], record["exit_code"]) == ("failed", os.EX_DATAERR)
