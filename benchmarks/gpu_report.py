"""The figures of `gpu.py` as Markdown, and the entry for the estimates' table of rates."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from gpu_cases import Case  # noqa: E402
from gpu_figures import SORT_STEP, STEP_GOAL, Check, Figures  # noqa: E402

from spikeinterface_cloud.prices import INSTANCE_SPECS  # noqa: E402

GIB = 2**30

#: by how much a rate may be wrong: neither longer recordings nor more spikes are measured
RATE_LOW, RATE_HIGH = 1 / 1.5, 2.0

ONLY_WITH_CUDA = (
    "**Nothing here was measured on a GPU.** These figures show that every line runs; times, "
    "memory and accuracy are those of the CPU. Only real with CUDA: the times and their ratios, "
    "the busy share, the peak of GPU memory, the rates, and that Kilosort4 finds the true units "
    "with CUDA's arithmetic."
)


def markdown(
    machine: Mapping[str, Any], cases: Sequence[Figures], found: Sequence[Check], device: str
) -> str:
    """Return the report."""
    lines = [f"# Kilosort4 on {card_name(machine) or 'the CPU'}", ""]
    if device != "cuda":
        lines += [ONLY_WITH_CUDA, ""]
    lines += [*_machine(machine), "", *_checks(found)]
    for figures in cases:
        lines += ["", *_case(figures)]
    return "\n".join([*lines, ""])


def card_name(machine: Mapping[str, Any]) -> str | None:
    """Return the model of the card as the table of instance types has it.

    >>> card_name({"gpu": {"name": "Tesla T4"}}), card_name({"gpu": {"name": "NVIDIA A10G"}})
    ('T4', 'A10G')
    """
    if machine["gpu"] is None:
        return None
    return str(machine["gpu"]["name"]).removeprefix("NVIDIA ").removeprefix("Tesla ")


def _machine(machine: Mapping[str, Any]) -> Iterator[str]:
    gpu = machine["gpu"]
    card = f"{gpu['name']}, {gpu['memory_bytes'] / GIB:.1f} GiB" if gpu else machine["why_no_gpu"]
    yield from ("| what | which |", "|---|---|", f"| card | {card} |")
    if gpu:
        yield f"| driver | {gpu['driver']}, for CUDA {machine['cuda_of_driver']} |"
    yield f"| CUDA of torch | {machine['cuda_of_torch'] or 'none'} |"
    yield f"| CPUs, memory | {machine['cpus']}, {machine['memory_bytes'] / GIB:.1f} GiB |"
    for name in ("spikeinterface_cloud", "kilosort", "torch", "spikeinterface", "python"):
        yield f"| {name} | {machine['versions'].get(name, 'none')} |"


def _checks(found: Sequence[Check]) -> Iterator[str]:
    counts = count(found)
    yield f"{counts['passed']} checks passed, {counts['failed']} failed, {counts['open']} not made."
    yield from ("", "| check | passed | found |", "|---|---|---|")
    words = {True: "yes", False: "**no**", None: "not made"}
    for check in found:
        yield f"| {check.name} | {words[check.passed]} | {' '.join(check.found.split())} |"


def count(found: Sequence[Check]) -> dict[str, int]:
    """Return how many checks passed, failed and were not made."""
    names = {True: "passed", False: "failed", None: "open"}
    return {name: sum(c.passed is value for c in found) for value, name in names.items()}


def _case(figures: Figures) -> Iterator[str]:
    case = figures.case
    yield f"## {case.duration_s:g} s of {case.name}, {case.n_units} units"
    yield from ("", "| what | figure |", "|---|---|")
    yield from (f"| {name} | {value} |" for name, value in _rows(figures) if value is not None)
    for part, reason in figures.missing.items():
        yield f"| {part} | not measured: {' '.join(reason.split())} |"


def _rows(figures: Figures) -> Iterator[tuple[str, str | None]]:
    job, bare, half = figures.job, figures.bare, figures.bare_half
    yield "the whole job", _seconds(job.wall_s if job else None)
    for step in (figures.record or {"steps": ()})["steps"]:
        yield f"- {step['name']}", _seconds(step["seconds"])
    yield (
        "`run_kilosort` on the same file, its imports included",
        _seconds(bare.wall_s if bare else None),
    )
    yield "- on the first half of it", _seconds(half.wall_s if half else None)
    ratio = figures.step_ratio
    yield (
        f"`{SORT_STEP}` by `run_kilosort` (goal {STEP_GOAL})",
        f"{ratio:.2f}" if ratio else None,
    )
    for name, truth in (("job", figures.job_truth), ("`run_kilosort`", figures.bare_truth)):
        if truth is not None:
            text = f"{truth['n_found']} of {truth['n_true_units']}, {truth['mean_accuracy']:.3f}"
            yield f"true units found, mean accuracy: {name}", text
    yield from _memory_rows(figures)
    for name, usage in figures.usage.items():
        busy = usage.busy_share
        yield f"GPU busy: {name}", None if busy is None else f"{busy:.0%}"


def _memory_rows(figures: Figures) -> Iterator[tuple[str, str | None]]:
    sorter = figures.sorter
    yield "peak host memory of Kilosort4", _gib(sorter.get("peak_memory_bytes"))
    yield "- estimated before", _gib(figures.estimated_bytes)
    yield "peak GPU memory of Kilosort4 (torch)", _gib(sorter.get("peak_gpu_memory_bytes"))
    yield "- of `run_kilosort`", _gib(figures.bare_gpu_bytes)
    used = [each.peak_used_bytes for each in figures.usage.values() if each.peak_used_bytes]
    yield "- of everything on the card (nvidia-smi)", _gib(max(used, default=None))


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.1f} s"


def _gib(size_bytes: int | None) -> str | None:
    return None if size_bytes is None else f"{size_bytes / GIB:.2f} GiB"


def rate_entry(
    machine: Mapping[str, Any], figures: Figures, measured: date, device: str
) -> str | None:
    """Return the text that makes this measurement a rate, or None if it makes none.

    The time of the shortest recording and that of a further GB follow from two lengths.
    """
    half, whole, case = figures.bare_half, figures.bare, figures.case
    if half is None or whole is None:
        return None
    per_gb = (whole.wall_s - half.wall_s) / (case.size_gb / 2)
    fixed_s = max(0.0, whole.wall_s - per_gb * case.size_gb)
    if per_gb <= 0:
        return None
    name = card_name(machine)
    where = (
        "# in KILOSORT4 of spikeinterface_cloud/aws/estimate/rates.py:"
        if device == "cuda"
        else "# the form of an entry; NOT to be entered, as it was measured on the CPU:"
    )
    lines = [where, *_entry(name or "CPU", case, per_gb, fixed_s, measured)]
    if device == "cuda" and name not in {each.gpu for each in INSTANCE_SPECS.values()}:
        lines.append(f"# no instance type of prices.json has a {name}: add one first")
    lines.append(f"# KILOSORT4_FIXED there, for comparison: {fixed_s:.0f} s here")
    return "\n".join(lines)


def _entry(name: str, case: Case, per_gb: float, fixed_s: float, measured: date) -> Iterator[str]:
    values = ", ".join(f"{factor * per_gb:.1f}" for factor in (RATE_LOW, 1.0, RATE_HIGH))
    day = f"date({measured.year}, {measured.month}, {measured.day})"
    yield f'"{name}": Rate('
    yield f'    Interval({values}), "s per GB", "measured here", {day},'
    yield (
        f'    "benchmarks/gpu.py: run_kilosort on {case.duration_s / 2:g} and {case.duration_s:g} '
        f's of {case.n_channels} simulated "'
    )
    yield f'    "channels with {case.n_units} units, and {fixed_s:.0f} s besides; up to twice as "'
    yield '    "much, because neither longer recordings nor more spikes were measured",'
    yield "),"
