"""Looking after jobs: status, list, logs, wait, cancel, as a user types them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import uuid
from functools import partial
from typing import Any

import pytest

from tests.support.batch_server import DEFINITION, QUEUE, AwsServer, Call
from tests.support.laptop import JOB, PLACE, Laptop, wait_until

pytestmark = pytest.mark.integration

GROUP = "/aws/batch/job"
QUICK = ("--poll-interval", "0.1")


@pytest.fixture
def job_id(laptop: Laptop, aws: AwsServer) -> str:
    """A job that waits in the queue."""
    job_id = laptop.submit("--env", f"RUN_IDENTIFIER={uuid.uuid4()}")
    aws.set_fate(job_id, status="RUNNABLE", attempts=[], container={})
    return job_id


def write_log(aws: AwsServer, stream: str, *lines: str, group: str = GROUP) -> None:
    """Append lines to a stream, which is made when it is not there."""
    logs = aws.client("logs")
    for create, given in (
        (logs.create_log_group, {}),
        (logs.create_log_stream, {"logStreamName": stream}),
    ):
        try:
            create(logGroupName=group, **given)
        except logs.exceptions.ResourceAlreadyExistsException:
            continue
    logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": int(time.time() * 1000), "message": line} for line in lines],
    )


def attempt(stream: str | None, code: int | None, reason: str = "") -> dict[str, Any]:
    """An attempt that has ended."""
    container: dict[str, Any] = {} if stream is None else {"logStreamName": stream}
    if code is not None:
        container["exitCode"] = code
    return {"container": container, "statusReason": reason}


def without_times(text: str) -> list[str]:
    """The lines of a log without the time before each."""
    return [line.partition("Z ")[2] for line in text.splitlines()]


def test_status_shows_state_reason_attempts_and_time(
    laptop: Laptop, aws: AwsServer, job_id: str
) -> None:
    now_ms = int(time.time() * 1000)
    aws.set_fate(
        job_id,
        status="FAILED",
        statusReason="Essential container in task exited",
        attempts=[attempt("a", 75), attempt("b", 66)],
        startedAt=now_ms - 3_725_000,
        stoppedAt=now_ms,
        container={"exitCode": 66, "reason": "OutOfMemoryError: Container killed"},
    )
    head, row = laptop.run("status", job_id).stdout.splitlines()
    assert head.split() == ["job", "name", "status", "attempts", "elapsed", "reason"]
    assert row.startswith(f"{job_id}  ")
    assert row.split()[2:5] == ["FAILED", "2", "1h02m"]
    assert row.endswith(
        "Essential container in task exited; OutOfMemoryError: Container killed; exit code 66"
    )
    [values] = json.loads(laptop.run("status", job_id, "--json").stdout)
    assert values["jobId"] == job_id
    assert values["status"] == "FAILED"
    assert values["exitCode"] == 66
    assert values["attempts"] == 2
    assert values["elapsedSeconds"] == pytest.approx(3725)


def test_array_status_counts_child_jobs(laptop: Laptop, aws: AwsServer) -> None:
    array = aws.client("batch").submit_job(
        jobName="many", jobQueue=QUEUE, jobDefinition=DEFINITION, arrayProperties={"size": 3}
    )["jobId"]
    counts = {"RUNNING": 1, "SUCCEEDED": 1, "FAILED": 1, "PENDING": 0}
    aws.set_fate(array, status="PENDING", arrayProperties={"size": 3, "statusSummary": counts})
    assert "1 RUNNING, 1 SUCCEEDED, 1 FAILED" in laptop.run("status", array).stdout
    [values] = json.loads(laptop.run("status", array, "--json").stdout)
    assert values["arraySize"] == 3
    assert values["arrayCounts"] == {"RUNNING": 1, "SUCCEEDED": 1, "FAILED": 1}


def test_status_shows_queue_position_if_known(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    silent = laptop.run("status", job_id)
    assert silent.returncode == 0
    assert "in the queue" not in silent.stdout
    [job] = aws.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    aws.front_of_queue = ["arn:aws:batch:us-east-1:1:job/other", job["jobArn"]]
    assert "2. in the queue" in laptop.run("status", job_id).stdout


def test_more_jobs_than_one_describe_call_takes(laptop: Laptop, aws: AwsServer) -> None:
    array = aws.client("batch").submit_job(
        jobName="many",
        jobQueue=QUEUE,
        jobDefinition=DEFINITION,
        arrayProperties={"size": 150},
    )["jobId"]
    children = [f"{array}:{index}" for index in range(150)]
    aws.calls.clear()
    done = laptop.run("status", *children, "--json")
    assert [job["jobId"] for job in json.loads(done.stdout)] == children
    assert [len(call.body["jobs"]) for call in aws.named("describejobs")] == [100, 50]


def test_list_shows_recent_jobs_of_any_status_newest_first(laptop: Laptop, aws: AwsServer) -> None:
    batch = aws.client("batch")
    ids = [
        batch.submit_job(jobName=f"listed-{index}", jobQueue=QUEUE, jobDefinition=DEFINITION)[
            "jobId"
        ]
        for index in range(120)
    ]
    now_ms = int(time.time() * 1000)
    for place, job_id in enumerate(ids):
        aws.set_fate(job_id, createdAt=now_ms - 1000 * (120 - place))
    ended = {"status": "FAILED", "statusReason": "Host EC2 terminated"}
    aws.set_fate(ids[0], **ended, attempts=[{}, {}])
    aws.set_fate(ids[1], status="RUNNABLE", createdAt=now_ms - 3_600_000 * 30)
    listed = json.loads(laptop.run("list", "--job-queue", QUEUE, "--json").stdout)
    found = [job["jobId"] for job in listed if job["jobId"] in ids]
    assert found == [*reversed(ids[2:]), ids[0]]
    older = laptop.run("list", "--job-queue", QUEUE, "--since", "2d", "--status", "runnable")
    assert ids[1] in older.stdout
    assert ids[0] not in older.stdout
    for status in ("FAILED", "failed", "Failed"):
        failed = laptop.run("list", "--job-queue", QUEUE, "--status", status)
        assert failed.returncode == 0, failed.stderr
        [line] = [line for line in failed.stdout.splitlines() if ids[0] in line]
        assert line.split()[1:4] == ["listed-0", "FAILED", "2"]
        assert line.endswith("Host EC2 terminated")


def test_logs_show_every_attempt_and_page(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    first, second = f"job/default/{job_id}-1", f"job/default/{job_id}-2"
    lines = [f"line {number}" for number in range(12_000)]  # AWS gives 10,000 events a page
    for start in range(0, len(lines), 4_000):
        write_log(aws, first, *lines[start : start + 4_000])
    write_log(aws, second, "second attempt")
    aws.set_fate(
        job_id,
        status="SUCCEEDED",
        attempts=[attempt(first, 75), attempt(second, 0)],
        container={"logStreamName": second, "exitCode": 0},
    )
    done = laptop.run("logs", job_id)
    assert done.returncode == 0
    assert without_times(done.stdout) == [*lines, "second attempt"]


def test_logs_are_read_from_configured_group(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    write_log(aws, job_id, "2026-05-01T10:00:00Z INFO    said with its time", group="/sorting")
    configuration = {"logDriver": "awslogs", "options": {"awslogs-group": "/sorting"}}
    aws.set_fate(job_id, container={"logStreamName": job_id, "logConfiguration": configuration})
    assert "said with its time" in laptop.run("logs", job_id).stdout


def test_logs_of_unstarted_failed_job_state_the_reason(
    laptop: Laptop, aws: AwsServer, job_id: str
) -> None:
    aws.set_fate(
        job_id,
        status="FAILED",
        statusReason="Task failed to start",
        attempts=[attempt("not/there", None, "Task failed to start")],
        container={"reason": "CannotPullContainerError: not found", "logStreamName": "not/there"},
    )
    reason = "Task failed to start; CannotPullContainerError: not found"
    done = laptop.run("logs", job_id)
    assert (done.stdout, done.stderr) == ("", f"no log, as {job_id} never started: {reason}\n")
    followed = laptop.run("logs", job_id, "--follow", *QUICK)
    assert (followed.stdout, followed.stderr) == ("", f"{job_id} is FAILED: {reason}\n")


def test_logs_of_waiting_job_state_that_it_waits(laptop: Laptop, job_id: str) -> None:
    done = laptop.run("logs", job_id)
    assert done.returncode == 0
    assert done.stderr == f"no log yet, {job_id} is RUNNABLE\n"


def test_logs_of_array_name_its_child_jobs(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    aws.set_fate(job_id, arrayProperties={"size": 3})
    done = laptop.run("logs", job_id)
    assert done.returncode == 1
    assert f"name one, from {job_id}:0 to {job_id}:2" in done.stderr


def test_followed_logs_continue_until_job_ends(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    stream = f"job/default/{job_id}"
    process = laptop.start("logs", job_id, "--follow", *QUICK)
    asked = len(aws.named("describejobs"))
    wait_until(lambda: len(aws.named("describejobs")) > asked + 2)
    aws.set_fate(job_id, status="RUNNING", container={"logStreamName": stream})
    wait_until(lambda: aws.named("GetLogEvents"))  # which is not there yet
    write_log(aws, stream, "one")
    assert process.stdout is not None
    assert process.stdout.readline().endswith("one\n")
    write_log(aws, stream, "two")
    assert process.stdout.readline().endswith("two\n")
    aws.set_fate(job_id, status="SUCCEEDED", container={"exitCode": 0})
    write_log(aws, stream, "last words")
    output, remarks = process.communicate(timeout=60)
    assert without_times(output) == ["last words"]
    assert process.returncode == 0
    assert remarks.splitlines() == [
        f"{job_id} is RUNNABLE",
        f"{job_id} is RUNNING",
        f"{job_id} is SUCCEEDED with exit code 0",
    ]


@pytest.mark.parametrize(
    ("fate", "code"),
    [
        ({"status": "SUCCEEDED", "container": {"exitCode": 0}}, 0),
        ({"status": "FAILED", "container": {"exitCode": 78}}, 78),
        ({"status": "FAILED", "container": {"exitCode": 70}}, 70),
        ({"status": "FAILED", "container": {"exitCode": 137}}, 137),
        ({"status": "FAILED", "container": {}, "statusReason": "Task failed to start"}, 1),
        ({"status": "FAILED", "container": {"exitCode": 0}, "statusReason": "Host EC2"}, 1),
    ],
)
def test_wait_exits_with_container_exit_code(
    laptop: Laptop, aws: AwsServer, job_id: str, fate: dict[str, Any], code: int
) -> None:
    aws.set_fate(job_id, **fate)
    done = laptop.run("wait", job_id, *QUICK)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(f"{job_id} is {fate['status']}")
    assert fate.get("statusReason", "") in done.stderr


def test_wait_survives_throttling_and_aws_failures(
    laptop: Laptop, aws: AwsServer, job_id: str
) -> None:
    aws.refuse("describejobs", "TooManyRequestsException", status=429, times=2)
    aws.refuse("describejobs", "ServerException", status=500, times=1)
    process = laptop.start("wait", job_id, *QUICK)
    wait_until(lambda: len(aws.named("describejobs")) > 4)
    aws.set_fate(job_id, status="SUCCEEDED")
    _, remarks = process.communicate(timeout=60)
    assert process.returncode == 0
    assert remarks.splitlines()[0] == f"{job_id} is RUNNABLE"


def asked_or_over(aws: AwsServer, process: subprocess.Popen[str], times: int) -> bool:
    return len(aws.named("describejobs")) > times or process.poll() is not None


def test_wait_prints_every_change_once(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    process = laptop.start("wait", job_id, *QUICK)
    for status in ("RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"):
        aws.set_fate(job_id, status=status)
        asked = len(aws.named("describejobs"))
        wait_until(partial(asked_or_over, aws, process, asked + 2))
    _, remarks = process.communicate(timeout=60)
    said = [line.split()[2] for line in remarks.splitlines()]
    assert said == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]


def test_wait_tolerates_job_not_yet_known(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    aws.set_fate(job_id, status="SUCCEEDED")
    aws.forget_for(job_id, times=3)
    assert laptop.run("wait", job_id, *QUICK).returncode == 0
    aws.forget_for(job_id, times=1_000)
    done = laptop.run("wait", job_id, *QUICK)
    assert done.returncode == 1
    assert f"there is no job {job_id}" in done.stderr


@pytest.mark.parametrize("command", [["wait"], ["logs", "--follow"]])
def test_ctrl_c_leaves_job_running_and_prints_command_to_resume(
    laptop: Laptop, aws: AwsServer, job_id: str, command: list[str]
) -> None:
    process = laptop.start(command[0], job_id, *command[1:], "--region", "us-east-1", *QUICK)
    asked = len(aws.named("describejobs"))
    wait_until(lambda: len(aws.named("describejobs")) > asked + 1)
    process.send_signal(signal.SIGINT)
    _, remarks = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the job goes on; to watch it again:" in remarks
    assert f"submit_job.py {' '.join([command[0], job_id, *command[1:]])}" in remarks
    assert "--region us-east-1" in remarks
    assert not aws.named("terminatejob")


def test_follow_shows_log_and_exits_with_container_exit_code(
    laptop: Laptop, aws: AwsServer
) -> None:
    stream = str(uuid.uuid4())
    write_log(aws, stream, "sorting")

    def fail(call: Call) -> None:
        if call.action == "describejobs":
            [job_id] = call.body["jobs"]
            aws.set_fate(
                job_id, status="FAILED", container={"exitCode": 70, "logStreamName": stream}
            )

    aws.on_call = fail
    done = laptop.run(*JOB, *PLACE, "--env", f"RUN_IDENTIFIER={stream}", "--follow", *QUICK)
    assert done.returncode == 70
    [job_id] = done.stdout.splitlines()
    assert "sorting" in done.stderr
    assert done.stderr.splitlines()[-1] == f"{job_id} is FAILED with exit code 70"


def test_followed_array_shows_child_states(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    halfway = {"size": 2, "statusSummary": {"RUNNING": 1, "SUCCEEDED": 1}}
    aws.set_fate(job_id, status="PENDING", arrayProperties=halfway)
    process = laptop.start("logs", job_id, "--follow", *QUICK)
    asked = len(aws.named("describejobs"))
    wait_until(lambda: len(aws.named("describejobs")) > asked + 1)
    whole = {"size": 2, "statusSummary": {"FAILED": 1, "SUCCEEDED": 1}}
    aws.set_fate(job_id, status="FAILED", arrayProperties=whole)
    output, remarks = process.communicate(timeout=60)
    assert output == ""
    assert remarks.splitlines() == [
        f"{job_id} is PENDING (1 RUNNING, 1 SUCCEEDED)",
        f"{job_id} is FAILED (1 SUCCEEDED, 1 FAILED)",
    ]


def test_cancel_ends_a_job_with_a_reason(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    done = laptop.run("cancel", job_id, "--reason", "wrong probe")
    assert done.returncode == 0
    assert done.stderr == f"{job_id} ends: wrong probe\n"
    [call] = aws.named("terminatejob")
    assert call.body == {"jobId": job_id, "reason": "wrong probe"}


def test_cancelling_ended_job_changes_nothing(laptop: Laptop, aws: AwsServer, job_id: str) -> None:
    aws.set_fate(job_id, status="SUCCEEDED")
    done = laptop.run("cancel", job_id)
    assert done.returncode == 0
    assert done.stderr == f"{job_id} has SUCCEEDED already; there is nothing to cancel\n"
    assert not aws.named("terminatejob")
