"""A list of recordings, from any source, and the jobs made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.inputs.job_settings import validate
from spikeinterface_cloud.config.conflicts import merge_environments
from spikeinterface_cloud.config.locations import S3Location, parse_s3
from spikeinterface_cloud.config.manifest import FOLDER as MANIFESTS
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

if TYPE_CHECKING:
    from spikeinterface_cloud.dandi.archive_assets import ZarrStore

#: how many recordings one line of an error names, and how many such lines there are
NAMED = 100

CLASH_REMEDY = (
    "leave one out with --match or --glob, or list them in a CSV (--csv), in which "
    "TARGET_AWS_S3_BUCKET_FOLDER gives each a folder of its own"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedRecording:
    """One recording of the list."""

    #: what messages call it
    label: str
    #: of its own folder below the target
    name: str
    #: the source, and what else the list says of this recording
    variables: Mapping[str, str]
    #: None if the list has no sizes
    size_bytes: int | None = None
    #: of a Zarr on DANDI
    zarr: ZarrStore | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A list of recordings."""

    #: a short name for all of them, like that of the dandiset
    title: str
    recordings: tuple[ListedRecording, ...]
    #: what the user should know of it, a sentence each
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedJob:
    """The job that sorts one recording of the list."""

    label: str
    settings: JobSettings
    target: S3Location
    size_bytes: int | None


def common_target(common: Mapping[str, str]) -> S3Location:
    """Return the folder below which each recording gets its own."""
    bucket = common.get("TARGET_AWS_S3_BUCKET", "").strip()
    if not bucket:
        raise SettingsError(
            "--target: missing; give s3://bucket/folder, below which each "
            "recording gets a folder of its own"
        )
    try:
        return parse_s3(bucket, common.get("TARGET_AWS_S3_BUCKET_FOLDER"))
    except ValueError as error:
        raise SettingsError(f"TARGET_AWS_S3_BUCKET: {error}") from error


def jobs_of(listing: Listing, common: Mapping[str, str]) -> tuple[ListedJob, ...]:
    """Make a job of every recording, whose own variables override the common ones.

    SettingsError has every problem at once, with the recordings that have it; two jobs that would
    write to one folder are a problem as well.
    """
    target = common_target(common)
    jobs: list[ListedJob] = []
    problems: dict[str, list[str]] = {}
    for recording in listing.recordings:
        try:
            settings = validate(variables_of(recording, common, target))
        except SettingsError as error:
            for problem in str(error).splitlines():
                problems.setdefault(problem, []).append(recording.label)
            continue
        assert settings.target is not None
        job = ListedJob(
            label=recording.label,
            settings=settings,
            target=settings.target,
            size_bytes=recording.size_bytes,
        )
        jobs.append(job)
    if problems:
        raise SettingsError("\n".join(located(problems, len(listing.recordings))))
    check_targets([(job.label, job.target) for job in jobs], target)
    return tuple(jobs)


def variables_of(
    recording: ListedRecording, common: Mapping[str, str], target: S3Location
) -> dict[str, str]:
    """Return the variables of a recording: its own, over the common ones."""
    own = target.child(recording.name)
    defaults = {
        "RUN_IDENTIFIER": recording.name,
        **common,
        "TARGET_AWS_S3_BUCKET": own.bucket,
        "TARGET_AWS_S3_BUCKET_FOLDER": own.key,
    }
    return merge_environments(defaults, recording.variables)


def located(problems: Mapping[str, Sequence[str]], n_recordings: int) -> Iterator[str]:
    """Yield each problem once, with the recordings that have it, unless all have it."""
    for problem, labels in list(problems.items())[:NAMED]:
        if len(labels) == n_recordings > 1:
            yield problem
        else:
            yield f"{_shortened(labels)}: {problem}"
    if len(problems) > NAMED:
        yield f"and {len(problems) - NAMED:,} more problems"


def _shortened(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else ""
    return f"{', '.join(labels[:NAMED])}{more}"


def check_targets(jobs: Sequence[tuple[str, S3Location]], target: S3Location) -> None:
    """Raise SettingsError where the folder of one label is another's, or inside it."""
    places = {f"{target.child(MANIFESTS)}/": "the lists of jobs"}
    clashes = []
    for label, folder in jobs:
        place = f"{folder}/"
        if place in places:
            clashes.append(f"{label}: results would go to {place}, as of {places[place]}")
        places[place] = label
    ordered = sorted(places)
    clashes += [
        f"{places[inner]}: results would go to {inner}, inside those of {places[outer]}"
        for outer, inner in pairwise(ordered)
        if inner.startswith(outer)
    ]
    if clashes:
        shown = [f"{clash}; {CLASH_REMEDY}" for clash in clashes[:NAMED]]
        if len(clashes) > NAMED:
            shown.append(f"and {len(clashes) - NAMED:,} more that would mix their results")
        raise SettingsError("\n".join(shown))
