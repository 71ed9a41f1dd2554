"""Kilosort4 on a GPU: whether it finds known units, how fast, how busy the card is, in what memory.

    python benchmarks/gpu.py                            checks and figures, in less than 8 minutes
    python benchmarks/gpu.py --checks-only              the checks
    python benchmarks/gpu.py --device cpu --quick       that every line runs, without a GPU

It needs the packages of requirements/gpu.txt and nothing else, so that it runs in the GPU image;
docs/how-to/gpu-figures.md says how, and what to do with what it writes. It exits with 1 if a check
fails.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from bare_kilosort import GPU_MEMORY  # noqa: E402
from gpu_budget import LEAST_S, Budget  # noqa: E402
from gpu_cases import (  # noqa: E402
    CHECKED,
    PROBE,
    QUICK_CHECKED,
    QUICK_PROBE,
    Case,
    bare_request,
    case_as_json,
    job_variables,
    opened,
)
from gpu_figures import SORT_STEP, Agreement, Check, Figures, checks  # noqa: E402
from gpu_report import count, markdown, rate_entry  # noqa: E402
from gpu_usage import Sampler, sampled  # noqa: E402
from table import Taken, measure  # noqa: E402

BENCHMARKS = ROOT / "benchmarks"

#: what part of the time each part of a case may take
CHECKED_SHARES = {"simulation": 20.0, "job": 100.0, "run_kilosort": 60.0}
PROBE_SHARES = {
    "simulation": 40.0,
    "job": 150.0,
    "run_kilosort on half": 40.0,
    "run_kilosort": 70.0,
}

#: two units are the same if they have this part of their spikes in common
SAME_UNIT = 0.95

#: the lines of `run.log` between which the sorter runs
STEP_LINE = re.compile(rf"^(\S+)Z INFO +{SORT_STEP} (?:\.\.\.|done)", re.MULTILINE)


@dataclass(kw_only=True, slots=True)
class Measurement:
    """One run of this program."""

    #: `cuda` or `cpu`
    device: str
    #: the memory of the card; None on the CPU
    gpu_bytes: int | None
    folder: Path
    budget: Budget
    sampler: Sampler
    cases: list[Figures] = field(default_factory=list)

    def run_case(self, case: Case, shares: Sequence[str]) -> Figures:
        """Simulate, sort by a job and without one, and compare."""
        figures = Figures(case=case)
        self.cases.append(figures)
        folder = self.folder / case.name.replace(" ", "-")
        folder.mkdir(parents=True)
        command: list[str | Path] = [BENCHMARKS / "gpu_cases.py", folder, case_as_json(case)]
        if self._run(figures, "simulation", command, folder) is None:
            for part in shares[1:]:
                figures.missing[part] = "there is no recording"
            return figures
        self._run_job(figures, folder)
        if "run_kilosort on half" in shares:
            end_s = case.duration_s / 2
            figures.bare_half = self._run_bare(figures, "run_kilosort on half", folder, end_s)
        figures.bare = self._run_bare(figures, "run_kilosort", folder, None)
        compare(figures, folder)
        return figures

    def _run_job(self, figures: Figures, folder: Path) -> None:
        variables = job_variables(figures.case, folder, self.device)
        figures.job = self._run(figures, "job", [ROOT / "run_script.py"], folder, variables)
        if figures.job is None:
            return
        results = folder / "results"
        figures.record = json.loads((results / "run.json").read_text())
        if (interval := sorting_interval((results / "run.log").read_text())) is not None:
            figures.usage[SORT_STEP] = self.sampler.between(*interval)

    def _run_bare(
        self, figures: Figures, part: str, folder: Path, end_s: float | None
    ) -> Taken | None:
        results = folder / part.replace(" ", "-")
        results.mkdir()
        request = bare_request(figures.case, folder, self.device, results, end_s)
        (results / "request.json").write_text(json.dumps(request))
        # -P: this folder has no package that it imports
        command: list[str | Path] = [
            "-P",
            BENCHMARKS / "bare_kilosort.py",
            results / "request.json",
        ]
        taken = self._run(figures, part, command, folder)
        if taken is not None and end_s is None:
            figures.bare_gpu_bytes = json.loads((results / GPU_MEMORY).read_text())
        return taken

    def _run(
        self,
        figures: Figures,
        part: str,
        command: Sequence[str | Path],
        folder: Path,
        variables: dict[str, str] | None = None,
    ) -> Taken | None:
        """Run a Python program within the time of its part; None if it has no figures."""
        left_s = self.budget.left_s(f"{figures.case.name}: {part}")
        if left_s < LEAST_S:
            figures.missing[part] = "left out, as the parts before it took its time"
            return None
        print(f"{figures.case.name}: {part}, at most {left_s:.0f} s ...", flush=True)
        started = time.time()
        try:
            taken = measure([sys.executable, *command], variables or {}, folder, left_s)
        except subprocess.TimeoutExpired:
            figures.missing[part] = f"stopped after {left_s:.0f} s, when its time was up"
            return None
        except RuntimeError as error:
            print(error, flush=True)
            figures.missing[part] = str(error).splitlines()[-1]
            return None
        figures.usage[part] = self.sampler.between(started, time.time())
        return taken


def sorting_interval(log: str) -> tuple[float, float] | None:
    """Return when the sorter started and ended, in seconds since 1970, from a job's `run.log`."""
    times = [datetime.fromisoformat(f"{each}+00:00").timestamp() for each in STEP_LINE.findall(log)]
    return (times[0], times[1]) if len(times) == 2 else None


def compare(figures: Figures, folder: Path) -> None:
    """Compare what was found with the truth, and with each other."""
    from spikeinterface.comparison import compare_two_sorters
    from spikeinterface.extractors import read_kilosort

    from spikeinterface_cloud.analysis.analyzer import load_sorting
    from spikeinterface_cloud.analysis.comparison import compare_with_truth
    from spikeinterface_cloud.results.layout import SORTING

    _, truth = opened(folder)
    job = bare = None
    if figures.sorter.get("outcome") == "sorted":
        job = load_sorting(folder / "results" / "kilosort4" / SORTING)
        figures.job_truth = compare_with_truth(job, truth, folder / "job.csv")
    if figures.bare is not None:
        bare = read_kilosort(folder / "run_kilosort")
        figures.bare_truth = compare_with_truth(bare, truth, folder / "bare.csv")
    if job is None or bare is None:
        return
    scores = compare_two_sorters(job, bare, match_score=SAME_UNIT).hungarian_match_12
    figures.agreement = Agreement(
        n_job=job.get_num_units(),
        n_bare=bare.get_num_units(),
        n_same=int((scores != -1).sum()),
    )


def describe_machine() -> dict[str, Any]:
    """Return what `gpu_machine.py` finds."""
    command = [sys.executable, str(BENCHMARKS / "gpu_machine.py")]
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return dict(json.loads(found))


def check_device(machine: dict[str, Any], device: str) -> Check:
    """Return whether there is the device that Kilosort4 is to run on."""
    gpu = machine["gpu"]
    found = gpu["name"] if gpu else machine["why_no_gpu"]
    passed = gpu is not None if device == "cuda" else None
    return Check(name="torch has a CUDA device", passed=passed, found=found)


def run_cases(
    measurement: Measurement, cases: Sequence[tuple[Case, Mapping[str, float]]]
) -> list[Check]:
    """Run one case after the other, and return their checks."""
    found = []
    for case, shares in cases:
        figures = measurement.run_case(case, list(shares))
        found += [
            replace(each, name=f"{case.name}: {each.name}")
            for each in checks(figures, measurement.gpu_bytes)
        ]
    return found


def write_report(
    folder: Path, machine: dict[str, Any], measurement: Measurement, found: Sequence[Check]
) -> None:
    """Write the figures into the folder as JSON and as Markdown, and print them."""
    now, cases = datetime.now(UTC), measurement.cases
    device = measurement.device
    text = markdown(machine, cases, found, device)
    probe = next((each for each in cases if each.bare_half is not None), None)
    entry = probe and rate_entry(machine, probe, now.date(), device)
    if entry:
        text += f"\n## The rate\n\n```python\n{entry}\n```\n"
    text += f"\nMeasured {now:%d %B %Y} in {measurement.budget.elapsed_s:.0f} s.\n"
    content = {
        "measured": now.isoformat(timespec="seconds"),
        "device": device,
        "machine": machine,
        "checks": [asdict(each) for each in found],
        "cases": [asdict(each) for each in cases],
        "rate": entry,
    }
    (folder / "gpu.json").write_text(f"{json.dumps(content, indent=2)}\n")
    (folder / "gpu.md").write_text(text)
    print(f"\n{text}", flush=True)


@click.command()
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--quick", is_flag=True, help="small recordings; the figures mean nothing")
@click.option("--checks-only", is_flag=True, help="without the figures of a whole probe")
@click.option("--budget-s", default=460.0, show_default=True, help="seconds for all parts")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("gpu-results"),
    show_default=True,
    help="for gpu.json and gpu.md, and for the recordings while it runs",
)
@click.option("--keep", is_flag=True, help="keep the recordings and what was found in them")
def main(
    device: str, quick: bool, checks_only: bool, budget_s: float, folder: Path, keep: bool
) -> None:
    """Measure Kilosort4, write the figures, and exit with 1 if a check fails."""
    cases = [
        (QUICK_CHECKED if quick else CHECKED, CHECKED_SHARES),
        (QUICK_PROBE if quick else PROBE, PROBE_SHARES),
    ][: 1 if checks_only else 2]
    budget = Budget(
        budget_s,
        {f"{case.name}: {part}": share for case, shares in cases for part, share in shares.items()},
    )
    work = folder.resolve() / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    machine = describe_machine()
    gpu = machine["gpu"] if device == "cuda" else None
    found = [check_device(machine, device)]
    with sampled(gpu["uuid"] if gpu else None) as sampler:
        measurement = Measurement(
            device=device,
            gpu_bytes=gpu["memory_bytes"] if gpu else None,
            folder=work,
            budget=budget,
            sampler=sampler,
        )
        if found[0].passed is not False:
            found += run_cases(measurement, cases)
    write_report(folder, machine, measurement, found)
    if not keep:
        shutil.rmtree(work)
    sys.exit(1 if count(found)["failed"] else 0)


if __name__ == "__main__":
    main()
