"""Submitting from Python: the same checks, precedence and requests as on the command line."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud import Job, submit
from spikeinterface_cloud.aws.python_api import JobFailedError
from spikeinterface_cloud.errors import CloudJobError
from tests.integration.conftest import BUCKET
from tests.support.batch_server import DEFINITION, QUEUE, AwsServer
from tests.support.laptop import PLACE, Laptop
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]

PARAMETERS = {"simple": {"detect_threshold": 6.5, "apply_preprocessing": False}}


@pytest.fixture(autouse=True)
def account_of_this_process(
    aws: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work in an empty folder, with the credentials of the mock account."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("AWS_", "SPIKEINTERFACE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def job(**arguments: Any) -> Job:
    """Submit a valid job, with other arguments."""
    valid: dict[str, Any] = {
        "source": "s3://lab-data/raw/session1",
        "target": f"s3://{BUCKET}/{uuid.uuid4()}",
        "data_type": "spikeglx",
        "sorters": ["simple"],
        "job_queue": QUEUE,
        "job_definition": DEFINITION,
    }
    return submit(**{**valid, **arguments})


def environment_of(aws: AwsServer) -> dict[str, str]:
    call = aws.named("submitjob")[-1]
    return {each["name"]: each["value"] for each in call.body["containerOverrides"]["environment"]}


# ----- submission --------------------------------------------------------------------------------


def test_request_is_that_of_the_command_line(laptop: Laptop, aws: AwsServer) -> None:
    target = f"s3://{BUCKET}/{uuid.uuid4()}"
    job(
        target=target,
        sorters=("simple", "lupin"),
        sorters_kwargs=PARAMETERS,
        exports=["nwb", "phy"],
        env={"RUN_IDENTIFIER": "a=b", "N_JOBS": 4},
        memory="28GiB",
        timeout="12h",
        gpus=1,
        tags={"lab": "a lab"},
        overwrite=True,
    )
    laptop.run(
        *("--source", "s3://lab-data/raw/session1", "--data-type", "spikeglx", "--target", target),
        *("--sorters", "simple,lupin", "--sorters-kwargs", json.dumps(PARAMETERS)),
        *("--exports", "nwb,phy", "--env", "RUN_IDENTIFIER=a=b", "--env", "N_JOBS=4"),
        *("--memory", "28GiB", "--timeout", "12h", "--gpus", "1", "--tag", "lab=a lab"),
        *("--overwrite", *PLACE),
    )
    from_python, from_command = (call.body for call in aws.named("submitjob"))
    assert from_python == from_command


def test_arguments_precede_environment_and_file(
    aws: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("SORTERS=lupin\nEXPORTS=phy\nRUN_IDENTIFIER=file\n")
    monkeypatch.setenv("EXPORTS", "nwb")
    before = dict(os.environ)
    for _ in range(2):  # the first leaves nothing behind
        job()
        sent = environment_of(aws)
        assert (sent["SORTERS"], sent["EXPORTS"], sent["RUN_IDENTIFIER"]) == (
            "simple",
            "nwb",
            "file",
        )
        assert dict(os.environ) == before


def test_variables_and_tags_of_none_are_left_out(aws: AwsServer) -> None:
    job(env={"RUN_IDENTIFIER": None, "N_JOBS": 4}, tags={"lab": None, "who": "me"})
    assert "RUN_IDENTIFIER" not in environment_of(aws)
    assert environment_of(aws)["N_JOBS"] == "4"
    tags = aws.named("submitjob")[0].body["tags"]
    assert "lab" not in tags
    assert tags["who"] == "me"


def test_stack_of_the_environment_gives_queue_and_definition(
    aws: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPIKEINTERFACE_CLOUD_JOB_QUEUE", QUEUE)
    monkeypatch.setenv("SPIKEINTERFACE_CLOUD_JOB_DEFINITION", DEFINITION)
    job(job_queue=None, job_definition=None)
    assert aws.named("submitjob")[0].body["jobQueue"] == QUEUE


def test_same_job_is_returned_and_not_submitted_again(aws: AwsServer) -> None:
    target = f"s3://{BUCKET}/{uuid.uuid4()}"
    first = job(target=target)
    aws.set_fate(first.job_id, status="RUNNING")
    assert job(target=target, skip_existing=True) == first
    assert len(aws.named("submitjob")) == 1


def test_several_sources_are_joined(aws: AwsServer) -> None:
    job(source=["s3://lab-data/raw/run2", "s3://lab-data/raw/run1"])
    assert environment_of(aws)["AWS_S3_BUCKET_FOLDER"] == '["raw/run2", "raw/run1"]'


def test_job_waits_for_earlier_ones(aws: AwsServer) -> None:
    first = job()
    job(depends_on=[first, first.job_id])
    job(depends_on=first)
    assert aws.named("submitjob")[1].body["dependsOn"] == [{"jobId": first.job_id}] * 2
    assert aws.named("submitjob")[2].body["dependsOn"] == [{"jobId": first.job_id}]


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ({"source": "raw/session1"}, "source: 'raw/session1' is not on S3 or DANDI", 78),
        ({"target": None}, "target: missing, and the job's machine is deleted", 78),
        ({"sorters": ["simpel"]}, "SORTERS: .*did you mean simple?", 78),
        ({"sorters": []}, "SORTERS: ", 78),
        ({"sorters_kwargs": {"simple": {"no": 1}}}, "SORTERS_KWARGS: .*no", 78),
        ({"sorters_kwargs": {"simple": {"freq_min": object()}}}, "sorters_kwargs: <object", 2),
        ({"sorters_kwargs": {"simple": {"freq_min": float("nan")}}}, "sorters_kwargs: Out of", 2),
        ({"env": {"SORTRES": "a"}}, "env SORTRES: not a variable of the job", 78),
        ({"env": "SORTERS=a"}, "env: 'SORTERS=a' is neither a list nor a dict", 2),
        ({"gpus": 0}, "Invalid value for gpus: 0 is not in the range", 2),
        ({"memory": "lots"}, "Invalid value for memory: 'lots' is not understood", 2),
        ({"compute": "gpu"}, "Invalid value for compute: 'gpu' is not one of", 2),
        ({"job_queue": None}, "no job_queue and job_definition are given, and us-east-1 has", 2),
        ({"priority": 1}, "priority: counts within a share only; give share_identifier", 2),
        ({"region": "us-moon-1"}, "region: .*us-moon-1", 2),
    ],
)
def test_refusal_names_the_argument(
    aws: AwsServer, arguments: dict[str, Any], message: str, code: int
) -> None:
    if "region" in arguments:  # any name is right where an endpoint is given
        del os.environ["AWS_ENDPOINT_URL"]
    with pytest.raises(CloudJobError, match=message) as refused:
        job(**arguments)
    assert refused.value.exit_code == code
    assert "--" not in re.sub("`.*?`", "", str(refused.value)), "outside of commands"
    assert not aws.named("submitjob")


def test_nothing_is_printed_and_notes_are_logged(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    job(source="s3://lab-data/nowhere").status()
    assert capfd.readouterr() == ("", "")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "names this machine" in caplog.messages[0]
    assert "s3://lab-data/nowhere" in caplog.messages[1]


# ----- the job -----------------------------------------------------------------------------------


def test_wait_returns_the_last_state(caplog: pytest.LogCaptureFixture) -> None:
    submitted = job()
    with caplog.at_level(logging.INFO, "spikeinterface_cloud"):
        state = submitted.wait(poll_interval=0.05)
    assert (state.status, state.is_over, state.job_id) == ("SUCCEEDED", True, submitted.job_id)
    assert caplog.messages[-1] == f"{submitted.job_id} is SUCCEEDED"


@pytest.mark.parametrize(
    ("end", "code", "remedy"),
    [
        (
            {"container": {"exitCode": 70}},
            70,
            "one or more sorters failed; .*; read the sorters' logs",
        ),
        ({"container": {"exitCode": 75}}, 75, "submit again, with more `attempts`"),
        (
            {
                "container": {"exitCode": 75},
                "statusReason": "Job attempt duration exceeded timeout",
            },
            75,
            "it exceeded its timeout; submit with a longer timeout",
        ),
        (
            {"container": {"exitCode": 75}, "isTerminated": True},
            75,
            "it was canceled; if it is still",
        ),
        ({"isTerminated": True}, 1, "it was canceled; if it is still"),
        ({}, 1, "find out why: spikeinterface-cloud diagnose "),
    ],
)
def test_wait_raises_for_a_failed_job(
    aws: AwsServer, end: dict[str, Any], code: int, remedy: str
) -> None:
    submitted = job()
    aws.set_fate(submitted.job_id, status="FAILED", **end)
    with pytest.raises(JobFailedError, match=remedy) as failed:
        submitted.wait(poll_interval=0.05)
    assert failed.value.exit_code == code
    assert failed.value.state.status == "FAILED"


def test_status_waits_until_aws_knows_the_job(aws: AwsServer) -> None:
    submitted = job()
    aws.forget_for(submitted.job_id, times=1)
    aws.set_fate(submitted.job_id, status="RUNNABLE", statusReason="no capacity")
    state = submitted.status()
    assert (state.status, state.reason) == ("RUNNABLE", "no capacity")
    assert repr(state) == f"<JobState: {submitted.job_id} is RUNNABLE: no capacity>"


def test_logs_are_the_lines_so_far(aws: AwsServer, caplog: pytest.LogCaptureFixture) -> None:
    submitted = job()
    aws.set_fate(submitted.job_id, status="RUNNABLE")
    assert submitted.logs() == []
    assert caplog.messages[-1] == f"no log yet, {submitted.job_id} is RUNNABLE"
    logs, stream = aws.client("logs"), f"sorting/{submitted.job_id}"
    if not logs.describe_log_groups(logGroupNamePrefix="/aws/batch/job")["logGroups"]:
        logs.create_log_group(logGroupName="/aws/batch/job")
    logs.create_log_stream(logGroupName="/aws/batch/job", logStreamName=stream)
    event = {"timestamp": int(time.time() * 1000), "message": "2026-11-28T20:00:00Z sorting"}
    logs.put_log_events(logGroupName="/aws/batch/job", logStreamName=stream, logEvents=[event])
    aws.set_fate(submitted.job_id, status="RUNNING", container={"logStreamName": stream})
    assert [line.rpartition("Z ")[2] for line in submitted.logs()] == ["sorting"]


def test_results_are_read_and_downloaded(aws: AwsServer, tmp_path: Path) -> None:
    folder = str(uuid.uuid4())
    submitted = job(target=f"s3://{BUCKET}/{folder}")
    with pytest.raises(CloudJobError, match=r"has no run\.json: .* is SUCCEEDED"):
        submitted.results()
    record = {"status": "succeeded", "sorters": [], "cost": {"usd": 1.5}}
    files = {"run.json": json.dumps(record).encode(), "simple/a b.csv": b"1"}
    for name, content in files.items():
        aws.client("s3").put_object(Bucket=BUCKET, Key=f"{folder}/{name}", Body=content)
    results = submitted.results()
    assert (results.target, results.record) == (f"s3://{BUCKET}/{folder}", record)
    assert sorted(results.files) == sorted(files)
    downloaded = results.download(tmp_path / "here")
    assert {
        file.relative_to(tmp_path / "here").as_posix(): file.read_bytes() for file in downloaded
    } == files


def test_earlier_job_is_found(aws: AwsServer) -> None:
    submitted = job()
    arn = f"arn:aws:batch:{REGION}:123456789012:job/{submitted.job_id}"
    assert Job.find(arn) == Job.find(submitted.job_id) == submitted
    with pytest.raises(CloudJobError, match=r"there is no job .*; check region and profile"):
        Job.find(str(uuid.uuid4()))


def test_cancelled_job_ends(aws: AwsServer) -> None:
    submitted = job()
    submitted.cancel()
    assert not aws.named("terminatejob"), "it has ended already"
    aws.set_fate(submitted.job_id, status="RUNNING")
    submitted.cancel("wrong probe")
    assert aws.named("terminatejob")[0].body == {
        "jobId": submitted.job_id,
        "reason": "wrong probe",
    }


# ----- the package -------------------------------------------------------------------------------


def test_import_of_the_package_stays_light() -> None:
    program = (
        "import sys; before = set(sys.modules); import spikeinterface_cloud as package;"
        "assert {'Job', 'submit'} <= set(dir(package));"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"spikeinterface_cloud"} | sys.stdlib_module_names


def test_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import spikeinterface_cloud

    with pytest.raises(AttributeError, match="no attribute 'submitt'"):
        spikeinterface_cloud.submitt  # noqa: B018
