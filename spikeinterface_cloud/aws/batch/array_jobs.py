"""The jobs that a list of recordings comes to, and the question whether to submit them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import click

from spikeinterface_cloud.aws.batch.arrays import overview, prepare_jobs
from spikeinterface_cloud.aws.batch.request import JobOptions
from spikeinterface_cloud.aws.batch.submission import PreparedJob
from spikeinterface_cloud.aws.cli.values import SubmitOptions
from spikeinterface_cloud.aws.inputs.dispatch import dandi_api_key, listed_recordings
from spikeinterface_cloud.aws.inputs.job_settings import endpoint_warnings, job_variables
from spikeinterface_cloud.aws.inputs.recording_list import ListedJob, common_target, jobs_of
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.config.locations import S3Location


@dataclass(frozen=True, kw_only=True, slots=True)
class ManyJobs:
    """The jobs of a list, before they are made requests."""

    title: str
    #: below which their lists are kept
    target: S3Location
    jobs: tuple[ListedJob, ...]
    #: what the user should know, a sentence each
    notes: tuple[str, ...]

    def overview(self) -> str:
        """The table that is shown before anything is sent."""
        return overview(self.jobs)

    def prepare(self, options: JobOptions) -> list[PreparedJob]:
        """Build the requests; nothing is sent. Raises LimitError."""
        return prepare_jobs(self.jobs, self.title, self.target, options)


def find_jobs(options: SubmitOptions, environ: Mapping[str, str], session: AwsSession) -> ManyJobs:
    """List the recordings that the options name, and make a job of each, checked as one alone is.

    Raises
    ------
    SettingsError, SourceError, AwsError, TransferError, UnavailableError
        The list cannot be had, or some of its jobs are bad ones.
    """
    common = job_variables(options, environ)
    target = common_target(common)  # before the list, which may take a while
    listing = listed_recordings(options, session, dandi_api_key(environ), target)
    jobs = jobs_of(listing, common)
    notes = (*listing.notes, *endpoint_warnings(common))
    if options.skip_completed:
        from spikeinterface_cloud.aws.batch.completed import unfinished

        left = unfinished(session.storage, jobs)
        notes += (f"{len(jobs) - len(left):,} of {len(jobs):,} have succeeded already",)
        jobs = left
    return ManyJobs(title=listing.title, target=target, jobs=jobs, notes=notes)


def confirm(jobs: ManyJobs) -> None:
    """Ask on the terminal whether to go on; click.Abort is raised where the answer is no."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{len(jobs.jobs):,} jobs wait for a yes, and there is no terminal to ask on; "
            "add --yes to submit them."
        )
    click.confirm("Submit them?", err=True, abort=True)
