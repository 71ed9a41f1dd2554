"""An account of AWS and a laptop, for the tests of submission; machines, for those of results."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spikeinterface_cloud.runtime.numba_cache import enable_numba_cache
from tests.support.batch_server import AwsServer, aws_server
from tests.support.hosts import Host
from tests.support.laptop import Laptop
from tests.support.servers import S3Server

# as a job does; else every worker of the tests compiles its own. Not in the conftest.py of all
# tests, as those of the laptop's commands run without Numba
enable_numba_cache()

BUCKET = "lab-results"


@pytest.fixture(scope="session")
def account() -> Iterator[AwsServer]:
    """An account with a queue, a job definition and a bucket for results."""
    with aws_server() as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.create_bucket(Bucket="lab-data")  # of the source of tests.support.laptop.JOB
        s3.put_object(Bucket="lab-data", Key="raw/session1/a.ap.bin", Body=b"1")
        yield server


@pytest.fixture
def aws(account: AwsServer) -> AwsServer:
    """The account, with nothing in the way that an earlier test has called or asked for."""
    account.clear()
    return account


@pytest.fixture
def laptop(aws: AwsServer, tmp_path: Path) -> Laptop:
    """A laptop with an empty folder."""
    return Laptop(folder=tmp_path, server=aws)


@pytest.fixture(params=["with a target", "without a target"])
def host(
    request: pytest.FixtureRequest, tmp_path: Path, moto_s3: S3Server, bucket: str
) -> Callable[[str], Host]:
    """Machines by name; without a target they are all the same, as nothing else is shared."""
    if request.param == "with a target":
        return lambda name: Host(tmp_path / name, moto_s3, bucket)
    return lambda _: Host(tmp_path / "only", None, bucket)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607
