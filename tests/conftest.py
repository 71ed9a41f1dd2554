"""Fixtures that more than one test module uses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.servers import (
    S3Server,
    moto_server,
    rclone_server,
    rgw_stand_in,
    seaweedfs_server,
)

#: programs that write an input of a test
collect_ignore_glob = ["cases/*.py"]


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[S3Server]:
    """moto's S3 server, which allows everything."""
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rgw_s3(moto_s3: S3Server) -> Iterator[S3Server]:
    """The server of `moto_s3` with the conditional writes of Ceph's S3 gateway."""
    with rgw_stand_in(moto_s3) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """rclone's S3 server over a temporary folder: for volume, and for its quirks."""
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS's S3 server: for checksums and ranges as S3 itself has them."""
    with seaweedfs_server(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture
def bucket(moto_s3: S3Server) -> str:
    """The name of a new, empty bucket of `moto_s3`."""
    name = f"test-{uuid.uuid4()}"
    moto_s3.client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def rclone_bucket(rclone_s3: S3Server) -> str:
    """The name of a new, empty bucket of `rclone_s3`."""
    name = f"test-{uuid.uuid4()}"
    rclone_s3.client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def proxied_s3(moto_s3: S3Server) -> Iterator[FaultProxy]:
    """A proxy in front of `moto_s3` that fails when it is told to."""
    with FaultProxy(moto_s3.url) as proxy:
        yield proxy
