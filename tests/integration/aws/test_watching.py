"""Watching is not the job: what ends or hinders it does not change how the job is said to end."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.aws.test_wait import attempt, write_log
from tests.support.batch_server import DEFINITION, QUEUE, AwsServer, Call
from tests.support.laptop import JOB, PLACE, Laptop, wait_until

pytestmark = pytest.mark.integration

QUICK = ("--poll-interval", "0.1")


@pytest.fixture
def job_id(aws: AwsServer) -> str:
    """A job that runs."""
    return submit(aws, status="RUNNING")


def submit(aws: AwsServer, **fate: Any) -> str:
    """Submit a job with this fate."""
    job_id = aws.client("batch").submit_job(
        jobName=f"watched-{uuid.uuid4()}", jobQueue=QUEUE, jobDefinition=DEFINITION
    )["jobId"]
    aws.set_fate(job_id, **{"attempts": [], "container": {}, **fate})
    return str(job_id)


def after(number: int, action: str, happen: Callable[[], None]) -> Callable[[Call], None]:
    """Let something happen before the answer to one of the calls of an action."""
    seen = []

    def count(call: Call) -> None:
        if call.action == action:
            seen.append(call)
            if len(seen) == number:
                happen()

    return count


@pytest.mark.parametrize("command", [["wait"], ["logs", "--follow"]])
@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_login_that_expires_ends_the_watching_only(
    laptop: Laptop, aws: AwsServer, job_id: str, command: list[str], code: str
) -> None:
    def expire() -> None:
        aws.refuse("describejobs", code, "expired", status=403, times=100)

    aws.on_call = after(3, "describejobs", expire)
    done = laptop.run(command[0], job_id, *command[1:], "--region", "us-east-1", *QUICK)
    assert done.returncode == 77
    assert f"Error: cannot look up the job: AWS refused the credentials ({code}" in done.stderr
    assert "the job goes on; to watch it again:" in done.stderr
    resumed = " ".join([command[0], job_id, *command[1:], "--region", "us-east-1"])
    assert done.stderr.splitlines()[-1].endswith(f"submit_job.py {resumed}")


def test_refused_first_look_at_a_submitted_job_ends_the_watching_only(
    laptop: Laptop, aws: AwsServer
) -> None:
    aws.refuse("describejobs", "AccessDeniedException", "not for you", status=403, times=100)
    run = ("--env", f"RUN_IDENTIFIER={uuid.uuid4()}")
    done = laptop.run(*JOB, *PLACE, *run, "--follow", *QUICK)
    assert done.returncode == 77
    assert f"submit_job.py logs {done.stdout.strip()} --follow" in done.stderr
    assert laptop.run("wait", done.stdout.strip(), *QUICK).returncode == 1


@pytest.mark.parametrize(
    ("fate", "exit_code"),
    [
        ({"status": "SUCCEEDED", "container": {"exitCode": 0}}, 0),
        ({"status": "FAILED", "container": {"exitCode": 70}}, 70),
    ],
)
def test_log_that_may_not_be_read_leaves_the_exit_code_to_the_job(
    laptop: Laptop, aws: AwsServer, job_id: str, fate: dict[str, Any], exit_code: int
) -> None:
    aws.set_fate(job_id, container={"logStreamName": job_id})
    aws.refuse("GetLogEvents", "AccessDeniedException", "not for you", status=400, times=1000)
    aws.on_call = after(4, "describejobs", lambda: aws.set_fate(job_id, **fate))
    done = laptop.run("logs", job_id, "--follow", *QUICK)
    assert done.returncode == exit_code
    assert done.stderr.count("note: cannot read the log: access denied") == 1
    assert "the job is watched without its log" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{job_id} is {fate['status']}")


def test_followed_submission_has_the_exit_code_of_a_job_without_log(
    laptop: Laptop, aws: AwsServer
) -> None:
    def fail(call: Call) -> None:
        if call.action == "describejobs":
            [job_id] = call.body["jobs"]
            container = {"exitCode": 66, "logStreamName": "a"}
            aws.set_fate(job_id, status="FAILED", container=container)

    aws.on_call = fail
    aws.refuse("GetLogEvents", "AccessDeniedException", "not for you", status=400, times=1000)
    run = ("--env", f"RUN_IDENTIFIER={uuid.uuid4()}")
    assert laptop.run(*JOB, *PLACE, *run, "--follow", *QUICK).returncode == 66


@pytest.mark.parametrize("options", [[], ["--follow", *QUICK]])
def test_log_whose_lines_have_expired_is_said_to_be_empty(
    laptop: Laptop, aws: AwsServer, job_id: str, options: list[str]
) -> None:
    write_log(aws, job_id, "an old line")
    stream = {"events": [], "nextForwardToken": "f/0", "nextBackwardToken": "b/0"}
    aws.answers["GetLogEvents"] = lambda _: stream
    aws.set_fate(job_id, status="SUCCEEDED", container={"logStreamName": job_id, "exitCode": 0})
    done = laptop.run("logs", job_id, *options)
    assert done.returncode == 0
    assert done.stdout == ""
    assert "no lines left in /aws/batch/job, which deletes them after" in done.stderr


def test_log_is_read_in_its_own_region(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    options = {"awslogs-group": "/lab/sorting", "awslogs-region": "us-west-2"}
    configuration = {"logDriver": "awslogs", "options": options}
    aws.set_fate(job_id, container={"logStreamName": job_id, "logConfiguration": configuration})
    laptop.run("logs", job_id)
    assert {call.region for call in aws.named("GetLogEvents")} == {"us-west-2"}


def test_log_of_another_driver_is_said_to_be_elsewhere(
    laptop: Laptop, aws: AwsServer, job_id: str
) -> None:
    aws.set_fate(job_id, container={"logConfiguration": {"logDriver": "splunk", "options": {}}})
    done = laptop.run("logs", job_id)
    assert f"{job_id} logs by splunk, which this program cannot read" in done.stderr
    assert not aws.named("GetLogEvents")


def test_escape_sequences_of_a_log_do_not_reach_the_terminal(
    laptop: Laptop, aws: AwsServer, job_id: str
) -> None:
    write_log(aws, job_id, "channel \x1b]0;title\x07 \x1b[2J\tdone\r")
    aws.set_fate(job_id, container={"logStreamName": job_id})
    shown = laptop.run("logs", job_id).stdout
    assert "channel \\x1b]0;title\\x07 \\x1b[2J" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "ascii"])
def test_log_is_written_to_a_file_of_any_encoding(
    laptop: Laptop, aws: AwsServer, job_id: str, encoding: str
) -> None:
    write_log(aws, job_id, "50% |█████     |", "the next line")
    aws.set_fate(job_id, container={"logStreamName": job_id})
    done = laptop.run("logs", job_id, env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert "50% |" in done.stdout
    assert "the next line" in done.stdout


@pytest.mark.parametrize(
    "written",
    [
        "{id}\r\n",
        " {id} ",
        "arn:aws:batch:us-east-1:123456789012:job/{id}",
        "https://us-east-1.console.aws.amazon.com/batch/home?region=us-east-1#jobs/detail/{id}",
    ],
)
@pytest.mark.parametrize("command", ["status", "logs", "wait", "cancel", "results", "diagnose"])
def test_id_is_accepted_as_it_was_copied(
    laptop: Laptop, aws: AwsServer, command: str, written: str
) -> None:
    job_id = submit(aws, status="SUCCEEDED")
    done = laptop.run(command, written.format(id=job_id))
    assert "there is no job" not in done.stderr
    assert {each for call in aws.named("describejobs") for each in call.body["jobs"]} == {job_id}


def test_child_of_an_array_is_accepted_as_arn(laptop: Laptop, aws: AwsServer) -> None:
    array = aws.client("batch").submit_job(
        jobName="many", jobQueue=QUEUE, jobDefinition=DEFINITION, arrayProperties={"size": 2}
    )["jobId"]
    done = laptop.run("status", f"arn:aws:batch:us-east-1:123456789012:job/{array}:1")
    assert done.returncode == 0, done.stderr
    assert f"{array}:1" in done.stdout


def test_arn_names_the_region_to_ask(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    laptop.run("status", f"arn:aws:batch:eu-west-1:123456789012:job/{job_id}")
    assert {call.region for call in aws.named("describejobs")} == {"eu-west-1"}


def test_wait_for_several_jobs_ends_with_the_first_failure(laptop: Laptop, aws: AwsServer) -> None:
    jobs = [
        submit(aws, status="SUCCEEDED", container={"exitCode": 0}),
        submit(aws, status="RUNNING"),
        submit(aws, status="FAILED", container={"exitCode": 65}),
    ]
    process = laptop.start("wait", *jobs, *QUICK)
    wait_until(lambda: len(aws.named("describejobs")) > 3)
    assert process.poll() is None
    assert aws.named("describejobs")[-1].body["jobs"] == [jobs[1]]
    aws.set_fate(jobs[1], status="FAILED", container={"exitCode": 70})
    _, remarks = process.communicate(timeout=60)
    assert process.returncode == 70
    for line in (
        f"{jobs[0]} is SUCCEEDED with exit code 0",
        f"{jobs[1]} is RUNNING, attempt 1",
        f"{jobs[1]} is FAILED with exit code 70",
        f"{jobs[2]} is FAILED with exit code 65",
    ):
        assert line.replace(", attempt 1", "") in remarks


def test_several_jobs_are_cancelled_if_all_exist(laptop: Laptop, aws: AwsServer) -> None:
    running, other = submit(aws, status="RUNNING"), submit(aws, status="RUNNING")
    unknown = str(uuid.uuid4())
    assert laptop.run("cancel", running, unknown, other).returncode == 1
    assert not aws.named("terminatejob")
    assert laptop.run("cancel", running, other).returncode == 0
    assert [call.body["jobId"] for call in aws.named("terminatejob")] == [running, other]


def test_logs_of_several_jobs_follow_each_other(laptop: Laptop, aws: AwsServer) -> None:
    jobs = [submit(aws, status="RUNNING") for _ in range(2)]
    for number, job_id in enumerate(jobs):
        write_log(aws, job_id, f"of job {number}")
        aws.set_fate(job_id, container={"logStreamName": job_id})
    done = laptop.run("logs", *jobs)
    assert [line.rpartition("Z ")[2] for line in done.stdout.splitlines()] == [
        "of job 0",
        "of job 1",
    ]
    assert done.stderr.splitlines() == [f"==> {job_id} <==" for job_id in jobs]
    assert laptop.run("logs", *jobs, "--follow").returncode == 2


def test_status_as_json_has_times_queue_and_log_stream(laptop: Laptop, aws: AwsServer) -> None:
    moment_ms = 1_760_000_000_000
    job_id = submit(
        aws,
        status="SUCCEEDED",
        createdAt=moment_ms,
        startedAt=moment_ms + 60_000,
        stoppedAt=moment_ms + 120_000,
        attempts=[attempt("first", 75), attempt("second", 0)],
        container={"logStreamName": "second"},
    )
    [values] = json.loads(laptop.run("status", job_id, "--json").stdout)
    assert values["createdAt"] == "2025-10-09T08:53:20+00:00"
    assert values["startedAt"] == "2025-10-09T08:54:20+00:00"
    assert values["stoppedAt"] == "2025-10-09T08:55:20+00:00"
    assert values["jobQueue"].endswith(f"job-queue/{QUEUE}")
    assert (values["logGroup"], values["logStream"]) == ("/aws/batch/job", "second")


def test_status_of_many_jobs_asks_their_queue_once(laptop: Laptop, aws: AwsServer) -> None:
    array = aws.client("batch").submit_job(
        jobName="many", jobQueue=QUEUE, jobDefinition=DEFINITION, arrayProperties={"size": 120}
    )["jobId"]
    children = [f"{array}:{index}" for index in range(120)]
    for child in children:
        aws.set_fate(child, status="RUNNABLE")
    jobs = aws.client("batch").describe_jobs(jobs=children[:2])["jobs"]
    aws.front_of_queue = [job["jobArn"] for job in jobs]
    aws.calls.clear()
    values = json.loads(laptop.run("status", *children, "--json").stdout)
    assert [job["queuePosition"] for job in values][:3] == [1, 2, None]
    assert len(aws.named("getjobqueuesnapshot")) == 1


def test_long_wait_is_watched_at_the_interval(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    started = time.monotonic()
    aws.on_call = after(
        3, "describejobs", lambda: aws.set_fate(job_id, status="SUCCEEDED", container={})
    )
    assert laptop.run("wait", job_id, "--poll-interval", "1").returncode == 0
    assert time.monotonic() - started >= 2
