"""The whole job as a user starts it: `run_script.py` in its own process and folder."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeinterface_cloud.sorting import worker
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY
from tests.support.sorted_results import read_record

PROGRAM = Path(__file__).parents[2] / "run_script.py"

#: a job that takes longer is considered to hang
TIMEOUT_S = 400

#: More tests than cores run at once, so that a job has one thread for its linear algebra.
FOR_SHORT_JOBS = {"OMP_NUM_THREADS": "1"}

#: One worker process for each job, for the same reason: not for tests of time, memory or workers.
ONE_WORKER = {"N_JOBS": "1"}

#: `2024-05-01T10:00:00Z ERROR   `, before each message in the log
LOG_PREFIX = re.compile(r"^\S+Z (?P<level>[A-Z]+) +", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job that has ended, and what it wrote."""

    folder: Path
    exit_code: int
    #: standard output
    output: str
    #: standard error
    log: str

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.folder / "results"

    @property
    def scratch(self) -> Path:
        """The scratch folder."""
        return self.folder / "scratch"

    @property
    def record(self) -> dict[str, Any]:
        """The content of `run.json`."""
        return read_record(self.results)

    @property
    def errors(self) -> list[str]:
        """The lines of the log that report an error, without time and level."""
        return [
            line[prefix.end() :]
            for line in self.log.splitlines()
            if (prefix := LOG_PREFIX.match(line)) and prefix["level"] == "ERROR"
        ]

    def outcomes(self) -> dict[str, str]:
        """The outcome of each sorter by name, in the order they ran."""
        return {run["sorter"]: run["outcome"] for run in self.record["sorters"]}

    def step(self, name: str) -> dict[str, Any]:
        """Return the one entry of a step in `run.json`."""
        [found] = [step for step in self.record["steps"] if step["name"] == name]
        return dict(found)


def run_job(
    folder: Path,
    variables: Mapping[str, str],
    *arguments: str,
    launcher: Sequence[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> Job:
    """Run the program to its end, with nothing of this process in its environment.

    Its results, scratch and home are folders in `folder`, unless `variables` say otherwise; a
    `launcher` is a command that starts the command that follows it.
    """
    with start_job(folder, variables, *arguments, launcher=launcher) as process:
        output, log = process.communicate(timeout=timeout_s)
    return Job(folder=folder, exit_code=process.returncode, output=output, log=log)


@contextmanager
def start_job(
    folder: Path, variables: Mapping[str, str], *arguments: str, launcher: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Start the program; kill what is left of it in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [*launcher, sys.executable, str(PROGRAM), *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            **FOR_SHORT_JOBS,
            "HOME": str(folder / "home"),
            "RESULTS_FOLDER": str(folder / "results"),
            "SCRATCH_FOLDER": str(folder / "scratch"),
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.communicate()


def assert_succeeded(job: Job) -> None:
    """Assert exit code 0, no error in the log, and an empty scratch folder."""
    assert job.exit_code == 0, job.log
    assert job.errors == []
    assert job.record["status"] == "succeeded"
    assert job.record["exit_code"] == 0
    assert list(job.scratch.iterdir()) == []


def assert_refused(job: Job, exit_code: int, *patterns: str) -> None:
    """Assert that the job ended before any sorter ran, with one error line per pattern.

    Each pattern has to match an error line of its own: what is wrong, why, and what to do.
    """
    assert job.exit_code == exit_code, job.log
    assert "Traceback" not in job.log
    assert "sort with" not in job.log
    matched = [[line for line in job.errors if re.search(pattern, line)] for pattern in patterns]
    assert all(matched), (patterns, job.errors)
    assert len(job.errors) == len(patterns), job.errors


def s3_access(url: str) -> dict[str, str]:
    """Return the variables that configure the tests' S3 server at `url`."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION_NAME": REGION,
    }


def processes_with_variable(variable: str, value: str) -> list[int]:
    """Return the running processes that have this variable in their environment."""
    entry = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # it has ended in the meantime
            continue
        if entry in environment.split(b"\0") and state != "Z":
            found.append(int(folder.name))
    return found


def sorter_processes(identifier: str) -> list[int]:
    """Return the processes of running sorters of the job with this RUN_IDENTIFIER."""
    found = []
    for number in processes_with_variable("RUN_IDENTIFIER", identifier):
        with suppress(OSError):  # it has ended in the meantime
            if worker.__name__.encode() in Path(f"/proc/{number}/cmdline").read_bytes():
                found.append(number)
    return found


def wait_for_log(process: subprocess.Popen[str], text: str, timeout_s: float = 120) -> str:
    """Read the log of a running job until a line contains `text`; return what was read."""
    assert process.stderr is not None
    deadline = time.monotonic() + timeout_s
    read = ""
    while time.monotonic() < deadline:
        line = process.stderr.readline()
        read += line
        if text in line:
            return read
        assert line, f"the job ended before {text!r}: {read}"
    raise TimeoutError(f"no {text!r} within {timeout_s} s: {read}")
