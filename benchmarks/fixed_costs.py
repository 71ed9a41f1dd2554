"""What a job costs however short its recording: its start, and what it compiles.

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

from table import Taken, measure, print_head, print_milliseconds, print_seconds  # noqa: E402

from tests.support.recordings import simulate, write_binary_folder  # noqa: E402

PROGRAM = ROOT / "run_script.py"

#: a job that would run; nothing of it happens before the first line
SETTINGS = {"TEST_WITH_TOY_RECORDING": "yes", "SORTERS": "simple"}

SORTERS = ("simple", "spykingcircus2", "tridesclous2", "lupin")


@click.command()
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
def main(rounds: int) -> None:
    """Print the rows of the first line and of the compiled functions."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        imports(work)  # compiles Python's modules, which an image brings compiled
        lines = [(until_first_line(work), imports(work)) for _ in range(rounds)]
    print_head("start of a job", "first line", "imports")
    ours, other = ([pair[side] for pair in lines] for side in (0, 1))
    print_milliseconds("by the clock", ours, other, "< 1.5 s")
    print_head("a job of 10 s of 16 channels", "cached", "uncached")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_binary_folder(work / "recording", simulate(duration_s=10.0, n_units=8)[0])
        for sorter in SORTERS:
            job(work, sorter, work / "cache")  # compiles what the others find
            cached, uncached = [], []
            for number in range(rounds):
                cached.append(job(work, sorter, work / "cache"))
                uncached.append(job(work, sorter, work / f"new-{sorter}-{number}"))
            for label, unit in ((sorter, "wall_s"), ("  CPU", "cpu_s")):
                ours, other = (
                    [getattr(taken, unit) for taken in side] for side in (cached, uncached)
                )
                print_seconds(label, ours, other, "")


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


def job(work: Path, sorter: str, cache: Path) -> Taken:
    """What a whole job takes whose compiled functions are cached in this folder."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        settings = {
            "SOURCE_FOLDER": str(work / "recording"),
            "DATA_TYPE": "binary",
            "SORTERS": sorter,
            "RESULTS_FOLDER": f"{folder}/results",
            "SCRATCH_FOLDER": f"{folder}/scratch",
            "NUMBA_CACHE_DIR": str(cache),
        }
        return measure([sys.executable, PROGRAM], settings, work)


if __name__ == "__main__":
    main()
