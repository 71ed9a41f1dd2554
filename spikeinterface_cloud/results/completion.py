"""`<sorter>/completed.json`, written last: which job the results are of, and their files.

Without it, or if the files do not match it, nothing in the sorter's folder is finished.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    field_validator,
    model_validator,
)

from spikeinterface_cloud.results.layout import (
    COMPLETED,
    FOR_PEOPLE,
    RAW_SORTING,
    SORTING,
    is_managed,
    managed_files,
)
from spikeinterface_cloud.results.outcomes import ExportRun, GroupRun, SorterRun, SorterTry
from spikeinterface_cloud.results.recorded_file import RecordedFile, sha256_of
from spikeinterface_cloud.results.run_record import json_of
from spikeinterface_cloud.results.run_schema import ExportEntry, SorterEntry
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.storage.stored_object import StoredObject

#: seconds, spikes and bytes beyond it are no figures of a run
MAX_FIGURE = 2**53


class CompletedFile(RecordedFile):
    """One file of a sorter's folder."""

    @field_validator("path")
    @classmethod
    def _is_of_this_program(cls, path: str) -> str:
        if not is_managed(path):
            raise ValueError("not a file that this program writes")
        return path


class Completion(BaseModel):
    """A finished sorter, and the files of its results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    #: SHA-256 of everything that decides the sorter's result
    fingerprint: str
    #: False: the sorting is finished, its analysis is not
    analyzed: bool
    completed: datetime
    run: SorterEntry
    exports: tuple[ExportEntry, ...] = ()
    files: tuple[CompletedFile, ...]

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        run = self.run
        counts = [run.n_units, run.n_redundant_units, run.n_removed_spikes, *run.labels.values()]
        memory = [run.peak_memory_bytes or 0, run.peak_gpu_memory_bytes or 0]
        figures = [run.seconds, *counts, *memory]
        if not all(0 <= figure <= MAX_FIGURE for figure in figures):
            raise ValueError("figures that no run has")
        if any(export.sorter != run.sorter for export in self.exports):
            raise ValueError("exports of another sorter")
        return self

    def sorter_run(self) -> SorterRun:
        """Return the outcome for the record of a job that resumes from this result."""
        entries = {
            "outcome": "resumed",
            "tries": tuple(SorterTry(**each.model_dump()) for each in self.run.tries),
            "groups": tuple(GroupRun(**each.model_dump()) for each in self.run.groups),
        }
        return SorterRun(**(self.run.model_dump() | entries))

    def export_runs(self) -> list[ExportRun]:
        """Return the exports that succeeded."""
        return [ExportRun(**entry.model_dump()) for entry in self.exports]

    def text(self) -> str:
        """Return the content of the file."""
        return self.model_dump_json(indent=2)

    def sorting_folder(self) -> str | None:
        """Return the name of the sorting's folder; None if there are no units."""
        folders = {file.path.partition("/")[0] for file in self.files}
        return next((name for name in (SORTING, RAW_SORTING) if name in folders), None)


def completion_of(
    folder: Path, run: SorterRun, exports: Sequence[ExportRun], fingerprint: str, *, analyzed: bool
) -> Completion:
    """Describe a finished sorter with the digest of each of its files."""
    if run.outcome == "resumed":
        run_entry = asdict(run) | {"outcome": "sorted" if run.n_units else "no_units"}
    else:
        run_entry = asdict(run)
    return Completion(
        fingerprint=fingerprint,
        analyzed=analyzed,
        completed=datetime.now(UTC),
        run=SorterEntry.model_validate_json(json_of(run_entry)),
        exports=tuple(ExportEntry(**asdict(each)) for each in exports if not each.error),
        files=tuple(
            CompletedFile(path=path, size_bytes=file.stat().st_size, sha256=sha256_of(file))
            for path, file in managed_files(folder).items()
            if not (path.startswith(f"{RAW_SORTING}/") and (folder / SORTING).is_dir())
        ),
    )


def read_completion(content: bytes, sorter: str) -> Completion | None:
    """Parse the file; None if it is invalid, of another sorter or version of this program."""
    try:
        completion = Completion.model_validate_json(content)
    except ValidationError:
        return None
    return completion if completion.run.sorter == sorter else None


def write_completion(completion: Completion, folder: Path) -> None:
    """Write the file into a sorter's folder, atomically."""
    file = folder / COMPLETED
    with room_for_results(file):
        unfinished = file.with_name(f".{COMPLETED}.part")
        unfinished.write_text(completion.text())
        unfinished.replace(file)


def differs_from_folder(completion: Completion, folder: Path) -> str | None:
    """Return the first difference between the files and the record; None if there is none."""
    for entry in completion.files:
        file = folder / entry.path
        if not file.is_file():
            return f"{entry.path} is missing"
        if entry.path.startswith(FOR_PEOPLE):
            continue
        if file.stat().st_size != entry.size_bytes or sha256_of(file) != entry.sha256:
            return f"{entry.path} was changed"
    return None


def differs_from_listing(completion: Completion, stored: Mapping[str, StoredObject]) -> str | None:
    """Return the first difference between the target and the record; None if there is none.

    Parameters
    ----------
    stored
        The objects of the sorter's folder, by path.
    """
    for entry in completion.files:
        found = stored.get(entry.path)
        if found is None:
            return f"{entry.path} is missing"
        if entry.path.startswith(FOR_PEOPLE):
            continue
        if not entry.is_stored_as(found):
            return f"{entry.path} was changed"
    return None
