"""A user's laptop: `submit_job.py` in its own process and folder."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.batch_server import DEFINITION, QUEUE
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY

PROGRAM = Path(__file__).parents[2] / "submit_job.py"

#: a command that takes longer is considered to hang
TIMEOUT_S = 120

#: options of a valid job
JOB = (
    *("--source", "s3://lab-data/raw/session1", "--data-type", "spikeglx"),
    *("--sorters", "simple", "--target", "s3://lab-results/session1"),
)
PLACE = ("--job-queue", QUEUE, "--job-definition", DEFINITION)


def _restore_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Server(Protocol):
    """A mock server of AWS."""

    @property
    def url(self) -> str:
        """The endpoint URL."""


@dataclass(frozen=True, kw_only=True)
class Laptop:
    """A working folder and an AWS account."""

    folder: Path
    server: Server
    program: tuple[str, ...] = (sys.executable, str(PROGRAM))

    def run(
        self, *arguments: str, env: Mapping[str, str | None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `env` changes its environment, None removes a variable."""
        return subprocess.run(
            self._command(arguments),
            cwd=self.folder,
            env=self._environment(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command, for a test that acts while it runs."""
        return subprocess.Popen(
            self._command(arguments),
            cwd=self.folder,
            env=self._environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # tests in the background ignore SIGINT; a terminal does not
            preexec_fn=_restore_sigint,
        )

    def answer(
        self, reply: str, *arguments: str, env: Mapping[str, str | None] | None = None
    ) -> tuple[int, str]:
        """Run a command on a terminal and answer its question; return exit code and output."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            self._command(arguments),
            cwd=self.folder,
            env=self._environment(env or {}),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            os.close(theirs)
            deadline = time.monotonic() + TIMEOUT_S
            while process.poll() is None and time.monotonic() < deadline:
                os.write(
                    ours, f"{reply}\n".encode()
                )  # a question for a secret drops what came early
                time.sleep(0.2)
            process.kill()
            output, _ = process.communicate(timeout=10)
        os.close(ours)
        return process.returncode, output

    def submit(self, *arguments: str) -> str:
        """Submit the job, which must succeed; return its id."""
        done = self.run(*JOB, *PLACE, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [*self.program, *arguments]

    def _environment(self, changed: Mapping[str, str | None]) -> dict[str, str]:
        variables: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **changed,
        }
        return {name: text for name, text in variables.items() if text is not None}


def wait_until(happened: Callable[[], object], timeout_s: float = 60) -> None:
    """Wait until `happened()` is true."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
