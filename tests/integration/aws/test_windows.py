"""What click does otherwise on Windows, simulated: it alone believes that it runs there."""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import replace

import pytest

from tests.support.batch_server import AwsServer
from tests.support.laptop import PLACE, PROGRAM, Laptop

pytestmark = pytest.mark.integration

ON_WINDOWS = f"""
import os, sys, types
import click.core
click.core.os = types.SimpleNamespace(**{{**vars(os), "name": "nt"}})
sys.path.insert(0, {str(PROGRAM.parent)!r})
import submit_job
submit_job.main()
"""


@pytest.fixture
def windows(laptop: Laptop) -> Laptop:
    """A laptop with folders that a pattern of S3 matches as well."""
    for name in ("m1", "other"):
        (laptop.folder / name).mkdir()
    return replace(laptop, program=(sys.executable, "-c", ON_WINDOWS))


def test_pattern_is_matched_on_s3_not_in_the_folder(windows: Laptop, aws: AwsServer) -> None:
    bucket = f"raw-{uuid.uuid4()}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    for name in ("m1", "m2", "m3"):
        s3.put_object(Bucket=bucket, Key=f"{name}/a.ap.bin", Body=b"1")
    job = ("--source-prefix", f"s3://{bucket}", "--data-type", "spikeglx", "--sorters", "simple")
    done = windows.run(
        *job, "--target", "s3://lab-results/all", "--match", "*/", *PLACE, "--dry-run"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arrayProperties"] == {"size": 3}


def test_values_with_variables_and_tildes_are_sent_as_typed(windows: Laptop) -> None:
    job = ("--source", "s3://lab-data/raw/$HOME", "--data-type", "spikeglx", "--sorters", "simple")
    done = windows.run(*job, "--target", "s3://lab-results/~", *PLACE, "--dry-run")
    assert done.returncode == 0, done.stderr
    environment = json.loads(done.stdout)["containerOverrides"]["environment"]
    values = {variable["name"]: variable["value"] for variable in environment}
    assert values["AWS_S3_BUCKET_FOLDER"] == "raw/$HOME"
    assert values["TARGET_AWS_S3_BUCKET_FOLDER"] == "~"
