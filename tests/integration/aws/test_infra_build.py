"""`infra build` as a user types it: moto's stack and bucket, and a CodeBuild that tests program."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.infra.build import PREFIX
from spikeinterface_cloud.aws.infra.build_context import FILES
from spikeinterface_cloud.prices import AS_OF
from tests.support.batch_server import AwsServer
from tests.support.laptop import PROGRAM, Laptop, wait_until
from tests.support.template import TEMPLATE

pytestmark = pytest.mark.integration

STACK, PROJECT, BUCKET = "builds", "builds-image", "builds-results"
BUILD_ID = f"{PROJECT}:0a1b2c3d"
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/spikeinterface-cloud"
IMAGE = f"{REPOSITORY}:{__version__}"

#: of the log
STARTED = 1_790_000_000

OUTPUTS = {
    "BuildProject": PROJECT,
    "RepositoryUri": REPOSITORY,
    "ResultsBucket": BUCKET,
    "CpuImageUri": IMAGE,
    "GpuImageUri": f"{REPOSITORY}:0.0.9-gpu",
}


def make_stack(server: AwsServer, name: str, outputs: Mapping[str, str]) -> None:
    """A stack of this project with nothing but outputs."""
    template = {
        "Description": TEMPLATE["Description"],
        "Resources": {"Group": {"Type": "AWS::Logs::LogGroup"}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    cloudformation = server.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))


@pytest.fixture(scope="module", autouse=True)
def stacks(account: AwsServer) -> None:
    """The stack, and one of a version that had no builds."""
    account.client("s3").create_bucket(Bucket=BUCKET)
    make_stack(account, STACK, OUTPUTS)
    make_stack(account, "old", {"RepositoryUri": REPOSITORY, "ResultsBucket": BUCKET})


@dataclass(kw_only=True)
class CodeBuild:
    """A build in the states that a test says, one after another; the last one stays."""

    states: list[dict[str, Any]]
    lines: list[str] = field(default_factory=lambda: ["[Container] Phase complete"])
    started: list[dict[str, Any]] = field(default_factory=list)

    def state(self, **fields: Any) -> dict[str, Any]:
        """CodeBuild's description of a build."""
        return {
            "id": BUILD_ID,
            "buildStatus": "IN_PROGRESS",
            "currentPhase": "BUILD",
            "environment": {"computeType": "BUILD_GENERAL1_MEDIUM"},
            "logs": {"groupName": f"/aws/codebuild/{STACK}", "streamName": "0a1b2c3d"},
            "startTime": STARTED,
            **fields,
        }

    def serve(self, server: AwsServer) -> None:
        """Answer the calls of `infra build`."""

        def start(body: dict[str, Any]) -> dict[str, Any]:
            self.started.append(body)
            return {"build": self.state(currentPhase="SUBMITTED", logs={})}

        def look_up(body: dict[str, Any]) -> dict[str, Any]:
            assert body["ids"] == [BUILD_ID]
            fields = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return {"builds": [self.state(**fields)]}

        def log(body: dict[str, Any]) -> dict[str, Any]:
            assert body["logGroupName"] == f"/aws/codebuild/{STACK}"
            new = [] if "nextToken" in body else self.lines
            events = [{"timestamp": STARTED * 1000, "message": f"{line}\n"} for line in new]
            return {"events": events, "nextForwardToken": "end", "nextBackwardToken": "start"}

        server.answers |= {
            "StartBuild": start,
            "BatchGetBuilds": look_up,
            "GetLogEvents": log,
            "StopBuild": lambda body: {"build": self.state(id=body["id"])},
        }


SUCCEEDED = {"buildStatus": "SUCCEEDED", "currentPhase": "COMPLETED", "endTime": STARTED + 754.2}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def build(laptop: Laptop) -> Run:
    return lambda *arguments: laptop.run("infra", "build", "--poll-interval", "0.05", *arguments)


@pytest.fixture
def succeeding(aws: AwsServer) -> Iterator[CodeBuild]:
    """A build that queues, runs and succeeds."""
    codebuild = CodeBuild(
        states=[{"currentPhase": "PROVISIONING", "logs": {}}, {"currentPhase": "BUILD"}, SUCCEEDED]
    )
    codebuild.serve(aws)
    yield codebuild
    aws.clear()


def test_it_builds_the_context_and_says_seconds_and_usd(
    build: Run, succeeding: CodeBuild, aws: AwsServer
) -> None:
    succeeding.lines = ["#12 DONE 3.1s", "\x1b[31mred"]
    done = build("--stack", STACK)
    assert (done.returncode, done.stdout) == (0, f"{IMAGE}\n"), done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"build {IMAGE} by the CodeBuild project {PROJECT}, from ")
    shown = [line.partition("Z ")[2] or line for line in lines if not line.startswith("note:")][1:]
    assert shown == [
        f"build {BUILD_ID}: PROVISIONING",
        f"build {BUILD_ID}: BUILD",
        "#12 DONE 3.1s",
        "\\x1b[31mred",
        f"the build took 754 s: 0.13 USD (list prices of {AS_OF}, by the minute)",
        f"jobs run it from now on; submit them with --stack {STACK}",
    ]
    [started] = succeeding.started
    assert started["projectName"] == PROJECT
    variables = {each["name"]: each["value"] for each in started["environmentVariablesOverride"]}
    assert variables == {"DOCKERFILE": "Dockerfile", "IMAGE": IMAGE, "VERSION": __version__}
    bucket, _, key = started["sourceLocationOverride"].partition("/")
    assert bucket == BUCKET
    assert key.startswith(f"{PREFIX}/")
    actions = {call.action for call in aws.calls if call.service != "s3"}
    assert actions == {"DescribeStacks", "StartBuild", "BatchGetBuilds", "GetLogEvents"}
    assert [call.action for call in aws.calls if call.service == "s3"] == [f"PUT /{bucket}/{key}"]
    content = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert set(FILES) < set(archive.namelist())


def test_the_gpu_image_has_its_own_tag_and_the_stack_moves_to_it_by_infra_up(
    build: Run, succeeding: CodeBuild
) -> None:
    done = build("--stack", STACK, "--gpu", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "image": f"{IMAGE}-gpu",
        "buildId": BUILD_ID,
        "status": "SUCCEEDED",
        "seconds": 754.2,
        "usd": pytest.approx(0.13),
    }
    assert done.stderr.endswith(
        f"jobs still run {REPOSITORY}:0.0.9-gpu; `python {PROGRAM} infra up --stack {STACK}` makes "
        "them run the new image\n"
    )
    [started] = succeeding.started
    variables = {each["name"]: each["value"] for each in started["environmentVariablesOverride"]}
    assert variables["DOCKERFILE"] == "Dockerfile.gpu"


def test_a_dry_run_sends_nothing(build: Run, aws: AwsServer) -> None:
    done = build("--stack", STACK, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["image"] == IMAGE
    assert set(FILES) < set(plan["files"])
    assert done.stderr.splitlines()[-1] == "this was a dry run; nothing was sent"
    assert {call.service for call in aws.calls} == {"cloudformation"}


def test_a_build_that_fails_ends_with_its_last_lines_the_reason_and_1(
    build: Run, aws: AwsServer
) -> None:
    reason = {
        "statusCode": "COMMAND_EXECUTION_ERROR",
        "message": "Error while executing command: docker build. Reason: exit status 1",
    }
    failed = {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [reason]}
    end = {"buildStatus": "FAILED", "phases": [failed], "endTime": STARTED + 61}
    CodeBuild(states=[{}, end], lines=["ERROR: no space left on device"]).serve(aws)
    done = build("--stack", STACK)
    assert (done.returncode, done.stdout) == (1, "")
    *_, log, cost, error = done.stderr.splitlines()
    assert log.endswith("ERROR: no space left on device")
    assert cost == f"the build took 61 s: 0.02 USD (list prices of {AS_OF}, by the minute)"
    assert error == (
        f"Error: the build {BUILD_ID} failed: BUILD: Error while executing command: docker build. "
        "Reason: exit status 1; correct what its last lines name, then run the same command again"
    )


def test_a_stack_that_an_older_version_made_is_updated_first(build: Run, aws: AwsServer) -> None:
    done = build("--stack", "old")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "Error: the stack old has no build project, as an older version of this program made it; "
        f"run `python {PROGRAM} infra up --stack old`, then `infra build` again\n",
    )


def test_watching_outlives_a_server_that_fails_and_a_log_that_is_refused(
    build: Run, succeeding: CodeBuild, aws: AwsServer
) -> None:
    aws.refuse("BatchGetBuilds", "ServerException", "oops")
    aws.refuse("GetLogEvents", "AccessDeniedException", "not for you", times=5)
    done = build("--watch", BUILD_ID)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    failing, *_, note, cost = done.stderr.splitlines()
    assert failing.startswith(f"cannot look up the build {BUILD_ID}: the server failed")
    assert failing.endswith("; the build goes on, and is still watched")
    assert note.startswith("note: cannot read the log: access denied")
    assert note.endswith("; the build is watched without its log")
    assert cost.startswith("the build took 754 s")


def test_a_state_that_is_refused_ends_the_watching_with_77(build: Run, aws: AwsServer) -> None:
    CodeBuild(states=[{}]).serve(aws)
    aws.refuse("BatchGetBuilds", "AccessDeniedException", "not for you")
    done = build("--stack", STACK)
    assert done.returncode == 77
    assert "the build goes on; to watch it again, or to stop it:" in done.stderr


def test_ctrl_c_leaves_the_build_and_says_how_to_watch_and_stop_it(
    laptop: Laptop, aws: AwsServer
) -> None:
    CodeBuild(states=[{}]).serve(aws)
    process = laptop.start("infra", "build", "--stack", STACK, "--region", "us-east-1")
    wait_until(lambda: aws.named("GetLogEvents"))
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "")
    said, watch, stop = errors.splitlines()[-3:]
    assert said == "the build goes on; to watch it again, or to stop it:"
    assert watch.endswith(f" infra build --watch {BUILD_ID} --region us-east-1")
    assert stop.endswith(f" infra build --stop {BUILD_ID} --region us-east-1")


def test_a_build_can_be_stopped(build: Run, aws: AwsServer) -> None:
    CodeBuild(states=[{}]).serve(aws)
    done = build("--stop", BUILD_ID)
    assert (done.returncode, done.stderr) == (0, f"the build {BUILD_ID} ends\n")
    [call] = aws.named("StopBuild")
    assert json.loads(call.body) == {"id": BUILD_ID}
