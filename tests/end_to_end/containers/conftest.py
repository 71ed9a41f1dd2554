"""The engine, the image that is built from this checkout, and a cloud that it reaches."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Simulated
from tests.end_to_end.containers.cloud import Cloud, open_cloud
from tests.end_to_end.containers.containers import CLIENT, REPOSITORY
from tests.end_to_end.containers.laptop import Laptop, address_of_this_machine
from tests.support.job import ONE_WORKER, s3_access
from tests.support.recordings import write_spikeglx
from tests.support.sorted_results import upload_folder

#: the first build downloads every package
BUILD_TIMEOUT_S = 1800

#: where the recording is
SOURCE_BUCKET = "lab-data"
SOURCE = "raw/mouse_g0"

#: where the laptop sends its jobs
QUEUE = "sorting"

#: a bucket for the results
TARGET_BUCKET = "lab-results"


@pytest.fixture(scope="session")
def engine() -> str:
    """The client of a running engine; where there is none this is a skip, except in CI."""
    reason = _why_no_engine()
    if reason is None:
        return CLIENT
    if os.environ.get("CI"):
        pytest.fail(f"no container engine: {reason}")
    pytest.skip(f"no container engine: {reason}")


def _why_no_engine() -> str | None:
    if shutil.which(CLIENT) is None:
        return f"{CLIENT} is not installed"
    asked = subprocess.run([CLIENT, "info"], capture_output=True, text=True, check=False)
    return None if asked.returncode == 0 else asked.stderr.strip()


def make(target: str, *variables: str) -> str:
    """What `make TARGET` prints; it has to succeed."""
    done = subprocess.run(
        ["make", target, *variables],  # noqa: S607 -- whichever make the developer has
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def built(engine: str) -> str:
    """What `make image` prints."""
    return make("image", "IMAGE=spikeinterface-cloud-tests")


@pytest.fixture(scope="session")
def image(built: str) -> str:
    """The image of this checkout."""
    return "spikeinterface-cloud-tests"


@pytest.fixture(scope="session")
def cloud(engine: str) -> Iterator[Cloud]:
    """A cloud with the bucket of the recordings, and one for the results."""
    with open_cloud() as cloud:
        for bucket in (SOURCE_BUCKET, TARGET_BUCKET):
            cloud.server.client.create_bucket(Bucket=bucket)
        yield cloud


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A SpikeGLX run on S3, and the spikes that are in it."""

    simulated: Simulated
    #: the variables that name it
    variables: dict[str, str]


@pytest.fixture(scope="session")
def source(cloud: Cloud, simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Ten seconds of three units on 16 contacts, in the bucket of the recordings."""
    run_folder = write_spikeglx(tmp_path_factory.mktemp("spikeglx"), simulated.recording)
    upload_folder(cloud.server.client, run_folder, SOURCE_BUCKET, SOURCE)
    variables = {
        "SOURCE_AWS_S3_BUCKET": SOURCE_BUCKET,
        "SOURCE_AWS_S3_BUCKET_FOLDER": SOURCE,
        "DATA_TYPE": "spikeglx",
    }
    return Source(simulated=simulated, variables=variables)


@pytest.fixture(scope="session")
def laptop(image: str, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """A laptop whose account has a queue, and a job definition with the image.

    The definition carries what a job role gives on AWS. The address of the cloud is one that both
    the laptop and the containers reach.
    """
    access = s3_access(f"http://{address_of_this_machine(image)}:{cloud.port}")
    definition = make_queue(cloud, image, access | ONE_WORKER)
    variables = access | {
        "AWS_DEFAULT_REGION": access["AWS_REGION_NAME"],
        "SPIKEINTERFACE_CLOUD_JOB_QUEUE": QUEUE,
        "SPIKEINTERFACE_CLOUD_JOB_DEFINITION": definition,
    }
    return Laptop(variables=variables, folder=tmp_path_factory.mktemp("laptop"))


def make_queue(cloud: Cloud, image: str, role: dict[str, str]) -> str:
    """Make the queue, and register the job definition; its name."""
    batch, iam = cloud.client("batch"), cloud.client("iam")
    trusted = iam.create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    environment = batch.create_compute_environment(
        computeEnvironmentName="machines", type="UNMANAGED", serviceRole=trusted
    )
    batch.create_job_queue(
        jobQueueName=QUEUE,
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[
            {"order": 1, "computeEnvironment": environment["computeEnvironmentArn"]}
        ],
    )
    registered = batch.register_job_definition(
        jobDefinitionName="spikeinterface-cloud",
        type="container",
        containerProperties={
            "image": image,
            "command": ["python", "run_script.py"],
            "resourceRequirements": [
                {"type": "VCPU", "value": "2"},
                {"type": "MEMORY", "value": "4000"},
            ],
            "environment": [{"name": name, "value": text} for name, text in role.items()],
        },
    )
    return str(registered["jobDefinitionName"])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder to mount; the engine makes it, as root, when the container starts."""
    return tmp_path / "results"
