"""One job for one recording, an array job for up to ten thousand, and several arrays for more."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from spikeinterface_cloud.aws.batch.completed import find_unfinished, notes_of_changes
from spikeinterface_cloud.aws.batch.job_hash import job_identity
from spikeinterface_cloud.aws.batch.limits import ARRAY_SIZES
from spikeinterface_cloud.aws.batch.request import build_request, gpu_notes
from spikeinterface_cloud.aws.batch.submission import (
    PreparedJob,
    decisive,
    manifest_environment,
    prepare_job,
)
from spikeinterface_cloud.aws.cli.values import JobOptions, SubmitOptions
from spikeinterface_cloud.aws.inputs.dispatch import listed_recordings
from spikeinterface_cloud.aws.inputs.job_settings import endpoint_warnings, job_variables
from spikeinterface_cloud.aws.inputs.recording_list import ListedJob, common_target, jobs_of
from spikeinterface_cloud.aws.inputs.source_check import source_warnings
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws.table import table
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.manifest import MANIFEST_URL, manifest_bytes, manifest_location
from spikeinterface_cloud.config.settings import DandiAccess
from spikeinterface_cloud.errors import printable
from spikeinterface_cloud.runtime.logging import counted, format_bytes

#: rows of the overview
SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class ManyJobs:
    """A job for each recording of a list."""

    #: names the arrays, unless `--job-name` does
    title: str
    #: the manifests are stored below it
    target: S3Location
    jobs: tuple[ListedJob, ...]
    #: what the user should know, a sentence each
    notes: tuple[str, ...]

    def overview(self) -> str:
        """Return a table of the first jobs, and the number and size of all."""
        rows = [
            (printable(str(job.settings.source)), size(job.size_bytes), printable(str(job.target)))
            for job in self.jobs[:SHOWN]
        ]
        lines = [table(rows, align=("left", "right", "left"))]
        if len(self.jobs) > SHOWN:
            lines.append(f"... and {len(self.jobs) - SHOWN:,} more")
        sizes = [job.size_bytes for job in self.jobs]
        return "\n".join([*lines, f"{counted(len(sizes), 'recording')}, {total_size(sizes)}"])

    def prepare(self, options: JobOptions) -> list[PreparedJob]:
        """Build the requests, which are not sent."""
        return [prepare_jobs(part, options, self.title, self.target) for part in self._parts()]

    def _parts(self) -> Iterator[Sequence[ListedJob]]:
        """Split into as few arrays as possible, nearly equal, so that none has one job."""
        n_jobs = len(self.jobs)
        n_parts = -(-n_jobs // (ARRAY_SIZES.stop - 1))
        for part in range(n_parts):
            yield self.jobs[n_jobs * part // n_parts : n_jobs * (part + 1) // n_parts]


def prepare_jobs(
    jobs: Sequence[ListedJob], options: JobOptions, title: str, target: S3Location
) -> PreparedJob:
    """Build the request of an array, or of a job that is alone.

    Parameters
    ----------
    title
        names the array
    target
        the folder below which the list is stored
    """
    if len(jobs) == 1:
        return prepare_job(jobs[0].settings, options)
    lines = [job.settings.to_env() for job in jobs]
    manifest = manifest_bytes(lines)
    environment = manifest_environment(
        {
            **_shared(lines),
            "RUN_IDENTIFIER": title,
            "TARGET_AWS_S3_BUCKET": target.bucket,
            "TARGET_AWS_S3_BUCKET_FOLDER": target.key,
        },
        manifest_location(target, manifest),
    )
    content = manifest_location(target, manifest_bytes([decisive(job.settings) for job in jobs]))
    identity = job_identity({MANIFEST_URL: str(content)}, options.job_definition, options.command)
    return PreparedJob(
        request=build_request(environment, options, identity=identity, array_size=len(jobs)),
        identity=identity,
        target=target,
        manifest=manifest,
    )


def find_jobs(options: SubmitOptions, environ: Mapping[str, str], session: AwsSession) -> ManyJobs:
    """List the recordings that the options name, and make a validated job of each."""
    common = job_variables(options, environ)
    target = common_target(common)  # before the list, which may take a while
    listing = listed_recordings(options, session, DandiAccess.from_env(environ), target)
    jobs = jobs_of(listing, common)
    of_gpus = gpu_notes(options, [job.settings for job in jobs])
    notes = (*listing.notes, *endpoint_warnings(common), *of_gpus)
    if options.skip_completed:
        left = find_unfinished(session.storage, jobs)
        notes += (f"{len(jobs) - len(left.jobs):,} of {len(jobs):,} have succeeded already",)
        notes += notes_of_changes(left.changed)
        jobs = left.jobs
    if options.csv and not options.dry_run:  # the other lists are of what is there
        notes += tuple(source_warnings(session, [job.settings for job in jobs]))
    return ManyJobs(title=listing.title, target=target, jobs=jobs, notes=notes)


def confirm(n_jobs: int, session: AwsSession) -> None:
    """Ask on the terminal whether to submit the jobs; click.Abort if not."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{n_jobs:,} jobs wait for a yes, and there is no terminal to ask on; "
            "add --yes to submit them."
        )
    place = f"account {session.account() or 'unknown'}, {session.client('batch').meta.region_name}"
    click.confirm(f"Submit them in {place}?", err=True, abort=True)


def _shared(lines: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the variables that are the same in every line."""
    return dict(set(lines[0].items()).intersection(*(line.items() for line in lines[1:])))


def total_size(sizes: Sequence[int | None]) -> str:
    """Return the sum of the sizes of recordings, as far as they are known."""
    known = [size_bytes for size_bytes in sizes if size_bytes is not None]
    total = format_bytes(sum(known))
    if not known:
        return "size unknown"
    if len(known) < len(sizes):
        return f"{total} in {counted(len(known), 'recording')}, the others' size is unknown"
    return f"{total} in all"


def size(size_bytes: int | None) -> str:
    """Return a size that may be unknown."""
    return "?" if size_bytes is None else format_bytes(size_bytes)
