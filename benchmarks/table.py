"""Processes that are measured while they run, and the table of what was measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

WIDTHS = (50, 11, 11, 8, 8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What a process took, with all that it started and waited for."""

    wall_s: float
    cpu_s: float
    #: of its largest process
    peak_memory_mib: float
    #: to files, by the kernel's count
    written_mib: float

    def __add__(self, other: Taken) -> Taken:
        """The two, one after the other."""
        return Taken(
            wall_s=self.wall_s + other.wall_s,
            cpu_s=self.cpu_s + other.cpu_s,
            peak_memory_mib=max(self.peak_memory_mib, other.peak_memory_mib),
            written_mib=self.written_mib + other.written_mib,
        )


NOTHING = Taken(wall_s=0.0, cpu_s=0.0, peak_memory_mib=0.0, written_mib=0.0)


def measure(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    folder: Path,
    timeout_s: float | None = None,
) -> Taken:
    """Run the command in `folder`, with these variables besides our own, and say what it took.

    Raises RuntimeError, with the last lines it wrote, when it fails, and TimeoutExpired after it
    was killed because its time was up.
    """
    log_file, taken_file = folder / "output-of-the-command.log", folder / "taken.json"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, str(taken_file), *map(str, command)],
            env={**os.environ, **environment},
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            exit_code = process.wait(timeout_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if exit_code != 0:
        lines = log_file.read_text(errors="replace").splitlines()[-20:]
        raise RuntimeError("\n".join([f"{command!r} ended with {exit_code}:", *lines]))
    return Taken(**json.loads(taken_file.read_text()))


def launch(taken_file: Path, command: Sequence[str]) -> int:
    """Run the command and write what it took; its exit code.

    In a small process of its own, as the kernel counts the memory of the process that starts
    another one into the other's peak.
    """
    started = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    taken = Taken(
        wall_s=time.monotonic() - started,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_memory_mib=usage.ru_maxrss / 1024,
        written_mib=usage.ru_oublock * 512 / 2**20,
    )
    taken_file.write_text(json.dumps(asdict(taken)))
    return process.returncode


def print_head(title: str, ours: str, other: str) -> None:
    """Print the head of a table whose rows compare two things."""
    _print_cells(title, ours, other, "ratio", "goal")
    _print_cells(*("-" * width for width in WIDTHS))


def print_seconds(label: str, ours: Sequence[float], other: Sequence[float], goal: str) -> None:
    """Print the medians of two lists of seconds, and the median of the rounds' ratios."""
    ratios = [mine / theirs for mine, theirs in zip(ours, other, strict=True)]
    _print_cells(
        label, f"{median(ours):.1f} s", f"{median(other):.1f} s", f"{median(ratios):.2f}", goal
    )


def print_milliseconds(
    label: str, ours: Sequence[float], other: Sequence[float], goal: str
) -> None:
    """The same, of times below a second."""
    ratios = [mine / theirs for mine, theirs in zip(ours, other, strict=True)]
    _print_cells(
        label,
        f"{median(ours) * 1000:.0f} ms",
        f"{median(other) * 1000:.0f} ms",
        f"{median(ratios):.2f}",
        goal,
    )


def print_memory(label: str, small_mib: float, large_mib: float, goal: str) -> None:
    """Print two peaks of memory, and how many times the first the second is."""
    ratio = f"{large_mib / small_mib:.2f}"
    _print_cells(label, f"{small_mib:.0f} MiB", f"{large_mib:.0f} MiB", ratio, goal)


def _print_cells(*cells: str) -> None:
    first, *others = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    print(first, *others, flush=True)


if __name__ == "__main__":
    sys.exit(launch(Path(sys.argv[1]), sys.argv[2:]))
