"""Functions in processes of their own, forked from one that has imported everything.

An import of SpikeInterface takes longer than most jobs that are refused. A fork has it, and all
else of its own: environment, working folder, output, memory.
"""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import run_script
from spikeinterface_cloud.start.program import start

#: address space of a process: a job that asks for more ends itself, and not its neighbors
MEMORY_BYTES = 8 * 1024**3

#: between two looks at a process
POLL_S = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a process ended."""

    #: None: it took longer than it may; negative: the signal that killed it
    exit_code: int | None
    seconds: float
    cpu_s: float


def run_forked(function: Callable[[], None], log: Path, timeout_s: float) -> Ended:
    """Run a function in a fork, with its output in files, and kill what is left of it.

    Parameters
    ----------
    log
        file of standard error; standard output goes to `<log>.out`
    """
    started = time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        _run_and_exit(function, log)
    status: int | None = None
    while time.monotonic() - started < timeout_s:
        ended, found, usage = os.wait4(process, os.WNOHANG)
        if ended:
            status = found
            break
        time.sleep(POLL_S)
    else:
        os.killpg(process, signal.SIGKILL)
        _, _, usage = os.wait4(process, 0)
    return Ended(
        exit_code=None if status is None else os.waitstatus_to_exitcode(status),
        seconds=time.monotonic() - started,
        cpu_s=usage.ru_utime + usage.ru_stime,
    )


def _run_and_exit(function: Callable[[], None], log: Path) -> NoReturn:
    """Run in this process, which ends as Python's does: with 1 and a traceback, if at all."""
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        _redirect(0, Path(os.devnull), os.O_RDONLY)
        _redirect(1, log.with_name(f"{log.name}.out"))
        _redirect(2, log)
        function()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(number: int, path: Path, flags: int = os.O_WRONLY | os.O_CREAT | os.O_TRUNC) -> None:
    opened = os.open(path, flags, 0o644)
    os.dup2(opened, number)
    os.close(opened)


def run_program(program: Path | None, folder: Path, variables: Mapping[str, str]) -> None:
    """Run the job as the container does: `main` in its own folder, with its own variables.

    Another `program` than run_script.py takes the place of this process.
    """
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    if program is not None:
        os.execv(sys.executable, [sys.executable, str(program)])  # noqa: S606
    sys.argv = ["run_script.py"]
    raise SystemExit(run_script.main(start(description="")))
