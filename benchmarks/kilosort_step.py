"""The Kilosort4 step of a job beside `run_kilosort` on the same file, on the CPU.

    python benchmarks/kilosort_step.py [--rounds 5] [--duration-s 60]

The recording and the parameters are those of `gpu.py --device cpu --quick`, with a fifth of the
shapes that Kilosort4 usually tries first; nothing is preprocessed, so that both sort the same
samples. The step is the sorter's process from its start to its
end, imports included; so is `run_kilosort` (`bare_kilosort.py`). What is written is what the kernel
counts for the job and all that it starts: scratch, results and the report together.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from gpu_cases import QUICK_CHECKED, Case, bare_request, job_variables, write  # noqa: E402
from gpu_figures import SORT_STEP, STEP_GOAL  # noqa: E402
from table import Taken, measure, print_head, print_memory, print_seconds  # noqa: E402


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What the record of a job says of its step that sorts."""

    wall_s: float
    peak_memory_mib: float


@click.command()
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
@click.option("--duration-s", default=60.0, show_default=True, help="length of the recording")
def main(rounds: int, duration_s: float) -> None:
    """Print what the step, and what the job, takes."""
    case = replace(QUICK_CHECKED, duration_s=duration_s)
    recording_mib = case.size_gb * 1e9 / 2**20
    jobs: list[Taken] = []
    steps: list[Step] = []
    bare: list[Taken] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(case, folder)
        for number in range(rounds):
            for side in ("job", "bare") if number % 2 else ("bare", "job"):
                if side == "job":
                    jobs.append(run_job(case, folder))
                    steps.append(take_step(folder / "results"))
                else:
                    bare.append(run_bare(case, folder))
    print_head(f"{duration_s:g} s of {case.n_channels} channels, Kilosort4", "step", "bare")
    print_seconds(
        "by the clock", [s.wall_s for s in steps], [b.wall_s for b in bare], f"<= {STEP_GOAL:g}"
    )
    bare_mib, step_mib = (median(one.peak_memory_mib for one in side) for side in (bare, steps))
    print_memory("peak memory: run_kilosort, step", bare_mib, step_mib, "about 1")
    written_mib = median(job.written_mib for job in jobs)
    print_memory("recording, and all that the job writes", recording_mib, written_mib, "")


def run_job(case: Case, folder: Path) -> Taken:
    """Run the job, whose results are in `folder` until the step is taken from them."""
    variables = job_variables(case, folder, "cpu")
    return measure([sys.executable, ROOT / "run_script.py"], variables, folder)


def take_step(results: Path) -> Step:
    """Return what the sorter's step took, and remove the results."""
    record = json.loads((results / "run.json").read_text())
    shutil.rmtree(results)
    wall_s = next(each["seconds"] for each in record["steps"] if each["name"] == SORT_STEP)
    peak_mib = record["sorters"][0]["peak_memory_bytes"] / 2**20
    return Step(wall_s=wall_s, peak_memory_mib=peak_mib)


def run_bare(case: Case, folder: Path) -> Taken:
    """Run `run_kilosort` on the file with the parameters of the job."""
    results = folder / "bare"
    results.mkdir()
    request = bare_request(case, folder, "cpu", results, None)
    (folder / "request.json").write_text(json.dumps(request))
    program = ROOT / "benchmarks/bare_kilosort.py"
    taken = measure([sys.executable, "-P", program, folder / "request.json"], {}, folder)
    shutil.rmtree(results)
    return taken


if __name__ == "__main__":
    main()
