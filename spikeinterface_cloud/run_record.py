"""`run.json`: what the job was, how it ended, and what it took."""

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from spikeinterface_cloud import __version__
from spikeinterface_cloud.errors import SortingError
from spikeinterface_cloud.log import Step
from spikeinterface_cloud.sorting import SorterRun

SCHEMA_VERSION = 1

#: the packages whose version decides what a sorting looks like
PACKAGES = ("spikeinterface", "kilosort", "torch", "numpy", "scipy", "neo", "probeinterface")

Status = Literal["succeeded", "failed", "interrupted"]


@dataclass(kw_only=True, slots=True)
class RunRecord:
    """Filled step by step, and written when the job ends, whichever way."""

    #: the variables of the job, secrets masked
    settings: Mapping[str, str]
    run_identifier: str | None
    #: of one of many recordings: the list's `url` and, in an array, the line's `index` from 0
    manifest: Mapping[str, Any] | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    status: Status = "failed"
    exit_code: int | None = None
    #: why the job did not succeed, on one line
    error: str | None = None
    #: where the source was found, and what tells its bytes from others
    source: Mapping[str, Any] = field(default_factory=dict)
    #: channels, rate, duration, gain, probe, ... and what was noticed
    recording: Mapping[str, Any] = field(default_factory=dict)
    #: the steps, the bad channels with their labels
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    sorters: list[SorterRun] = field(default_factory=list)
    #: accuracy by sorter, where the truth is known
    ground_truth: dict[str, Mapping[str, float]] = field(default_factory=dict)
    #: the units that two or more sorters agree on; None where fewer than two had any
    n_consensus_units: int | None = None
    steps: list[Step] = field(default_factory=list)
    #: CPUs, memory, GPU of the machine
    machine: Mapping[str, Any] = field(default_factory=dict)
    #: the most memory that the program held at once, sorters aside
    peak_memory_bytes: int | None = None

    def raise_for_failures(self) -> None:
        """Raise SortingError, naming every sorter that failed."""
        failed = [run for run in self.sorters if run.outcome == "failed"]
        if failed:
            reasons = "; ".join(f"{run.sorter}: {run.reason}" for run in failed)
            raise SortingError(
                f"{len(failed)} of {len(self.sorters)} sorters failed ({reasons}); "
                "what the others found is in the results"
            )

    def write(self, file: Path) -> None:
        """Write the record, complete or not at all."""
        content = {
            "schema_version": SCHEMA_VERSION,
            **asdict(self),
            "versions": versions(),
        }
        unfinished = file.with_name(f".{file.name}.part")
        unfinished.write_text(json.dumps(content, indent=2, default=_write_value) + "\n")
        unfinished.replace(file)


def versions() -> dict[str, str]:
    """The versions of this program, of Python, and of the packages that decide the result."""
    found = {"spikeinterface_cloud": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _write_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if hasattr(value, "tolist"):  # an array or a number of numpy
        return value.tolist()
    return str(value)
