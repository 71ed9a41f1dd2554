"""The help of `submit_job.py`: quick to show, and the same as in the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.batch.logs import JobLog
from spikeinterface_cloud.aws.batch.table import jobs_table
from spikeinterface_cloud.aws.session import AwsSession
from submit_job import program

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
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


def test_readme_shows_the_actual_help(tmp_path: Path) -> None:
    shown = re.search(r"<!-- help:.*?-->\n```text\n(.*?)```\n<!-- /help -->", README, re.DOTALL)
    assert shown is not None, "the README lost its marks around the help"
    assert shown[1] == run(tmp_path, str(ROOT / "submit_job.py"), "--help").stdout


def test_help_and_readme_state_order_of_precedence(tmp_path: Path) -> None:
    shown = run(tmp_path, str(ROOT / "submit_job.py"), "--help").stdout
    assert PRECEDENCE in " ".join(shown.split())
    assert PRECEDENCE in " ".join(README.split())


def test_readme_lists_every_command() -> None:
    for name, command in program.commands.items():
        assert command.hidden or f"submit_job.py {name} " in README


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


def state(**reply: object) -> JobState:
    return JobState(reply={"jobId": "1", "jobName": "mine", "status": "FAILED", **reply})


def test_job_state_accepts_minimal_reply() -> None:
    job = state()
    assert (job.exit_code, job.reason, job.log_streams, job.array_size) == (None, "", [], None)
    assert (job.n_attempts, job.array_counts, job.environment, job.queue) == (0, {}, {}, "")
    assert job.final_exit_code == 1
    assert job.describe() == "1 is FAILED"
    assert JobLog(AwsSession()).why_empty(job) == "no log, as 1 never started"
    assert jobs_table([job]).splitlines()[1].split() == ["1", "mine", "FAILED"]


def test_running_job_counts_its_attempt() -> None:
    job = state(status="RUNNING", attempts=[{}], statusReason="r", container={"reason": "r"})
    assert job.n_attempts == 2
    assert job.describe() == "1 is RUNNING, attempt 2: r"


def test_table_without_jobs_has_no_rows() -> None:
    assert len(jobs_table([]).splitlines()) == 1
