"""A user's machine, beside a cloud that containers reach as well."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.containers.containers import HOST, REPOSITORY, TIMEOUT_S, run_container


@dataclass(frozen=True, kw_only=True, slots=True)
class Laptop:
    """A user's machine with `submit_job.py`, an account on the cloud, and a folder to work in."""

    variables: dict[str, str]
    folder: Path
    program: tuple[str, ...] = (sys.executable, f"{REPOSITORY}/submit_job.py")

    def submit_job(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        with self.started(*arguments) as process:
            output, errors = process.communicate(timeout=TIMEOUT_S)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def started(self, *arguments: str) -> subprocess.Popen[str]:
        """The program while it runs."""
        return subprocess.Popen(
            [*self.program, *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def address_of_this_machine(image: str) -> str:
    """An address of this machine that both it and containers reach."""
    return run_container(image, "getent", "hosts", HOST).output.split()[0]
