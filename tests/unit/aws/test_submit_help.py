"""The help of `submit_job.py`: quick to show, and the same as in the documentation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.batch.logs import JobLog
from spikeinterface_cloud.aws.batch.table import jobs_table
from spikeinterface_cloud.aws.batch.wait import announce_changes
from spikeinterface_cloud.aws.diagnose.job_checks import check_job, check_kind
from spikeinterface_cloud.aws.session import AwsSession
from submit_job import program

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "cli.md").read_text()
PRECEDENCE = "flag > environment > .env > stack outputs"

#: what --help has no need of
SLOW = ("pydantic", "boto3", "botocore", "dotenv", "dandi", "numpy", "spikeinterface", "torch")

#: what the laptop has not got
CONTAINER = ("spikeinterface", "torch", "numpy", "dandi", "obstore", "neo", "probeinterface")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
    )


def test_help_and_reference_state_order_of_precedence(tmp_path: Path) -> None:
    shown = run(tmp_path, str(ROOT / "submit_job.py"), "--help").stdout
    assert PRECEDENCE in " ".join(shown.split())
    assert PRECEDENCE in " ".join(PAGE.split())


def test_a_guide_shows_every_command() -> None:
    guides = "".join(page.read_text() for page in (ROOT / "docs" / "how-to").glob("*.md"))
    for name, command in program.commands.items():
        assert command.hidden or f"spikeinterface-cloud {name} " in guides


@pytest.mark.parametrize("command", [[], *([name] for name in program.commands)])
def test_help_imports_nothing_slow(command: list[str], tmp_path: Path) -> None:
    shown = run(tmp_path, "-X", "importtime", str(ROOT / "submit_job.py"), *command, "--help")
    imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "click" in imported
    assert not imported & set(SLOW)
    assert shown.stdout.startswith("Usage: submit_job.py")


def test_every_option_has_help() -> None:
    for command in program.commands.values():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert getattr(parameter, "help", None), parameter.opts


def state(**reply: Any) -> JobState:
    return JobState(reply={"jobId": "1", "jobName": "mine", "status": "FAILED", **reply})


def test_job_state_accepts_minimal_reply() -> None:
    job = state()
    assert (job.exit_code, job.reason, job.log_streams, job.array_size) == (None, "", [], None)
    assert (job.n_attempts, job.array_counts, job.environment, job.queue) == (0, {}, {}, "")
    assert job.final_exit_code == 1
    assert job.describe() == "1 is FAILED"
    assert JobLog(AwsSession()).why_empty(job) == "no log, as 1 never started"
    assert jobs_table([job]).splitlines()[1].split() == ["1", "mine", "FAILED"]


TASKS = {
    "ecsProperties": {
        "taskProperties": [
            {
                "containers": [
                    {"name": "log", "exitCode": 0, "logStreamName": "log/2"},
                    {
                        "name": "sort",
                        "exitCode": 70,
                        "logStreamName": "sort/2",
                        "environment": [{"name": "TARGET", "value": "s3://b/x"}],
                    },
                ]
            }
        ]
    },
    "attempts": [{"taskProperties": [{"containers": [{"logStreamName": "sort/1"}]}]}],
}


def test_containers_of_ecs_tasks_are_read() -> None:
    job = state(status="FAILED", **TASKS)
    assert (job.exit_code, job.final_exit_code) == (70, 70)
    assert job.log_streams == ["sort/1", "log/2", "sort/2"]
    assert job.environment == {"TARGET": "s3://b/x"}
    assert state(status="SUCCEEDED", **TASKS).final_exit_code == 0


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"eksProperties": {"podProperties": {"containers": [{"exitCode": 70}]}}}, "runs on EKS"),
        ({"nodeProperties": {"numNodes": 2}}, "runs on several nodes"),
    ],
)
def test_log_of_another_kind_of_job_is_not_said_to_be_missing(
    reply: dict[str, Any], kind: str
) -> None:
    job = state(status="FAILED", **reply)
    assert JobLog(AwsSession()).why_empty(job) == (
        f"1 {kind}, whose log this program does not find; the console of AWS Batch links to it"
    )
    [end] = check_job(job, 0)
    assert "never started" not in end.evidence
    [warned] = check_kind(job)
    assert kind in warned.evidence
    assert not list(check_kind(state(status="FAILED", container={})))


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("RUNNABLE", "still no machine; find out why: spikeinterface-cloud diagnose 1"),
        ("STARTING", "still no container, though there is a machine; find out why: spikeinterface"),
        ("RUNNING", ""),
    ],
)
def test_long_wait_points_to_diagnose(status: str, hint: str) -> None:
    said: list[str] = []
    states = [state(status=status)] * 4
    assert list(announce_changes(states, said.append, long_wait_s=-1)) == states
    assert len(said) == (2 if hint else 1)
    assert said[-1].startswith(hint)


def test_running_job_counts_its_attempt() -> None:
    job = state(status="RUNNING", attempts=[{}], statusReason="r", container={"reason": "r"})
    assert job.n_attempts == 2
    assert job.describe() == "1 is RUNNING, attempt 2: r"


def test_table_without_jobs_has_no_rows() -> None:
    assert len(jobs_table([]).splitlines()) == 1
