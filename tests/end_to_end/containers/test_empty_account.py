"""From a bare folder and an empty AWS account to a finished sorting, with four commands.

They are those of the README: the wheel is installed, makes the stack, builds the image, submits.
moto's CloudFormation makes the stack and its Batch starts the image. What is not as on AWS: moto's
CodeBuild runs no build, so that the test runs the commands of the build that was started itself;
the image has the repository's name, but is not pushed, as moto keeps none; the credentials that a
job role gives are in the image, with what makes a short job quick; and the role that AWS makes for
Batch by itself is the test's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.infra.build import PREFIX
from tests.end_to_end.conftest import Simulated
from tests.end_to_end.containers.codebuild import run_build
from tests.end_to_end.containers.conftest import SOURCE, SOURCE_BUCKET
from tests.end_to_end.containers.containers import CLIENT, engine_command
from tests.end_to_end.containers.laptop import Laptop, address_of_this_machine
from tests.support.account_server import ROLE, account_server
from tests.support.job import ONE_WORKER, s3_access
from tests.support.recordings import write_spikeglx
from tests.support.servers import S3Server, access_to, client_of
from tests.support.sorted_results import (
    assert_complete,
    download_folder,
    n_true_units_found,
    upload_folder,
)
from tests.support.wheel import COMMIT, build_wheel, install

pytestmark = [pytest.mark.integration, pytest.mark.sorting, pytest.mark.docker]

#: where the job definitions expect the disk of the machine
SCRATCH = "/scratch"


@pytest.fixture(scope="module")
def server(engine: str) -> Iterator[S3Server]:
    """An empty account, on every address of this machine."""
    with account_server("0.0.0.0") as server:
        yield server


@pytest.fixture(scope="module")
def scratch(image: str) -> Iterator[None]:
    """The folder that a launch template makes on a machine of AWS."""
    made = not Path(SCRATCH).exists()
    on_host = ("run", "--rm", "--user", "0", "--volume", "/:/host", "--entrypoint")
    engine_command(*on_host, "mkdir", image, "-p", f"/host{SCRATCH}")
    yield
    if made:
        engine_command(*on_host, "rm", image, "-rf", f"/host{SCRATCH}")


def run_started_build(s3: Any, outputs: dict[str, str], folder: Path) -> None:
    """Do what CodeBuild does with the context that `infra build` sent, but push nothing."""
    bucket = outputs["ResultsBucket"]
    [context] = s3.list_objects_v2(Bucket=bucket, Prefix=f"{PREFIX}/")["Contents"]
    s3.download_file(bucket, context["Key"], str(folder / "context.zip"))
    variables = {
        "DOCKERFILE": "Dockerfile",
        "IMAGE": outputs["CpuImageUri"],
        "VERSION": __version__,
    }
    done = run_build(folder / "context.zip", folder, variables, pushes=False)
    assert done.returncode == 0, done.stdout + done.stderr


def give_role(image: str, role: dict[str, str]) -> None:
    """Put into the image what a role gives on AWS."""
    lines = [f"FROM {image}", *(f"ENV {name}={value}" for name, value in role.items())]
    subprocess.run(
        [CLIENT, "build", "--quiet", "--tag", image, "-"],
        input="\n".join(lines),
        text=True,
        capture_output=True,
        check=True,
        timeout=120,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """The four commands, and what became of them."""

    up: subprocess.CompletedProcess[str]
    outputs: dict[str, str]
    build: subprocess.CompletedProcess[str]
    submitted: subprocess.CompletedProcess[str]
    server: S3Server

    def client(self, service: str) -> Any:
        """A boto3 client of the account."""
        return client_of(access_to(self.server.url), service)


@pytest.fixture(scope="module")
def story(
    server: S3Server,
    image: str,
    scratch: None,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Story]:
    """The recording is in a bucket of the user's; nothing else is in the account."""
    s3, iam = (client_of(access_to(server.url), service) for service in ("s3", "iam"))
    s3.create_bucket(Bucket=SOURCE_BUCKET)
    run_folder = write_spikeglx(tmp_path_factory.mktemp("spikeglx"), simulated.recording)
    upload_folder(s3, run_folder, SOURCE_BUCKET, SOURCE)
    by_aws = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    port = server.url.rpartition(":")[2]
    access = s3_access(f"http://{address_of_this_machine(image)}:{port}")
    folder = tmp_path_factory.mktemp("laptop")
    wheel = build_wheel(tmp_path_factory.mktemp("sources"))
    laptop = Laptop(
        variables=access | {"AWS_DEFAULT_REGION": access["AWS_REGION_NAME"]},
        folder=folder,
        program=(install(wheel, folder, sys.executable),),
    )

    up = laptop.submit_job(
        *("infra", "up", "--yes", "--json"),
        *(
            "--parameter",
            f"SourceBuckets={SOURCE_BUCKET}",
            "--parameter",
            f"BatchServiceRoleArn={by_aws}",
        ),
    )
    assert up.returncode == 0, up.stderr
    outputs = json.loads(up.stdout)["outputs"]
    build = laptop.submit_job("infra", "build")
    assert build.returncode == 0, build.stderr
    run_started_build(s3, outputs, tmp_path_factory.mktemp("codebuild"))
    give_role(outputs["CpuImageUri"], access | ONE_WORKER)
    submitted = laptop.submit_job(
        *("--compute", "cpu", "--follow", "--poll-interval", "0.5"),
        *("--source", f"s3://{SOURCE_BUCKET}/{SOURCE}", "--data-type", "spikeglx"),
        *("--sorters", "simple", "--target", f"s3://{outputs['ResultsBucket']}/mouse"),
    )
    yield Story(up=up, outputs=outputs, build=build, submitted=submitted, server=server)
    engine_command("rmi", outputs["CpuImageUri"])


def test_the_account_says_what_it_costs_before_it_is_made(story: Story) -> None:
    assert "while no job runs: 0.00 USD per month" in story.up.stderr
    assert story.outputs["CpuImageUri"].endswith(f"/spikeinterface-cloud:{__version__}")


def test_the_image_is_built_from_the_files_of_the_wheel(story: Story) -> None:
    assert story.build.stdout == f"{story.outputs['CpuImageUri']}\n"
    assert "jobs run it from now on\n" in story.build.stderr
    labels = json.loads(
        engine_command(
            "inspect", "--format", "{{json .Config.Labels}}", story.outputs["CpuImageUri"]
        )
    )
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == COMMIT


def test_the_job_runs_to_its_end(story: Story) -> None:
    assert story.submitted.returncode == 0, story.submitted.stderr
    assert "sort with simple done" in story.submitted.stderr
    assert "publish run.json done" in story.submitted.stderr


def test_it_ran_as_the_stack_says(story: Story) -> None:
    [job_id] = story.submitted.stdout.split()
    [job] = story.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    assert job["jobQueue"] == story.outputs["CpuJobQueue"]
    assert job["jobDefinition"] == story.outputs["CpuJobDefinition"]
    assert job["container"]["command"] == ["python", "run_script.py"]


def test_the_results_bucket_holds_what_the_sorter_found(
    story: Story, simulated: Simulated, tmp_path: Path
) -> None:
    bucket = story.outputs["ResultsBucket"]
    results = download_folder(story.client("s3"), bucket, "mouse", tmp_path)
    assert_complete(results, ["simple"])
    assert n_true_units_found(results, "simple", simulated.truth) == 3
