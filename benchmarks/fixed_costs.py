"""How soon a job writes the first line of its log, beside the imports that follow it.

python benchmarks/fixed_costs.py [--rounds 5]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from table import measure, print_head, print_milliseconds  # noqa: E402

PROGRAM = ROOT / "run_script.py"

#: a job that would run; nothing of it happens before the first line
SETTINGS = {"TEST_WITH_TOY_RECORDING": "yes", "SORTERS": "simple"}


@click.command()
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
def main(rounds: int) -> None:
    """Print the row of the first line."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        imports(work)  # compiles Python's modules, which an image brings compiled
        lines = [(until_first_line(work), imports(work)) for _ in range(rounds)]
    print_head("start of a job", "first line", "imports")
    ours, other = ([pair[side] for pair in lines] for side in (0, 1))
    print_milliseconds("by the clock", ours, other, "< 1.5 s")


def until_first_line(work: Path) -> float:
    """Seconds from the start of a job to the first line of its log."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM)],
        cwd=work,
        env={**os.environ, **SETTINGS},
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with process:
        process.stderr.readline()
        taken_s = time.monotonic() - started
        process.terminate()
    return taken_s


def imports(work: Path) -> float:
    """Seconds of a process that imports what a job imports."""
    command = [sys.executable, "-c", f"import sys; sys.path[0] = {str(ROOT)!r}; import run_script"]
    return measure(command, {}, work).wall_s


if __name__ == "__main__":
    main()
