"""Many recordings from the laptop to their results: an array is submitted, and its children run."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.batch_server import AwsServer, aws_server
from tests.support.job import ONE_WORKER, assert_succeeded, run_job, s3_access
from tests.support.laptop import PLACE, Laptop

pytestmark = pytest.mark.integration

BUCKET = "lab-results"


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        server.client("s3").create_bucket(Bucket=BUCKET)
        yield server


def table_of(folder: Path, names: tuple[str, ...]) -> Path:
    """A CSV file of simulated recordings, each with other spikes."""
    file = folder / "jobs.csv"
    with file.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["TEST_WITH_TOY_RECORDING", "READ_RECORDING_KWARGS", "RUN_IDENTIFIER"])
        for seed, name in enumerate(names):
            kwargs = {"durations": [10.0], "num_channels": 16, "num_units": 3, "seed": seed}
            table.writerow(["true", json.dumps(kwargs), name])
    return file


def variables_of(aws: AwsServer, job_id: str) -> dict[str, str]:
    """What AWS Batch gives the container of a job; moto repeats a name, and the last one counts."""
    [job] = aws.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    return {each["name"]: each["value"] for each in job["container"]["environment"]}


def test_array_child_finds_its_recording_and_target(tmp_path: Path, aws: AwsServer) -> None:
    laptop = Laptop(folder=tmp_path, server=aws)
    many = (
        *("--csv", str(table_of(tmp_path, ("first", "second", "third")))),
        *("--sorters", "simple", "--target", f"s3://{BUCKET}/all", "--skip-completed", "--yes"),
        *PLACE,
    )
    submitted = laptop.run(*many)
    assert submitted.returncode == 0, submitted.stderr
    child = f"{submitted.stdout.strip()}:1"

    job = run_job(tmp_path / "child", ONE_WORKER | variables_of(aws, child) | s3_access(aws.url))
    assert_succeeded(job)
    assert json.loads(job.record["settings"]["READ_RECORDING_KWARGS"])["seed"] == 1
    assert job.record["manifest"]["index"] == 1

    results = laptop.run("results", child, "--json")
    assert results.returncode == 0, results.stderr
    shown = json.loads(results.stdout)
    assert shown["target"] == f"s3://{BUCKET}/all/second"
    assert shown["run"]["run_identifier"] == "second"

    again = laptop.run(*many, "--dry-run")
    assert again.returncode == 0, again.stderr
    assert "1 of 3 have succeeded already" in again.stderr
    assert json.loads(again.stdout)["arrayProperties"] == {"size": 2}
