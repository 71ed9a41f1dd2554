"""`make push` with clients of Docker that a test wrote: what it says if they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.batch_server import AwsServer
from tests.support.servers import ACCESS_KEY, SECRET_KEY

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]

#: clients by what their daemon does
STOPPED = "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2; exit 1"
WITHOUT_IMAGES = '[ "$1" = info ]'
PUSH_FAILS = '[ "$1" != push ]'


def push(folder: Path, aws: AwsServer, client: str, **env: str) -> subprocess.CompletedProcess[str]:
    docker = folder / "docker"
    if client:
        docker.write_text(f"#!/bin/sh\n{client}\n")
        docker.chmod(0o755)
    return subprocess.run(
        [sys.executable, "-m", "container.push", "--version", "1.2.3"],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "DOCKER": str(docker),
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
    )


KEYS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.mark.parametrize(
    ("client", "message"),
    [
        ("", "docker cannot be run: No such file or directory; install Docker, or name another"),
        (STOPPED, "does not answer: Cannot connect to the Docker daemon at unix:///var/run/docker"),
        (WITHOUT_IMAGES, "there is no image spikeinterface-cloud; build it first (make image, "),
        (PUSH_FAILS, "docker push failed with exit code 1; see its message above"),
    ],
)
def test_push_says_what_is_missing(
    tmp_path: Path, aws: AwsServer, client: str, message: str
) -> None:
    done = push(tmp_path, aws, client, **KEYS)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert message in line
