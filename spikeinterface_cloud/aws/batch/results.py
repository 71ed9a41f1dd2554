"""The results of a job at its target: show the record and the files, and download them."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from spikeinterface_cloud.aws.batch.jobs import JobState, look_up_one
from spikeinterface_cloud.aws.inputs.s3_urls import as_s3_url
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError, one_line
from spikeinterface_cloud.config.conflicts import merge_environments
from spikeinterface_cloud.config.locations import S3Location, parse_s3
from spikeinterface_cloud.config.manifest import MANIFEST_URL, select_line
from spikeinterface_cloud.errors import SettingsError, printable
from spikeinterface_cloud.results import layout
from spikeinterface_cloud.results.layout import RECORD
from spikeinterface_cloud.runtime.logging import format_bytes

if TYPE_CHECKING:
    from spikeinterface_cloud.storage.s3 import S3Objects

#: at the target of a session, whose streams have a `run.json` each
SESSION_RECORD = f"{layout.SESSION}/{layout.SESSION_RECORD}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultFile:
    """One object at the target."""

    #: relative to the target
    name: PurePosixPath
    location: S3Location
    size_bytes: int
    #: when it was written
    modified: datetime


def locate(session: AwsSession, job: str) -> tuple[S3Location, JobState | None]:
    """Return the target of a job named by its id or its target, and for an id the job's state."""
    job = as_s3_url("results", job)
    if not job.startswith("s3://"):
        state = look_up_one(session.client("batch"), job)
        return target_of(session.storage, state), state
    try:
        return parse_s3(job, None), None
    except ValueError as error:
        raise SettingsError(str(error)) from error


def no_record(target: S3Location, state: JobState | None) -> AwsError:
    """Return the error for a target without the record of a job."""
    why = state.describe() if state else "its job is under way, was killed, or never started"
    return AwsError(f"{target} has no {RECORD}: {why}")


def refuse_other_record(record: Record | None, target: S3Location, state: JobState | None) -> None:
    """Raise `AwsError` for the record of another job at the target of one without success."""
    if (
        record is not None
        and state is not None
        and record.status == "succeeded"
        and state.status != "SUCCEEDED"
    ):
        raise AwsError(
            f"{target} has the results of another job, and none of this one: {state.describe()}; "
            f"to see them, name the target instead of the job: results {target}"
        )


def target_of(storage: S3Objects, job: JobState) -> S3Location:
    """Return the target of a job, by its environment or its line of the manifest."""
    job.check_is_no_array("results")
    variables = job.environment
    if MANIFEST_URL in variables:
        location = parse_s3(variables[MANIFEST_URL], None)
        data = storage.read_if_exists(location)
        if data is None:
            raise AwsError(f"there is no {location}, which {job.job_id} has its settings from")
        variables = merge_environments(
            variables, select_line(data, {"AWS_BATCH_JOB_ID": job.job_id})
        )
    if not variables.get("TARGET_AWS_S3_BUCKET"):
        raise AwsError(f"{job.job_id} names no target on S3; its results stayed on its machine")
    return parse_s3(variables["TARGET_AWS_S3_BUCKET"], variables.get("TARGET_AWS_S3_BUCKET_FOLDER"))


class SorterEntry(BaseModel):
    """What is shown of a sorter's run; all else is kept as it is."""

    model_config = ConfigDict(extra="allow")

    sorter: str
    outcome: str
    reason: str | None = None
    n_units: int | None = None


class StreamEntry(BaseModel):
    """What is shown of a stream of a session; all else is kept as it is."""

    model_config = ConfigDict(extra="allow")

    name: str
    status: str
    error: str | None = None
    sorters: list[SorterEntry] = []


class Record(BaseModel):
    """A `run.json` or `session.json`; what is not shown is kept as it is."""

    model_config = ConfigDict(extra="allow")

    status: str
    error: str | None = None
    sorters: list[SorterEntry] = []
    #: the variables that were given, masked
    settings: dict[str, str] | None = None
    #: of a session
    streams: list[StreamEntry] = []


def parse_record(content: bytes) -> Record:
    """Read the content of a record; ValueError if it is none."""
    return Record.model_validate_json(content)


def read_record(storage: S3Objects, target: S3Location) -> Record | None:
    """Return the record of a job or a session, or None if there is none (yet)."""
    for name in (RECORD, SESSION_RECORD):
        if (content := storage.read_if_exists(target.child(name))) is not None:
            return _parse(content, target.child(name))
    return None


def _parse(content: bytes, location: S3Location) -> Record:
    try:
        return parse_record(content)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        reason = one_line(": ".join([*map(str, problem["loc"]), problem["msg"]]))
        raise AwsError(
            f"{location} is not the record of a job ({reason}); check the target"
        ) from error


def list_results(storage: S3Objects, target: S3Location) -> list[ResultFile]:
    """Return every file at the target; AwsError for a name that would leave the folder here."""
    files: dict[PurePosixPath, ResultFile] = {}
    for key, stored in storage.objects_below(target).items():
        if key.endswith("/"):
            continue
        name = PurePosixPath(key)
        if not is_inside(key):
            raise _bad_name(target, key, "would be written outside the folder it is fetched to")
        if name in files:
            raise AwsError(
                f"{files[name].location} and {stored.location} would be one file here ({name}); "
                "rename or remove one of them"
            )
        files[name] = ResultFile(
            name=name,
            location=stored.location,
            size_bytes=stored.size_bytes,
            modified=stored.modified,
        )
    return list(files.values())


def download(storage: S3Objects, files: Sequence[ResultFile], folder: Path) -> Iterator[ResultFile]:
    """Fetch the files into `folder`, several at a time, and yield each as it arrives.

    Each has its own name only once it is whole. One that was fetched before, and has not changed
    since, is kept.
    """
    _check_distinct(files, folder)
    wanted = [file for file in files if not _is_current(folder / file.name, file)]
    for file in wanted:
        with _write_errors(folder / file.name):
            (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
    fetched = storage.fetch_files([(file.location, folder / file.name) for file in wanted])
    for file in files:
        if file in wanted:
            with _write_errors(folder / file.name):
                path = next(fetched)
                # by this time a later change of the object is noticed
                os.utime(path, (file.modified.timestamp(), file.modified.timestamp()))
        yield file


def _check_distinct(files: Sequence[ResultFile], folder: Path) -> None:
    """Refuse names that are one name in a folder that ignores case, as on macOS and Windows."""
    seen: dict[str, ResultFile] = {}
    for file in files:
        name = unicodedata.normalize("NFC", str(file.name)).casefold()
        other = seen.setdefault(name, file)
        if other is not file and _ignores_case(folder):
            raise AwsError(
                f"{other.location} and {file.location} would be one file in {folder}, which "
                "ignores case; rename or remove one of them, or fetch them to another disk"
            )


def _ignores_case(folder: Path) -> bool:
    """Return whether a file in the folder is found by another spelling of its name."""
    with _write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix="Spelling-\u00e9-", dir=folder) as file:
            name = Path(file.name).name
            others = (name.swapcase(), unicodedata.normalize("NFD", name))
            return any((folder / other).exists() for other in others)


def _is_current(path: Path, file: ResultFile) -> bool:
    try:
        present = path.stat()
    except OSError:
        return False
    return present.st_size == file.size_bytes and present.st_mtime == file.modified.timestamp()


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AwsError(f"cannot write {path}: {error.strerror}; name another folder") from error


def is_inside(name: str, system: type[PurePath] = PurePath) -> bool:
    r"""Return whether the name of an object is that of a file in a folder of this system.

    >>> is_inside("a/b.json"), is_inside("../b"), is_inside("12:00.log", PureWindowsPath)
    (True, False, False)
    """
    path = system(name)
    is_windows = issubclass(system, PureWindowsPath)
    is_special = is_windows and (":" in name or path.is_reserved())  # a drive, a stream, a device
    return bool(path.parts) and not (
        path.anchor or ".." in path.parts or not {"\\", "\0"}.isdisjoint(name) or is_special
    )


def _bad_name(target: S3Location, name: str, why: str) -> AwsError:
    return AwsError(f"{target} holds an object named {name!a}, which {why}; rename or remove it")


def jobs_below(files: Sequence[ResultFile]) -> list[PurePosixPath]:
    """Return the folders with a record of their own, as an array's target has them."""
    return [
        file.name.parent for file in files if file.name.name == RECORD and file.name.parent.name
    ]


def describe_results(
    target: S3Location, record: Record | None, files: Sequence[ResultFile]
) -> Iterator[str]:
    """Yield lines on the run, its sorters, and its files."""
    if record is not None:
        error = f": {record.error}" if record.error else ""
        yield printable(f"{target}: {record.status}{error}")
        yield from map(_describe_sorter, record.sorters)
        for stream in record.streams:
            failure = f": {stream.error}" if stream.error else ""
            yield printable(f"{stream.name}: {stream.status}{failure}")
            yield from (f"  {_describe_sorter(run)}" for run in stream.sorters)
    elif below := jobs_below(files):
        yield f"{target}: the results of {len(below)} jobs, each in a folder of its own"
    for file in files:
        yield f"{format_bytes(file.size_bytes):>10}  {printable(str(file.name))}"
    total = format_bytes(sum(file.size_bytes for file in files))
    yield f"{total:>10}  in {len(files)} files"


def _describe_sorter(run: SorterEntry) -> str:
    why = f": {run.reason}" if run.reason else f", {run.n_units} units"
    return printable(f"{run.sorter}: {run.outcome}{why}")


def result_values(
    target: S3Location, record: Record | None, files: Sequence[ResultFile]
) -> dict[str, Any]:
    """Return what `--json` prints about results."""
    return {
        "target": str(target),
        "run": record and record.model_dump(exclude_unset=True),
        "files": [{"name": str(file.name), "sizeBytes": file.size_bytes} for file in files],
    }
