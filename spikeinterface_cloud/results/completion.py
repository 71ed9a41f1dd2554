"""`<sorter>/completed.json`, written last into a sorter's folder: what is finished there, of which
job, and in which files.

Without it, or where it does not agree with the files beside it, nothing in the folder is finished.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spikeinterface_cloud.results.outcomes import ExportRun
from spikeinterface_cloud.results.outcomes import SorterTry
from spikeinterface_cloud.results.layout import FOR_PEOPLE, RAW_SORTING, SORTING, files_of
from spikeinterface_cloud.results.run_record import json_of
from spikeinterface_cloud.results.run_schema import ExportEntry, SorterEntry
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.storage.digests import Digest, digest_of_file
from spikeinterface_cloud.storage.s3 import StoredObject

NAME = "completed.json"


class CompletedFile(BaseModel):
    """One file of the folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="below the folder")
    size_bytes: int
    sha256: str
    etag: str | None = Field(default=None, description="of the object at the target")


class Completion(BaseModel):
    """One sorter that has finished, and the files that this has left."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    #: of all that decides the sorter's result
    fingerprint: str
    #: False: it has sorted, and what it found still has to be analyzed
    analyzed: bool
    completed: datetime
    run: SorterEntry
    exports: tuple[ExportEntry, ...] = ()
    files: tuple[CompletedFile, ...]

    def sorter_run(self) -> SorterRun:
        """How the sorter ended, for the record of a job that uses its result again."""
        tries = tuple(SorterTry(**each.model_dump()) for each in self.run.tries)
        return SorterRun(**(self.run.model_dump() | {"outcome": "resumed", "tries": tries}))

    def export_runs(self) -> list[ExportRun]:
        """The exports that were made."""
        return [ExportRun(**entry.model_dump()) for entry in self.exports]

    def text(self) -> str:
        """The content of the record."""
        return self.model_dump_json(indent=2)

    def sorting_folder(self) -> str | None:
        """The name of the sorting's folder; None where no units were found."""
        folders = {file.path.partition("/")[0] for file in self.files}
        return next((name for name in (SORTING, RAW_SORTING) if name in folders), None)


def completion_of(
    folder: Path, run: SorterRun, exports: Sequence[ExportRun], fingerprint: str, *, analyzed: bool
) -> Completion:
    """Digest every file of the folder, to be compared when the job is run again."""
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
            CompletedFile(path=path, size_bytes=file.stat().st_size, sha256=_sha256(file))
            for path, file in files_of(folder).items()
            if not (path.startswith(f"{RAW_SORTING}/") and (folder / SORTING).is_dir())
        ),
    )


def read_completion(content: bytes) -> Completion | None:
    """The record; None for one that is none, or of another version of this program."""
    try:
        return Completion.model_validate_json(content)
    except ValidationError:
        return None


def write_completion(completion: Completion, folder: Path) -> None:
    """Write the record into a sorter's folder, complete or not at all.

    Raises
    ------
    UnavailableError
        the disk is full
    """
    file = folder / NAME
    with room_for_results(file):
        unfinished = file.with_name(f".{NAME}.part")
        unfinished.write_text(completion.text())
        unfinished.replace(file)


def differs_from_folder(completion: Completion, folder: Path) -> str | None:
    """What is not in the folder as it was left; None where everything is."""
    for entry in completion.files:
        file = folder / entry.path
        if not file.is_file():
            return f"{entry.path} is missing"
        if entry.path.startswith(FOR_PEOPLE):
            continue
        if file.stat().st_size != entry.size_bytes or _sha256(file) != entry.sha256:
            return f"{entry.path} was changed"
    return None


def differs_from_listing(completion: Completion, stored: Mapping[str, StoredObject]) -> str | None:
    """What is not at the target as it was left; None where everything is.

    Parameters
    ----------
    stored
        the objects of the sorter's folder by their path in there
    """
    for entry in completion.files:
        found = stored.get(entry.path)
        if found is None:
            return f"{entry.path} is missing"
        if entry.path.startswith(FOR_PEOPLE):
            continue
        if found.size_bytes != entry.size_bytes or found.etag != entry.etag:
            return f"{entry.path} was changed"
    return None


def _sha256(file: Path) -> str:
    return digest_of_file(file, Digest(algorithm="sha256", value=""))
