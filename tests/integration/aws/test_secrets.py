"""No secret of the laptop is in what it sends to AWS, or in what AWS tells of a job."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.integration.conftest import BUCKET
from tests.support.batch_server import AwsServer
from tests.support.laptop import JOB, PLACE, Laptop
from tests.support.planted_secrets import PLANTED, leaking_objects, leaks

pytestmark = pytest.mark.integration

#: so long that they go to the target as a list, rather than with the request
LONG = ("--sorters-kwargs", json.dumps({"simple": {"clusterer": "x" * 20_000}}))


def said_by_aws(aws: AwsServer) -> str:
    """What AWS tells of every job and job definition to who may describe them."""
    batch = aws.client("batch")
    definitions = batch.describe_job_definitions()["jobDefinitions"]
    listed = batch.list_jobs(jobQueue=PLACE[1], filters=[{"name": "JOB_NAME", "values": ["*"]}])
    jobs = [job["jobId"] for job in listed["jobSummaryList"]]
    described = [batch.describe_jobs(jobs=[job])["jobs"] for job in jobs]
    assert described, "there is no job to describe"
    return json.dumps([definitions, described], default=str)


def test_leak_check_detects_secret() -> None:
    """Else the tests below would prove nothing."""
    assert leaks(f"a line with {PLANTED['DANDI_API_KEY']} in it") == ["DANDI_API_KEY"]
    assert leaks("?X-Amz-Security-Token=planted%2Fsession%2Btoken%3D%3Dof-temporary-credentials")
    assert leaks("nothing") == []


@pytest.mark.parametrize("options", [(), LONG], ids=["short", "long"])
@pytest.mark.parametrize("place", ["environment", "file"])
def test_submission_sends_no_secret(
    laptop: Laptop, aws: AwsServer, place: str, options: tuple[str, ...]
) -> None:
    env: dict[str, str | None] = dict(PLANTED)
    if place == "file":
        text = "".join(f"{name}={secret}\n" for name, secret in PLANTED.items())
        (laptop.folder / ".env").write_text(text)
        env = dict.fromkeys(PLANTED)
    unique = ("--env", f"RUN_IDENTIFIER={uuid.uuid4()}")
    done = laptop.run(*JOB, *PLACE, *unique, *options, env=env)
    assert done.returncode == 0, done.stderr
    assert leaks(done.stdout) + leaks(done.stderr) == []
    assert aws.named("submitjob")
    assert leaks(json.dumps([call.body for call in aws.calls], default=str)) == []
    assert leaks(said_by_aws(aws)) == []
    assert leaking_objects(aws.client("s3"), BUCKET) == {}


@pytest.mark.parametrize("name", PLANTED)
def test_secret_variable_is_refused_and_hidden(laptop: Laptop, aws: AwsServer, name: str) -> None:
    done = laptop.run(*JOB, *PLACE, "--env", f"{name}={PLANTED[name]}")
    assert done.returncode != 0
    assert name in done.stderr
    assert leaks(done.stdout) + leaks(done.stderr) == []
    assert not aws.named("submitjob")


def test_failed_submission_hides_secrets(laptop: Laptop, aws: AwsServer) -> None:
    aws.refuse("submitjob", "AccessDeniedException", "not you", status=403)
    done = laptop.run(*JOB, *PLACE, env=dict(PLANTED))
    assert done.returncode != 0
    assert leaks(done.stdout) + leaks(done.stderr) == []
