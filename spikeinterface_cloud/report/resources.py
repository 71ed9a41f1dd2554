"""Where the time, the memory, the GPU and the money went."""

from dataclasses import dataclass

from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.runtime.logging import Step, format_bytes, format_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLine:
    """A step of the job, and its duration relative to the longest."""

    name: str
    seconds: str
    part: float
    size: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A name and a text."""

    name: str
    text: str


def step_lines(steps: list[Step]) -> list[StepLine]:
    """Return the steps in order."""
    longest = max((step.seconds or 0.0 for step in steps), default=0.0) or 1.0
    return [
        StepLine(
            name=step.name,
            seconds="not finished" if step.seconds is None else format_seconds(step.seconds),
            part=(step.seconds or 0.0) / longest,
            size="" if step.size_bytes is None else format_bytes(step.size_bytes),
        )
        for step in steps
    ]


def resource_facts(record: RunRecord) -> list[Fact]:
    """Return the machine, the peak memory and the cost."""
    machine = record.machine
    facts = [
        Fact(name="started", text=f"{record.started:%Y-%m-%d %H:%M:%S} UTC"),
        Fact(name="wall-clock time", text=format_seconds(record.cost.seconds)),
        Fact(name="cost", text=str(record.cost)),
        Fact(name="CPUs", text=str(machine.get("cpus", "not known"))),
        Fact(name="memory of the machine", text=_size(machine.get("memory_bytes"))),
        Fact(name="GPU", text=_gpu(machine.get("gpu"))),
        Fact(name="peak memory, sorters aside", text=_size(record.peak_memory_bytes)),
    ]
    for run in record.sorters:
        name = f"peak memory of {run.sorter}"
        facts.append(Fact(name=name, text=_size(run.peak_memory_bytes)))
        if run.peak_gpu_memory_bytes is not None:
            text = format_bytes(run.peak_gpu_memory_bytes)
            facts.append(Fact(name=f"{name} on the GPU", text=text))
    return facts


def count_units(n_units: int) -> str:
    """Format a number of units.

    >>> count_units(1), count_units(2)
    ('1 unit', '2 units')
    """
    return "1 unit" if n_units == 1 else f"{n_units} units"


def _size(size_bytes: int | None) -> str:
    return "not known" if size_bytes is None else format_bytes(size_bytes)


def _gpu(gpu: dict[str, object] | None) -> str:
    if not gpu:
        return "none"
    return f"{gpu['name']}, {_size(int(str(gpu['memory_bytes'])))}"
