"""What `gpu.py` measures of one case, and the checks that these figures have to pass."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from gpu_cases import RATE_HZ, Case  # noqa: E402
from gpu_usage import Usage  # noqa: E402
from table import Taken  # noqa: E402

from spikeinterface_cloud.runtime.memory_estimate import (  # noqa: E402
    ERROR_FACTOR,
    extent_of_recording,
    sorting_bytes,
)

SORT_STEP = "sort with kilosort4"

#: of the same parameters on the same samples; CUDA adds up in another order in each run
LEAST_SHARED_UNITS = 0.9
#: by how much a job's mean accuracy may be lower than that of `run_kilosort`
ACCURACY_TOLERANCE = 0.005
#: how much longer the step may take: it starts a process that imports SpikeInterface, too
STEP_FACTOR, STEP_START_S = 1.1, 30.0
#: the goal, for recordings in which the start does not count
STEP_GOAL = 1.05

NEEDS_CUDA = "needs a CUDA device"


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """The units of a job beside those of `run_kilosort`."""

    n_job: int
    n_bare: int
    #: pairs of units that have 95 % of their spikes in common
    n_same: int

    @property
    def share(self) -> float:
        """Return the part of the units that both have."""
        return self.n_same / max(self.n_job, self.n_bare, 1)


@dataclass(kw_only=True, slots=True)
class Figures:
    """What was measured of one case; None where it was not."""

    case: Case
    job: Taken | None = None
    #: `run.json` of the job
    record: Mapping[str, Any] | None = None
    bare: Taken | None = None
    bare_gpu_bytes: int | None = None
    #: `run_kilosort` on the first half of the recording
    bare_half: Taken | None = None
    job_truth: Mapping[str, float] | None = None
    bare_truth: Mapping[str, float] | None = None
    agreement: Agreement | None = None
    #: of the card, by what ran meanwhile
    usage: dict[str, Usage] = field(default_factory=dict)
    #: why a part has no figures, by its name
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def sorter(self) -> Mapping[str, Any]:
        """The entry of Kilosort4 in `run.json`."""
        return dict(self.record["sorters"][0]) if self.record else {}

    @property
    def step_s(self) -> float | None:
        """The seconds of the job's step that sorts."""
        steps = self.record["steps"] if self.record else []
        return next((step["seconds"] for step in steps if step["name"] == SORT_STEP), None)

    @property
    def step_ratio(self) -> float | None:
        """That step beside the process of `run_kilosort`."""
        return self.step_s / self.bare.wall_s if self.step_s and self.bare else None

    @property
    def estimated_bytes(self) -> int:
        """The host memory that the job expects Kilosort4 to need."""
        case = self.case
        estimate = sorting_bytes(
            "kilosort4", extent_of_recording(case.n_channels, case.duration_s, RATE_HZ)
        )
        assert estimate is not None
        return estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One statement about the figures."""

    name: str
    #: None: it could not be checked
    passed: bool | None
    #: the figures, or why there are none
    found: str


def checks(figures: Figures, gpu_bytes: int | None) -> list[Check]:
    """Return the checks of one case; `gpu_bytes` is the memory of the card, None on the CPU."""
    return [
        *_ended(figures),
        *_truth(figures),
        *_same_as_bare(figures),
        *_memory(figures),
        *_on_gpu(figures, gpu_bytes),
    ]


def _ended(figures: Figures) -> Iterator[Check]:
    for part in ("job", "run_kilosort"):
        reason = figures.missing.get(part)
        yield Check(name=f"{part} ends", passed=reason is None, found=reason or "it did")
    if figures.record is not None:
        n_tries = len(figures.sorter["tries"])
        yield Check(
            name="the job sorts at the first try",
            passed=figures.sorter["outcome"] == "sorted" and n_tries <= 1,
            found=f"{figures.sorter['outcome']}, {max(n_tries, 1)} of at most 1 try",
        )


def _truth(figures: Figures) -> Iterator[Check]:
    least, n_units = figures.case.least_found, figures.case.n_units
    ours, theirs = figures.job_truth, figures.bare_truth
    name = f"the job finds {least} of {n_units} true units"
    if ours is None:
        yield Check(name=name, passed=None, found="there is no sorting of a job")
        return
    found = f"{ours['n_found']}, mean accuracy {ours['mean_accuracy']:.3f}"
    yield Check(name=name, passed=ours["n_found"] >= least, found=found)
    name = f"the job is as accurate as run_kilosort, to {ACCURACY_TOLERANCE} or one unit"
    if theirs is None:
        yield Check(name=name, passed=None, found="there is no sorting of run_kilosort")
        return
    lost = theirs["mean_accuracy"] - ours["mean_accuracy"]
    yield Check(
        name=name,
        passed=lost <= ACCURACY_TOLERANCE or theirs["n_found"] - ours["n_found"] <= 1,
        found=f"{found}; run_kilosort {theirs['n_found']}, {theirs['mean_accuracy']:.3f}",
    )


def _same_as_bare(figures: Figures) -> Iterator[Check]:
    if figures.case.preprocessing == "none":  # else they do not read the same samples
        name = f"{LEAST_SHARED_UNITS:.0%} of the units are those of run_kilosort"
        shared = figures.agreement
        yield Check(
            name=name,
            passed=None if shared is None else shared.share >= LEAST_SHARED_UNITS,
            found="there are not two sortings"
            if shared is None
            else f"{shared.n_same} of {shared.n_job} in the job and {shared.n_bare} beside it",
        )
    name = f"the step takes at most {STEP_FACTOR} times run_kilosort and {STEP_START_S:g} s"
    if figures.step_s is None or figures.bare is None:
        yield Check(name=name, passed=None, found="there are not two times")
        return
    bare_s = figures.bare.wall_s
    yield Check(
        name=name,
        passed=figures.step_s <= STEP_FACTOR * bare_s + STEP_START_S,
        found=f"{figures.step_s:.1f} s, {bare_s:.1f} s",
    )


def _memory(figures: Figures) -> Iterator[Check]:
    peak, estimate = figures.sorter.get("peak_memory_bytes"), figures.estimated_bytes
    yield Check(
        name=f"the peak of host memory is the estimate's, within a factor of {ERROR_FACTOR:g}",
        passed=None if peak is None else estimate / ERROR_FACTOR <= peak <= ERROR_FACTOR * estimate,
        found="there is no peak"
        if peak is None
        else f"{peak / 2**30:.2f} GiB, {estimate / 2**30:.2f} GiB estimated",
    )


def _on_gpu(figures: Figures, gpu_bytes: int | None) -> Iterator[Check]:
    memory, busy = "the peak of GPU memory is recorded", "the GPU computes while the job sorts"
    if gpu_bytes is None:
        for name in (memory, busy):
            yield Check(name=name, passed=None, found=NEEDS_CUDA)
        return
    peak = figures.sorter.get("peak_gpu_memory_bytes")
    yield Check(
        name=memory,
        passed=None if figures.record is None else 10 * 2**20 < (peak or 0) < gpu_bytes,
        found=f"{(peak or 0) / 2**30:.2f} GiB of {gpu_bytes / 2**30:.2f} GiB",
    )
    usage = figures.usage.get(SORT_STEP)
    share = usage.busy_share if usage else None
    yield Check(
        name=busy,
        passed=None if share is None else share > 0,
        found="nvidia-smi did not say" if share is None else f"{share:.0%} of the time",
    )
