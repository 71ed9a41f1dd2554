"""An account of AWS and a laptop, for the tests of submission."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.batch_server import AwsServer, aws_server
from tests.submitting import Laptop

BUCKET = "lab-results"


@pytest.fixture(scope="session")
def account() -> Iterator[AwsServer]:
    """An account with a queue, a job definition and a bucket for results."""
    with aws_server() as server:
        server.client("s3").create_bucket(Bucket=BUCKET)
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
