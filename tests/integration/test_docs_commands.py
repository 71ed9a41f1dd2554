"""Command blocks of README and pages run as they stand, in a mock AWS account.

The blocks of a page run one after the other in one shell, on a terminal that answers each question
with yes. The account has the stack of `infra up` and a recording; moto starts no containers.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.account_server import ROLE, WITHOUT_CONTAINERS, account_server
from tests.support.command_blocks import PAGES, ROOT, blocks
from tests.support.laptop import Laptop
from tests.support.servers import S3Server, access_to, client_of

pytestmark = pytest.mark.integration

RUN = {page: [block for block in blocks(page) if block.mark == "run"] for page in PAGES}
FILE_MARK = "file: "

#: objects of the account, as the pages name them
RECORDINGS = [
    f"raw/{folder}_g0_t0.{stream}.{ending}"
    for folder, streams in (
        ("session1/session1", ("imec0.ap",)),
        ("mouse1/day1_g0/day1", ("imec0.ap",)),
        ("run_g0/run", ("imec0.ap", "imec1.ap", "nidq")),
    )
    for stream in streams
    for ending in ("bin", "meta")
]


@pytest.fixture(scope="module")
def account() -> Iterator[tuple[S3Server, str]]:
    """The account, and the role that AWS makes for Batch by itself."""
    with account_server("127.0.0.1", WITHOUT_CONTAINERS) as server:
        s3, iam = (client_of(access_to(server.url), service) for service in ("s3", "iam"))
        for bucket in ("my-lab-data", "my-lab-results"):
            s3.create_bucket(Bucket=bucket)
        for key in RECORDINGS:
            s3.put_object(Bucket="my-lab-data", Key=key, Body=b"0" * 1000)
        arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        yield server, arn


@pytest.fixture(scope="module")
def laptop(account: tuple[S3Server, str], tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """A laptop whose PATH has the command, in the account with its stack."""
    server, arn = account
    folder = tmp_path_factory.mktemp("laptop")
    command = folder / "spikeinterface-cloud"
    program = shlex.join([sys.executable, str(ROOT / "submit_job.py")])
    command.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    command.chmod(0o755)
    laptop = Laptop(folder=folder, server=server)
    role = ("--parameter", f"BatchServiceRoleArn={arn}")
    made = laptop.run("infra", "up", *role, "--yes")
    assert made.returncode == 0, made.stderr
    return laptop


def type_in(laptop: Laptop, script: str, folder: Path) -> tuple[int, str]:
    """Run a script in a shell on a terminal; return exit code and output."""
    shell = replace(laptop, folder=folder, program=("bash", "-euxo", "pipefail", "-c"))
    return shell.answer("y", script, env={"PATH": f"{laptop.folder}:{os.environ['PATH']}"})


@pytest.mark.parametrize(
    "page", [page for page in PAGES if RUN[page]], ids=lambda page: str(page.relative_to(ROOT))
)
def test_commands_run_as_they_stand(page: Path, laptop: Laptop, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.mark.startswith(FILE_MARK):
            (tmp_path / block.mark.removeprefix(FILE_MARK)).write_text(block.text)
    commands = "\n".join(block.text for block in RUN[page])
    code, output = type_in(laptop, commands, tmp_path)
    assert code == 0, output
