"""`run.json`: what the job was, how it ended, and what it took; its schema is in run_schema.py."""

import json
import logging
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from spikeinterface_cloud import __version__
from spikeinterface_cloud.config.locations import mask_signatures
from spikeinterface_cloud.errors import SortingError
from spikeinterface_cloud.results.cost import Cost, cost_of
from spikeinterface_cloud.results.outcomes import ExportRun, SorterRun
from spikeinterface_cloud.results.run_schema import SCHEMA_VERSION, RunJson
from spikeinterface_cloud.runtime.ec2_metadata import Instance, UnknownInstance
from spikeinterface_cloud.runtime.logging import Step

logger = logging.getLogger(__name__)

#: the packages whose version decides what a sorting looks like
PACKAGES = (
    *("spikeinterface", "kilosort", "torch", "numpy", "scipy", "neo", "probeinterface"),
    # what sorters cluster and compute with
    *("hdbscan", "scikit-learn", "numba", "faiss-cpu"),
    # what reads compressed samples
    *("h5py", "hdf5plugin", "wavpack-numcodecs"),
)

NOT_ASKED = UnknownInstance(reason="the job ended before it could be asked for")

Status = Literal["succeeded", "failed", "interrupted"]


@dataclass(kw_only=True, slots=True)
class RunRecord:
    """The content of `run.json`, described in run_schema.py: filled step by step, written last."""

    settings: Mapping[str, str]
    run_identifier: str | None
    manifest: Mapping[str, Any] | None = None
    #: of all that was asked for; None until the source was found
    fingerprint: str | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    status: Status = "failed"
    exit_code: int | None = None
    error: str | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    recording: Mapping[str, Any] = field(default_factory=dict)
    archive: Mapping[str, Any] | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    sorters: list[SorterRun] = field(default_factory=list)
    exports: list[ExportRun] = field(default_factory=list)
    ground_truth: dict[str, Mapping[str, float]] = field(default_factory=dict)
    n_consensus_units: int | None = None
    steps: list[Step] = field(default_factory=list)
    machine: Mapping[str, Any] = field(default_factory=dict)
    instance: Instance | UnknownInstance = NOT_ASKED
    peak_memory_bytes: int | None = None

    def raise_for_failures(self) -> None:
        """Raise SortingError, naming every sorter, and every export, that failed."""
        failures = []
        if failed := [run for run in self.sorters if run.has_failed]:
            reasons = "; ".join(f"{run.sorter}: {run.reason}" for run in failed)
            failures.append(f"{len(failed)} of {len(self.sorters)} sorters failed ({reasons})")
        written = [run for run in self.exports if run.export != "dandi"]
        if unwritten := [run for run in written if run.error]:
            reasons = "; ".join(f"{run.path}: {run.error}" for run in unwritten)
            failures.append(f"{len(unwritten)} of {len(written)} exports failed ({reasons})")
        if failures:
            raise SortingError(f"{'; '.join(failures)}; what the others found is in the results")

    @property
    def joined_segments(self) -> list[range]:
        """The segments of each of several recordings that were joined; else empty."""
        return [
            range(each["first_segment"], each["first_segment"] + each["n_segments"])
            for each in self.recording.get("joined", ())
        ]

    @property
    def cost(self) -> Cost:
        """What the job has cost from its start to its end, or until now."""
        until = self.ended or datetime.now(UTC)
        return cost_of(self.instance, (until - self.started).total_seconds())

    def write(self, file: Path) -> None:
        """Write the record, complete or not at all."""
        unfinished = file.with_name(f".{file.name}.part")
        unfinished.write_text(self.text())
        unfinished.replace(file)

    def text(self) -> str:
        """Return the content of the file."""
        text = json_of(self._content())
        try:
            text = RunJson.model_validate_json(text).model_dump_json(indent=2)
        except ValidationError as error:  # a bug, and no reason to leave the job without its record
            logger.error("run.json does not follow its schema: %s", error)
        return f"{mask_signatures(text)}\n"

    def _content(self) -> dict[str, Any]:
        known = isinstance(self.instance, Instance)
        on_gpu = [run.peak_gpu_memory_bytes for run in self.sorters if run.peak_gpu_memory_bytes]
        return {
            "schema_version": SCHEMA_VERSION,
            **asdict(self),
            "source": self.source or None,
            "recording": self.recording or None,
            "preprocessing": self.preprocessing or None,
            "machine": self.machine or None,
            "instance": asdict(self.instance) if known else None,
            "peak_gpu_memory_bytes": max(on_gpu, default=None),
            "cost": asdict(self.cost),
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    """Return the versions of this program, Python and the packages that decide the result."""
    found = {"spikeinterface_cloud": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def json_of(content: Any) -> str:
    """JSON of what a record holds: numbers of numpy, dates and paths too."""
    return json.dumps(content, default=_write_value)


def _write_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "tolist"):  # an array or a number of numpy
        return value.tolist()
    return str(value)
