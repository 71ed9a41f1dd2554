"""The results of a job at its target: its record, what there is, and all of it on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import ClientError
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError

from spikeinterface_cloud.aws.batch.jobs import JobState, look_up_one
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import (
    NO_OBJECT,
    AwsError,
    error_code,
    translate_errors,
)
from spikeinterface_cloud.config.conflicts import merge_environments
from spikeinterface_cloud.config.locations import S3Location, parse_s3
from spikeinterface_cloud.config.manifest import MANIFEST_URL, select_line
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.runtime.logging import format_bytes

RECORD = "run.json"

#: files, or parts of files, that are fetched at the same time
PARALLEL_REQUESTS = 16


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
    """Where the results are of a job that is named by its identifier, or by its target itself.

    With the identifier comes the state of the job.

    Raises
    ------
    AwsError
        There is no such job, or it names no target.
    """
    if not job.startswith("s3://"):
        state = look_up_one(session.client("batch"), job)
        return target_of(session.client("s3"), state), state
    try:
        return parse_s3(job, None), None
    except ValueError as error:
        raise SettingsError(str(error)) from error


def no_record(target: S3Location, state: JobState | None) -> AwsError:
    """The error that says that a job has not ended with a record at its target, as far as known."""
    if state is None:
        why = "its job is under way, was killed, or never started"
    else:
        why = state.describe()
    return AwsError(f"{target} has no {RECORD}: {why}")


def target_of(s3: Any, job: JobState) -> S3Location:
    """Where the results of a job go, as its environment or its line in a list says.

    Raises
    ------
    AwsError
        The job names no target, or its list cannot be read.
    """
    job.check_is_no_array("results")
    variables = job.environment
    if MANIFEST_URL in variables:
        location = parse_s3(variables[MANIFEST_URL], None)
        data = _read(s3, location)
        if data is None:
            raise AwsError(f"there is no {location}, which {job.job_id} has its settings from")
        variables = merge_environments(
            variables, select_line(data, {"AWS_BATCH_JOB_ID": job.job_id})
        )
    if not variables.get("TARGET_AWS_S3_BUCKET"):
        raise AwsError(f"{job.job_id} names no target on S3; its results stayed on its machine")
    return parse_s3(variables["TARGET_AWS_S3_BUCKET"], variables.get("TARGET_AWS_S3_BUCKET_FOLDER"))


def read_record(s3: Any, target: S3Location) -> dict[str, Any] | None:
    """The content of `run.json`; None where it is not there (yet)."""
    data = _read(s3, target.child(RECORD))
    if data is None:
        return None
    try:
        record: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise AwsError(f"{target.child(RECORD)} is not JSON ({error})") from error
    return record


def list_results(s3: Any, target: S3Location) -> list[ResultFile]:
    """Every file at the target.

    Raises
    ------
    AwsError
        The target cannot be listed, or holds a name that would leave the folder it is fetched to.
    """
    prefix = f"{target.key}/" if target.key else ""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=target.bucket, Prefix=prefix)
    with translate_errors("list", target):
        entries = [entry for page in pages for entry in page.get("Contents", ())]
    return [
        ResultFile(
            name=_checked_name(entry["Key"].removeprefix(prefix), target),
            location=S3Location(bucket=target.bucket, key=entry["Key"]),
            size_bytes=entry["Size"],
            modified=entry["LastModified"],
        )
        for entry in entries
        if not entry["Key"].endswith("/")
    ]


def download(s3: Any, files: Sequence[ResultFile], folder: Path) -> Iterator[ResultFile]:
    """Fetch the files into `folder`, several at a time, and give each as it arrives.

    Each has its own name only once it is whole. One that was fetched before, and has not changed
    since, is kept.

    Raises
    ------
    AwsError
        A file cannot be read, or cannot be written here.
    """
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    with create_transfer_manager(s3, TransferConfig(max_concurrency=PARALLEL_REQUESTS)) as manager:
        fetches = [(file, _start(manager, file, folder)) for file in files]
        for file, fetch in fetches:
            if fetch is not None:
                with _explained(file, folder):
                    fetch.result()
                    _stamp(folder / file.name, file)
            yield file


def _start(manager: Any, file: ResultFile, folder: Path) -> Any:
    """The fetching of a file, under way; None where there is nothing to do."""
    path = folder / file.name
    with _explained(file, folder):
        if path.is_file() and _is_current(path.stat(), file):
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
    # to a temporary name beside it, which it loses at the end
    return manager.download(file.location.bucket, file.location.key, str(path))


def _is_current(found: os.stat_result, file: ResultFile) -> bool:
    return found.st_size == file.size_bytes and found.st_mtime == file.modified.timestamp()


def _stamp(path: Path, file: ResultFile) -> None:
    """Give what was fetched the object's own time, by which a later change of it is noticed."""
    modified_s = file.modified.timestamp()
    os.utime(path, (modified_s, modified_s))


@contextmanager
def _explained(file: ResultFile, folder: Path) -> Iterator[None]:
    """Put the errors of a fetch into our own words."""
    try:
        with translate_errors("fetch", file.location):
            yield
    except (RetriesExceededError, S3DownloadFailedError, Boto3Error) as error:
        raise AwsError(f"cannot fetch {file.location}: {error}; run the same again") from error
    except OSError as error:
        raise AwsError(
            f"cannot write {folder / file.name}: {error.strerror}; name another folder"
        ) from error


def _checked_name(name: str, target: S3Location) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name:
        raise AwsError(
            f"{target} holds an object named {name!r}, which would be written outside the folder "
            "it is fetched to; rename or remove it"
        )
    return path


def _read(s3: Any, location: S3Location) -> bytes | None:
    """The content of an object; None where there is none."""
    with translate_errors("read", location):
        try:
            reply = s3.get_object(Bucket=location.bucket, Key=location.key)
        except ClientError as error:
            if error_code(error) not in NO_OBJECT.codes:
                raise
            return None
        content: bytes = reply["Body"].read()
    return content


def describe_results(
    target: S3Location, record: Mapping[str, Any] | None, files: Sequence[ResultFile]
) -> Iterator[str]:
    """What there is, a line each: the run, its sorters, the files."""
    if record is not None:
        error = f": {record['error']}" if record.get("error") else ""
        yield f"{target}: {record.get('status')}{error}"
        for run in record.get("sorters", ()):
            why = f": {run['reason']}" if run.get("reason") else f", {run.get('n_units')} units"
            yield f"{run.get('sorter')}: {run.get('outcome')}{why}"
    for file in files:
        yield f"{format_bytes(file.size_bytes):>10}  {file.name}"
    total = format_bytes(sum(file.size_bytes for file in files))
    yield f"{total:>10}  in {len(files)} files"


def result_values(
    target: S3Location, record: Mapping[str, Any] | None, files: Sequence[ResultFile]
) -> dict[str, Any]:
    """What `--json` says of results."""
    return {
        "target": str(target),
        "run": record,
        "files": [{"name": str(file.name), "sizeBytes": file.size_bytes} for file in files],
    }
