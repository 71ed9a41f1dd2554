"""The options that name many recordings, and the jobs that they come to."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from spikeinterface_cloud.batch.arrays import overview, prepare_jobs
from spikeinterface_cloud.batch.job_settings import job_variables
from spikeinterface_cloud.batch.listing import ListedJob, Listing, common_target, jobs_of
from spikeinterface_cloud.batch.request import JobOptions
from spikeinterface_cloud.batch.session import AwsSession
from spikeinterface_cloud.batch.submission import PreparedJob
from spikeinterface_cloud.location import S3Location

#: the options that list recordings, each by its parameter, with the options that go with it alone
LISTS = {"dandiset": "glob", "source_prefix": "each", "csv": None}


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


def check_list_options(given: Mapping[str, Any]) -> None:
    """Refuse options that do not go together. Raises click.UsageError (2)."""
    lists = [name for name in LISTS if given[name]]
    if len(lists) > 1:
        raise click.UsageError(f"{_options(lists)}: give one list of recordings.")
    if lists and given["source"]:
        raise click.UsageError(f"{_option(lists[0])} lists the sources; leave --source out.")
    for name, companion in LISTS.items():
        if companion and given[companion] and not given[name]:
            raise click.UsageError(f"{_option(companion)} goes with {_option(name)}.")
    if given["only_missing"] and not lists:
        raise click.UsageError(
            "--only-missing goes with a list of recordings; --skip-existing is for one."
        )


def names_list(given: Mapping[str, Any]) -> bool:
    """Whether the options name a list of recordings."""
    return any(given[name] for name in LISTS)


def find_jobs(
    given: Mapping[str, Any], environ: Mapping[str, str], session: AwsSession
) -> ManyJobs:
    """List the recordings that the options name, and make a job of each, checked as one alone is.

    Raises
    ------
    SettingsError, SourceError, AwsRefusal, TransferError, UnavailableError
        The list cannot be had, or some of its jobs are bad ones.
    """
    common = job_variables(given, environ)
    target = common_target(common)  # before the list, which may take a while
    listing = _list(given, environ, session, target)
    jobs = jobs_of(listing, common)
    notes = listing.notes
    if given["only_missing"]:
        from spikeinterface_cloud.batch.finished import unfinished

        left = unfinished(session.client("s3"), jobs)
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


def _list(
    given: Mapping[str, Any], environ: Mapping[str, str], session: AwsSession, target: S3Location
) -> Listing:
    """Ask the place that the options name; each is imported only where it is asked."""
    if given["dandiset"]:
        from spikeinterface_cloud.batch.listing_dandi import dandiset_recordings

        key = environ.get("DANDI_API_KEY", "").strip()
        return dandiset_recordings(
            given["dandiset"], given["glob"], SecretStr(key) if key else None
        )
    if given["source_prefix"]:
        from spikeinterface_cloud.batch.listing_s3 import prefix_recordings

        s3 = session.client("s3")
        return prefix_recordings(s3, given["source_prefix"], given["each"], target)
    from spikeinterface_cloud.batch.listing_csv import csv_recordings

    return csv_recordings(Path(given["csv"]))


def _options(names: list[str]) -> str:
    return " and ".join(map(_option, names))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
