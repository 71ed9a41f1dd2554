"""Which account and region a command works in, and that a user sees them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.batch_server import AwsServer
from tests.support.laptop import JOB, PLACE, PROGRAM, Laptop

pytestmark = pytest.mark.integration

JOB_ID = "5cdc694e-2ec9-4b72-8d1c-371a69eff235"

#: profiles with keys, and one of them with a region
CREDENTIALS = """\
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = x
[lab]
aws_access_key_id = AKIALAB
aws_secret_access_key = x
[plain]
aws_access_key_id = AKIAPLAIN
aws_secret_access_key = x
"""
CONFIG = "[profile lab]\nregion = us-west-2\n"

NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
SHELL_KEYS = {"AWS_ACCESS_KEY_ID": "AKIASHELL", "AWS_SECRET_ACCESS_KEY": "x"}
FILE_KEYS = "AWS_ACCESS_KEY_ID=AKIAFILE\nAWS_SECRET_ACCESS_KEY=x\n"
NO_REGION = {"AWS_DEFAULT_REGION": None}


@pytest.fixture
def profiles(laptop: Laptop) -> None:
    folder = laptop.folder / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(CREDENTIALS)
    (folder / "config").write_text(CONFIG)


def write_env_file(folder: Path, content: str) -> None:
    (folder / ".env").write_text(content)


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("env", "env_file", "flags", "access_key"),
    [
        pytest.param(SHELL_KEYS | {"AWS_PROFILE": "lab"}, "", (), "AKIASHELL", id="keys, profile"),
        pytest.param(SHELL_KEYS, "AWS_PROFILE=lab\n", (), "AKIASHELL", id="profile in file"),
        pytest.param(SHELL_KEYS, FILE_KEYS, (), "AKIASHELL", id="keys in both"),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "AKIASHELL", "AWS_SECRET_ACCESS_KEY": "x"},
            "AWS_SESSION_TOKEN=of-others\n", (), "AKIASHELL", id="token in file",
        ),
        pytest.param(NO_KEYS | {"AWS_PROFILE": "lab"}, FILE_KEYS, (), "AKIALAB", id="keys in file"),
        pytest.param(NO_KEYS, "AWS_PROFILE=lab\n", (), "AKIALAB", id="file only"),
        pytest.param(NO_KEYS, FILE_KEYS + "AWS_PROFILE=lab\n", (), "AKIAFILE", id="both in file"),
        pytest.param(SHELL_KEYS, FILE_KEYS, ("--profile", "plain"), "AKIAPLAIN", id="flag"),
        pytest.param(SHELL_KEYS | {"AWS_PROFILE": ""}, "", (), "AKIASHELL", id="empty profile"),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "AKIASHELL\r", "AWS_SECRET_ACCESS_KEY": "x\r\n"}, "", (),
            "AKIASHELL", id="line ends",
        ),
        pytest.param(NO_KEYS, "", (), "AKIADEFAULT", id="nothing named"),
    ],
)  # fmt: skip
def test_credentials_are_of_one_source(
    laptop: Laptop,
    aws: AwsServer,
    env: dict[str, str | None],
    env_file: str,
    flags: tuple[str, ...],
    access_key: str,
) -> None:
    write_env_file(laptop.folder, env_file)
    laptop.run("status", JOB_ID, *flags, env=env)
    signed = {(call.access_key, call.session_token) for call in aws.named("describejobs")}
    assert signed == {(access_key, "")}


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("env", "env_file", "flags", "region"),
    [
        pytest.param(
            {"AWS_DEFAULT_REGION": "eu-west-1"}, "AWS_REGION=us-east-2\n", (), "eu-west-1",
            id="shell and file",
        ),
        pytest.param(
            {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}, "", (), "eu-west-2",
            id="both variables",
        ),
        pytest.param(
            NO_REGION, "AWS_PROFILE=lab\nAWS_REGION=us-east-2\n", (), "us-east-2",
            id="file names both",
        ),
        pytest.param(
            NO_REGION | {"AWS_PROFILE": "lab"}, "AWS_REGION=us-east-2\n", (), "us-west-2",
            id="profile of the shell",
        ),
        pytest.param(
            NO_REGION, "AWS_DEFAULT_REGION=us-east-2\n", ("--profile", "lab"), "us-west-2",
            id="profile of a flag",
        ),
        pytest.param(
            NO_REGION | {"AWS_PROFILE": "plain"}, "AWS_REGION=us-east-2\n", (), "us-east-2",
            id="profile without region",
        ),
        pytest.param(
            NO_REGION | {"AWS_PROFILE": "lab", "AWS_REGION_NAME": "eu-west-1"}, "", (),
            "us-west-2", id="region of the buckets",
        ),
        pytest.param(
            {"AWS_REGION_NAME": "eu-west-1"}, "", (), "us-east-1", id="buckets elsewhere",
        ),
        pytest.param(
            NO_REGION, "AWS_REGION_NAME=eu-west-1\n", (), "eu-west-1", id="only of the buckets"
        ),
        pytest.param(
            {"AWS_REGION": "eu-west-2", "AWS_PROFILE": "lab"}, "", ("--region", "ap-south-1"),
            "ap-south-1", id="flag",
        ),
    ],
)  # fmt: skip
def test_region_is_of_strongest_source(
    laptop: Laptop,
    aws: AwsServer,
    env: dict[str, str | None],
    env_file: str,
    flags: tuple[str, ...],
    region: str,
) -> None:
    write_env_file(laptop.folder, env_file)
    laptop.run("status", JOB_ID, *flags, env=env)
    assert {call.region for call in aws.named("describejobs")} == {region}


@pytest.mark.usefixtures("profiles")
def test_every_command_has_the_same_account_and_region(laptop: Laptop, aws: AwsServer) -> None:
    write_env_file(laptop.folder, "AWS_PROFILE=lab\nAWS_REGION=us-east-2\n")
    shell: dict[str, str | None] = {**SHELL_KEYS, "AWS_DEFAULT_REGION": "eu-west-1"}
    for command in (["infra", "status"], ["list", "--job-queue", "gpu"], [*JOB, *PLACE]):
        laptop.run(*command, env=shell)
    signed = {(call.access_key, call.region) for call in aws.calls if call.access_key}
    assert signed == {("AKIASHELL", "eu-west-1")}
    assert {call.service for call in aws.calls} >= {"cloudformation", "batch"}


@pytest.mark.usefixtures("profiles")
def test_images_are_pushed_to_the_account_of_the_stack(laptop: Laptop, aws: AwsServer) -> None:
    write_env_file(laptop.folder, "AWS_PROFILE=lab\nAWS_REGION=us-east-2\n")
    program = (sys.executable, "-m", "container.push")
    shell = {**NO_KEYS, **NO_REGION, "DOCKER": "true", "PYTHONPATH": str(PROGRAM.parent)}
    done = replace(laptop, program=program).run("--version", "1", "--dry-run", env=shell)
    assert done.returncode == 0, done.stderr
    laptop.run("infra", "status", env={**NO_KEYS, **NO_REGION})
    signed = {(call.service, call.access_key, call.region) for call in aws.calls}
    assert signed == {(name, "AKIALAB", "us-east-2") for name in ("ecr", "cloudformation")}


def test_submission_shows_account_and_region(laptop: Laptop) -> None:
    done = laptop.run(*JOB, *PLACE)
    assert done.returncode == 0
    assert "submitted session1-" in done.stderr
    assert "to account 123456789012 in us-east-1; its results go to s3://" in done.stderr
    assert len(done.stdout.split()) == 1


def test_question_about_a_list_shows_account_and_region(laptop: Laptop, aws: AwsServer) -> None:
    (laptop.folder / "jobs.csv").write_text("AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER\nlab,raw/1\n")
    job = (
        "--csv",
        "jobs.csv",
        "--data-type",
        "spikeglx",
        "--sorters",
        "simple",
        "--target",
        "s3://lab-results/all",
    )
    code, output = laptop.answer("n", *job, *PLACE)
    assert code == 1
    assert "in account 123456789012, us-east-1" in output
    assert not aws.named("submitjob")


@pytest.mark.parametrize("command", ["status", "wait", "cancel", "logs"])
def test_jobs_in_two_regions_are_refused(laptop: Laptop, aws: AwsServer, command: str) -> None:
    number = "5cdc694e-2ec9-4b72-8d1c-371a69eff23"
    places = (
        f"arn:aws:batch:us-west-2:123456789012:job/{number}5",
        f"https://us-east-1.console.aws.amazon.com/batch/home?region=us-east-1#jobs/{number}6",
    )
    done = laptop.run(command, *places)
    assert done.returncode == 2
    assert "in two regions, us-west-2 and us-east-1; give one command each" in done.stderr
    assert not aws.calls
