"""Which jobs have succeeded already, by the records at their targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from spikeinterface_cloud.aws.batch.results import parse_record
from spikeinterface_cloud.aws.inputs.recording_list import ListedJob
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.results.layout import RECORD

if TYPE_CHECKING:
    from spikeinterface_cloud.storage.s3 import S3Objects

#: requests at once: as many as boto3 keeps connections
N_THREADS = 10

#: the settings that decide which results there are; a success with others is that of another job
DECISIVE = (
    "sorters",
    "sorters_kwargs",
    "preprocessing",
    "exports",
    "archive",
    "split_by",
    "test_with_sub_recording",
    "test_sub_recording_n_frames",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """The jobs whose target has no record of their success."""

    jobs: tuple[ListedJob, ...]
    #: for each target with a success of other settings, their variables
    changed: tuple[tuple[str, ...], ...]


def notes_of_changes(changed: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return a sentence about successes of other settings, each by its variables, if any."""
    if not changed:
        return ()
    names = sorted({name for names in changed for name in names})
    return (
        f"submitted although they have succeeded, with other {', '.join(names)}: "
        f"{len(changed):,}; what is the same is used again, and what differs is replaced with "
        "--overwrite only",
    )


def find_unfinished(storage: S3Objects, jobs: Sequence[ListedJob]) -> Unfinished:
    """Return the jobs without a success of the same settings at their target, in their order."""

    def changed_of(job: ListedJob) -> tuple[str, ...] | None:
        return changed_settings(storage, job.target.child(RECORD), job.settings)

    with ThreadPoolExecutor(N_THREADS) as threads:
        found = list(zip(jobs, threads.map(changed_of, jobs), strict=True))
    return Unfinished(
        jobs=tuple(job for job, changed in found if changed != ()),
        changed=tuple(changed for _, changed in found if changed),
    )


def changed_settings(
    storage: S3Objects, location: S3Location, settings: JobSettings
) -> tuple[str, ...] | None:
    """Return the variables that differ from those of the success that a record tells of.

    Empty: they are the same, as far as the record has them. None: it tells of no success.
    """
    content = storage.read_if_exists(location)
    if content is None:
        return None
    try:
        record = parse_record(content)
    except ValueError:  # not a record
        return None
    if record.status != "succeeded":
        return None
    return () if record.settings is None else _differences(settings, record.settings)


def _differences(settings: JobSettings, recorded: Mapping[str, str]) -> tuple[str, ...]:
    texts = {name: recorded[name.upper()] for name in DECISIVE if name.upper() in recorded}
    there: JobSettings | None
    try:
        there = JobSettings.model_validate(texts)
    except ValidationError:  # of another version of this program
        there = None
    shown, shown_there = settings.masked(), there.masked() if there else recorded
    return tuple(
        name.upper()
        for name in DECISIVE
        if shown.get(name.upper()) != shown_there.get(name.upper())
        and (there is None or getattr(settings, name) != getattr(there, name))
    )
