"""The image as a user runs it: the client of a real engine, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

REPOSITORY = __file__.rpartition("/tests/")[0]

#: the engine's client; `make` chooses one that can build
CLIENT = os.environ.get("DOCKER", "docker")

#: how a container calls the machine that it runs on
HOST = "host.docker.internal"

#: a container that takes longer than this hangs
TIMEOUT_S = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A container that has ended."""

    exit_code: int
    #: what it wrote to standard output
    output: str
    #: what it wrote to standard error
    log: str


def engine_command(*arguments: str, timeout_s: float = 60) -> str:
    """What the engine's client answers; it has to succeed."""
    done = subprocess.run(
        [CLIENT, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{CLIENT} {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def run_container(
    image: str,
    *command: str,
    variables: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Finished:
    """Run the image to its end; without a command it runs its own."""
    with _run_options(variables or {}, options) as chosen:
        done = subprocess.run(
            [CLIENT, "run", "--rm", *chosen, image, *command],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    return Finished(exit_code=done.returncode, output=done.stdout, log=done.stderr)


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A container that was started, and may still run."""

    name: str

    def wait_for(self, text: str, timeout_s: float = 120) -> None:
        """Return once `text` stands in what it has written."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            finished = self.finished()
            if text in finished.log + finished.output:
                return
            assert self._state() == "running", f"it ended before {text!r}: {finished}"
            time.sleep(0.1)
        raise TimeoutError(f"no {text!r} within {timeout_s} s: {self.finished()}")

    def stop(self, grace_s: int) -> float:
        """Send SIGTERM, and SIGKILL after `grace_s`; the seconds that it took to end."""
        started = time.monotonic()
        engine_command("stop", "--time", str(grace_s), self.name, timeout_s=grace_s + 60)
        return time.monotonic() - started

    def finished(self) -> Finished:
        """How it ended, or what it has written so far."""
        logs = subprocess.run(
            [CLIENT, "logs", self.name], capture_output=True, text=True, timeout=60, check=True
        )
        code = engine_command("inspect", "--format", "{{.State.ExitCode}}", self.name)
        return Finished(exit_code=int(code), output=logs.stdout, log=logs.stderr)

    def _state(self) -> str:
        return engine_command("inspect", "--format", "{{.State.Status}}", self.name)


@contextmanager
def started_container(
    image: str,
    *command: str,
    variables: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Running]:
    """A container that runs by itself; it is removed in the end, in whatever state."""
    name = f"test-{uuid.uuid4()}"
    with _run_options(variables or {}, options) as chosen:
        engine_command("run", "--detach", "--name", name, *chosen, image, *command)
    try:
        yield Running(name=name)
    finally:
        engine_command("rm", "--force", name)


@contextmanager
def _run_options(variables: Mapping[str, str], options: Sequence[str]) -> Iterator[list[str]]:
    """The variables in a file, as the documentation passes them."""
    with tempfile.NamedTemporaryFile("w", suffix=".env") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
        file.flush()
        yield [f"--add-host={HOST}:host-gateway", "--env-file", file.name, *options]
