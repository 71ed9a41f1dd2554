"""`make push`: which images go where, told by a dry run against moto's ECR."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.end_to_end.containers.cloud import Cloud
from tests.end_to_end.containers.containers import CLIENT, REPOSITORY
from tests.support.job import s3_access

pytestmark = [pytest.mark.integration, pytest.mark.docker]


def push(cloud: Cloud, *arguments: str) -> subprocess.CompletedProcess[str]:
    access = s3_access(cloud.server.url)
    return subprocess.run(
        [sys.executable, "-m", "container.push", "--version", "1.2.3", *arguments],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "DOCKER": CLIENT, "AWS_DEFAULT_REGION": "us-east-1"}
        | access,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dry_run_tells_the_commands_and_no_password(cloud: Cloud, image: str) -> None:
    done = push(cloud, "--image", image, "--dry-run")
    assert done.returncode == 0, done.stderr
    login, tag, sent = done.stdout.splitlines()
    host = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    assert login == f"{CLIENT} login --username AWS --password-stdin {host}"
    assert tag == f"{CLIENT} tag {image}:latest {host}/{image}:1.2.3"
    assert sent == f"{CLIENT} push {host}/{image}:1.2.3"
    assert cloud.client("ecr").describe_repositories()["repositories"] == []


def test_an_image_that_is_not_here_is_built_first(cloud: Cloud, engine: str) -> None:
    done = push(cloud, "--image", "no-such-image", "--dry-run")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "there is no image no-such-image; build it first (make image, make image-gpu)\n"
    )
