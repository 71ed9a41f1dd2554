"""Run the job of each layout with each breakage."""

import json
import multiprocessing
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tools.zoo.layout import Layout
from tools.zoo.outcomes import Outcome, Verdict, classify
from tools.zoo.processes import Ended, run_forked, run_program
from tools.zoo.specimen import Breakage, NotApplicable, Specimen, write_specimen
from tools.zoo.truth import Truth

#: a job that takes longer hangs
TIMEOUT_S = 240.0

#: exit code of a preparation: the layout has no place for the breakage
NOT_APPLICABLE = 99


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A layout with a breakage."""

    layout: Layout
    breakage: Breakage

    @property
    def name(self) -> str:
        """Return a name for logs."""
        return f"{self.layout.name} / {self.breakage.name}"

    def is_in_part(self, part: int, n_parts: int) -> bool:
        """Return whether the case is in a part of the zoo."""
        return zlib.crc32(self.name.encode()) % n_parts == part


def run_all(
    cases: Sequence[Case], truth: Truth, folder: Path, n_workers: int, program: Path | None = None
) -> Iterator[Verdict]:
    """Run the cases, one a worker at a time; yield the verdicts as they come."""
    forking = multiprocessing.get_context("fork")
    with forking.Pool(n_workers, _remember, [cases, truth, folder, program]) as pool:
        for verdict in pool.imap_unordered(_run_one, range(len(cases))):
            if verdict is not None:
                yield verdict


#: of a worker: what `run_all` was called with, as functions of layouts cannot be sent to it
_remembered: list[Any] = []


def _remember(*arguments: object) -> None:
    _remembered[:] = arguments


def _run_one(number: int) -> Verdict | None:
    cases, truth, parent, program = _remembered
    folder = parent / str(number)
    try:
        return run_case(folder, cases[number], truth, program)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    for path, folders, _ in os.walk(folder):
        for name in folders:  # before os.walk enters it
            if not (Path(path) / name).is_symlink():
                (Path(path) / name).chmod(0o700)
    shutil.rmtree(folder)


def run_case(
    folder: Path,
    case: Case,
    truth: Truth,
    program: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Verdict | None:
    """Write a specimen, run its job, and judge it, each in a fork; None: it does not apply."""
    folder.mkdir(parents=True)
    prepared = run_forked(partial(_prepare, folder, case, truth), folder / "prepare.log", 120)
    if prepared.exit_code == NOT_APPLICABLE:
        return None
    if prepared.exit_code != 0:
        return _not_judged(case, folder / "prepare.log")
    variables = json.loads((folder / "variables.json").read_text())
    log = folder / "job.log"
    ended = run_forked(partial(run_program, program, folder / "job", variables), log, timeout_s)
    judged = run_forked(partial(_judge, folder, case, truth, ended), folder / "judge.log", 120)
    if judged.exit_code != 0:
        return _not_judged(case, folder / "judge.log")
    content = json.loads((folder / "verdict.json").read_text())
    return Verdict(**content | {"outcome": Outcome(content["outcome"])})


def _not_judged(case: Case, log: Path) -> Verdict:
    return Verdict(
        layout=case.layout.name,
        breakage=case.breakage.name,
        outcome=Outcome.NOT_JUDGED,
        exit_code=None,
        message=log.read_text(errors="replace").strip()[-500:],
        seconds=0.0,
        cpu_s=0.0,
    )


def _write(folder: Path, case: Case, truth: Truth) -> Specimen:
    warnings.simplefilter("ignore")
    return write_specimen(folder, case.layout, truth, case.breakage)


def _prepare(folder: Path, case: Case, truth: Truth) -> None:
    try:
        specimen = _write(folder / "input", case, truth)
    except NotApplicable:
        raise SystemExit(NOT_APPLICABLE) from None
    job = folder / "job"
    job.mkdir()
    variables = {
        "PATH": os.environ["PATH"],
        **{name: os.environ[name] for name in FOR_SHORT_JOBS},
        "HOME": str(job),
        "RESULTS_FOLDER": str(job / "results"),
        "SCRATCH_FOLDER": str(job / "scratch"),
        **specimen.variables,
    }
    (folder / "variables.json").write_text(json.dumps(variables))


def _judge(folder: Path, case: Case, truth: Truth, ended: Ended) -> None:
    warnings.simplefilter("ignore")
    specimen = _write(folder / "again", case, truth)
    log = (folder / "job.log").read_text(errors="replace")
    results = folder / "job" / "results"
    outcome, message = classify(ended, log, results, specimen, case.breakage)
    verdict = Verdict(
        layout=case.layout.name,
        breakage=case.breakage.name,
        outcome=outcome,
        exit_code=ended.exit_code,
        message=message.replace(str(folder), "").strip(),
        seconds=round(ended.seconds, 2),
        cpu_s=round(ended.cpu_s, 2),
    )
    (folder / "verdict.json").write_text(json.dumps(asdict(verdict)))


#: one thread each, as the jobs run beside each other
FOR_SHORT_JOBS = {"OMP_NUM_THREADS": "1"}
