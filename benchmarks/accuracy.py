"""The accuracy of whole jobs beside that of the bare sorters: `make accuracy`.

    python benchmarks/accuracy.py [--size default] [--sorters simple,lupin] [--output TABLE.md]

Each row is one sorting of a simulated recording: by the bare sorter (`accuracy_bare.py`)
alone, and by `run_script.py` with PREPROCESSING none and default, all with the same parameters,
random numbers and one worker (with several, most sorters depend on chance in spite of equal seeds);
as many are sorted at once as there are cores. Where a job is too far below, it and the bare sorter
sort twice more, with other seeds, and the means count; Kilosort4 has no seed, and sorts once.

Rows that are done are kept in `accuracy-results/`, and an interrupted run goes on with the next. A
row of a job is done again after a change of the package.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, product
from pathlib import Path
from threading import Lock
from typing import Any

import click
import spikeinterface as si

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from accuracy_recordings import (  # noqa: E402
    ABOUT,
    RECORDING,
    TRUTH,
    About,
    Scenario,
    write_recording,
)
from accuracy_table import BARE, Row, judge_channels, losses, markdown, score, verdict  # noqa: E402
from table import Taken, measure  # noqa: E402

from spikeinterface_cloud.runtime.host import usable_cpus  # noqa: E402

CACHE = ROOT / "accuracy-results"

#: held while a recording is simulated, which every sorter waits for
_simulating = Lock()

#: the sorters of the CPU image, and Kilosort4 on the CPU
CPU_SORTERS = ("spykingcircus2", "tridesclous2", "lupin", "simple")
ALL_SORTERS = (*CPU_SORTERS, "kilosort4")

WAYS = (BARE, "none", "default")

#: what a job runs, and what a bare sorter's process imports of it
PROGRAM = ("run_script.py", "spikeinterface_cloud/**/*.py")
SEEDING = ("spikeinterface_cloud/sorting/random_numbers.py",)

#: workers of a sorter on both sides
N_JOBS = 1

#: sortings of each way whose means are compared where the first ones differ too much
SORTINGS = 3
PACKAGES = ("spikeinterface", "kilosort", "numpy", "scipy", "numba", "scikit-learn", "hdbscan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much is simulated and sorted."""

    n_channels: int
    n_units: int
    duration_s: float
    n_seeds: int
    scenarios: tuple[str, ...]
    sorters: tuple[str, ...]

    def recordings(self) -> Iterator[Scenario]:
        """Return every recording of this size."""
        for name, seed in product(self.scenarios, range(self.n_seeds)):
            yield Scenario(
                name=name,
                n_channels=self.n_channels,
                n_units=self.n_units,
                duration_s=self.duration_s,
                seed=seed,
            )


SCENARIOS = ("static", "drifting", "bad channels", "cell models")
SIZES = {
    "small": Size(
        n_channels=64,
        n_units=20,
        duration_s=30.0,
        n_seeds=1,
        scenarios=("static", "bad channels"),
        sorters=("simple",),
    ),
    "default": Size(
        n_channels=64,
        n_units=40,
        duration_s=60.0,
        n_seeds=1,
        scenarios=SCENARIOS,
        sorters=CPU_SORTERS,
    ),
    "full": Size(
        n_channels=384,
        n_units=500,
        duration_s=600.0,
        n_seeds=5,
        scenarios=SCENARIOS,
        sorters=ALL_SORTERS,
    ),
}


@click.command()
@click.option("--size", type=click.Choice(list(SIZES)), default="default", show_default=True)
@click.option("--sorters", help="names, separated by commas; default: all of the size")
@click.option("--output", type=click.Path(path_type=Path), help="write the page to this file, too")
def main(size: str, sorters: str | None, output: Path | None) -> None:
    """Sort the recordings of SIZE, print the table and the verdict.

    Exits with 1 if a job loses too much, or a row failed.
    """
    chosen = SIZES[size]
    names = sorters.split(",") if sorters else chosen.sorters
    rows: list[Row] = []
    failures: list[str] = []
    for scenario in chosen.recordings():
        with ThreadPoolExecutor(usable_cpus()) as pool:
            compared = list(pool.map(partial(compare, scenario), names))
        for row in chain.from_iterable(compared):
            if isinstance(row, Row):
                rows.append(row)
            else:  # the others count nevertheless
                failures.append(row)
    page = "\n".join([describe(rows, size), *failures])
    print(page)
    if output is not None:
        output.write_text(page)
    sys.exit(1 if losses(rows) or failures else 0)


def describe(rows: Sequence[Row], size: str) -> str:
    """Return the table with its command, versions and date, and the verdict."""
    command = shlex.join(["python", "benchmarks/accuracy.py", *sys.argv[1:]])
    hours = sum(row.cpu_s for row in rows) / 3600
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    today = datetime.datetime.now(tz=datetime.UTC).strftime("%d %B %Y")
    chosen = SIZES[size]
    about = (
        f"`{command}`, {today}: {chosen.n_channels} channels, {chosen.n_units} units, "
        f"{chosen.duration_s:g} s; {hours:.2f} hours of CPU. {versions}."
    )
    return "\n\n".join([about, markdown(rows), verdict(rows)]) + "\n"


def compare(scenario: Scenario, sorter: str) -> list[Row | str]:
    """Return rows of the bare sorter and of the jobs, more of those that differ too much.

    What cannot be sorted is a sentence instead of a row.
    """
    found = [row_or_failure(scenario, sorter, way, 0) for way in WAYS]
    lost = [loss.way for loss in losses([row for row in found if isinstance(row, Row)])]
    again = product(range(1, SORTINGS), [BARE, *lost]) if lost and sorter != "kilosort4" else ()
    return [*found, *(row_or_failure(scenario, sorter, way, number) for number, way in again)]


def parameters(sorter: str, number: int) -> dict[str, Any]:
    """Return the parameters of both sides for one of several sortings, numbered from 0."""
    return {"torch_device": "cpu"} if sorter == "kilosort4" else {"seed": number}


def row_or_failure(scenario: Scenario, sorter: str, way: str, number: int) -> Row | str:
    """Return a row, or which one failed."""
    try:
        return cached_row(scenario, sorter, way, number)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return f"{scenario.key}, {sorter}, {way} failed: the log has its last lines"


def cached_row(scenario: Scenario, sorter: str, way: str, number: int) -> Row:
    """Return a row from the cache, or sort for it."""
    depends = {
        "way": way,
        "parameters": parameters(sorter, number),
        "n_jobs": N_JOBS,
        "versions": _versions(),
        "package": _digest(SEEDING if way == BARE else PROGRAM),
    }
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:12]
    file = CACHE / "rows" / f"{scenario.key}-{sorter}-{way}-{number}-{digest}.json"
    if not file.exists():
        print(f"{scenario.key}: {sorter}, {way}", file=sys.stderr, flush=True)
        row = sort_and_score(scenario, sorter, way, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(asdict(row)))
        new.replace(file)
    return Row(**json.loads(file.read_text()))


def sort_and_score(scenario: Scenario, sorter: str, way: str, number: int) -> Row:
    """Sort the recording of the scenario, and compare the units with the true ones."""
    simulated = _recording_folder(scenario)
    about = About(**json.loads((simulated / ABOUT).read_text()))
    removed: list[str] | None = None
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if way == BARE:
            taken, units = run_bare(simulated / RECORDING, sorter, number, work)
        else:
            taken, units = run_job(simulated / RECORDING, sorter, way, number, work)
            if way == "default":
                record = json.loads((work / "results/run.json").read_text())
                removed = list(record["preprocessing"]["bad_channels"])
        mean, n_found, n_false, by_snr = score(si.load(simulated / TRUTH), si.load(units), about)
    false, missed = (None, None) if removed is None else judge_channels(removed, about)
    return Row(
        scenario=scenario.name,
        seed=scenario.seed,
        sorter=sorter,
        way=way,
        mean_accuracy=mean,
        n_true=len(about.snr),
        n_found=n_found,
        n_false=n_false,
        by_snr=by_snr,
        false_removals=false,
        missed_bad=missed,
        cpu_s=taken.cpu_s,
    )


def run_bare(recording: Path, sorter: str, number: int, work: Path) -> tuple[Taken, Path]:
    """Run the sorter through SpikeInterface alone; return what it took, and its units."""
    request = {
        "sorter": sorter,
        "recording": str(recording),
        "folder": str(work / "units"),
        "parameters": parameters(sorter, number),
        "n_jobs": N_JOBS,
    }
    (work / "request.json").write_text(json.dumps(request))
    program = ROOT / "benchmarks/accuracy_bare.py"
    return measure([sys.executable, program, "request.json"], {}, work), work / "units"


def run_job(recording: Path, sorter: str, way: str, number: int, work: Path) -> tuple[Taken, Path]:
    """Run the whole job on the same folder; return what it took, and its units."""
    settings = {
        "SOURCE_FOLDER": str(recording),
        "DATA_TYPE": "binary",
        "PREPROCESSING": way,
        "N_JOBS": str(N_JOBS),
        "SORTERS": sorter,
        "SORTERS_KWARGS": json.dumps({sorter: parameters(sorter, number)}),
        "RESULTS_FOLDER": str(work / "results"),
        "SCRATCH_FOLDER": str(work / "scratch"),
    }
    taken = measure([sys.executable, ROOT / "run_script.py"], settings, work)
    return taken, work / "results" / sorter / "sorting"


def _recording_folder(scenario: Scenario) -> Path:
    """Return the folder of the recording, simulated if it is not there yet; only one is kept."""
    folder = CACHE / "recordings" / scenario.key
    with _simulating:
        if not (folder / ABOUT).exists():  # which is written last
            shutil.rmtree(folder.parent, ignore_errors=True)
            write_recording(scenario, folder)
    return folder


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _digest(patterns: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for file in sorted(file for pattern in patterns for file in ROOT.glob(pattern)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
