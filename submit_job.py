"""Submit a sorting job to AWS Batch, and look after it, from a laptop (see docs/how-to/submit.md).

Modules that talk to AWS or check settings are imported inside the functions that need them, so that
`--help` is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

import click

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.cli import estimate_options, options
from spikeinterface_cloud.aws.cli.click_sections import (
    DefaultCommand,
    JobId,
    Program,
    SectionCommand,
)
from spikeinterface_cloud.aws.infra.commands import infra
from spikeinterface_cloud.aws.program_name import COMMAND, command_line
from spikeinterface_cloud.errors import INTERRUPTED, CloudJobError, printable

if TYPE_CHECKING:
    from spikeinterface_cloud.aws.batch.jobs import JobState
    from spikeinterface_cloud.aws.batch.submission import PreparedJob
    from spikeinterface_cloud.aws.cli.values import SubmitOptions
    from spikeinterface_cloud.aws.session import AwsSession

several_jobs = click.argument("job_ids", nargs=-1, required=True, type=JobId(), metavar="JOB_ID...")


def main() -> None:
    """Run the command; an expected error becomes lines on standard error and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a file on Windows may lack characters
    try:
        program.main(windows_expand_args=False)  # patterns are of S3 and DANDI, not of this folder
    except CloudJobError as error:
        for line in str(error).split("\n"):
            echo_err(f"Error: {printable(line)}")
        sys.exit(error.exit_code)


@click.group(cls=Program)
@click.version_option(__version__, prog_name=COMMAND, message="%(prog)s %(version)s")
def program() -> None:
    """Submit a sorting job to AWS Batch, or run a command on submitted jobs.

    Order of precedence: flag > environment > .env > stack outputs. Only the id of the job goes to
    standard output.
    """


@program.command(cls=DefaultCommand, hidden=True)
@options.recording_options
@options.streams_options
@options.list_of_recordings_options
@options.job_options
@options.submission_options
@options.session_options
@options.json_option
@options.poll_option
def submit(session: AwsSession, **given: Any) -> None:
    """Submit a sorting job to AWS Batch, or one for each of many recordings or streams."""
    from spikeinterface_cloud.aws.batch.submission import find_existing
    from spikeinterface_cloud.aws.cli.values import SubmitOptions

    is_list, has_sessions = options.lists_recordings(given), options.lists_sessions(given)
    env_file = click.get_current_context().params["env_file"]
    wanted = SubmitOptions(**given, env_file=env_file)
    if has_sessions:
        return submit_sessions(session, wanted)
    for job in (prepare_many if is_list else prepare_one)(session, wanted):
        if wanted.dry_run:
            echo_json(job.request)
            continue
        same = find_existing(session, job, echo_note, skip=wanted.skip_existing)
        job_id = same or send(session, job)
        echo_job(job, job_id, as_json=wanted.as_json)
        if wanted.follow:
            follow(session, job_id, wanted.poll_interval, echo_err, is_known=True)
    return None


def submit_sessions(session: AwsSession, wanted: SubmitOptions) -> None:
    """Submit the jobs of sessions: each stream's, and the one that gathers their results."""
    from spikeinterface_cloud.aws.batch.sessions import prepare_sessions, send_session

    prepared = prepare_sessions(session, wanted, os.environ, echo_note, echo_err)
    if wanted.follow and len(prepared) > 1:
        raise click.UsageError(f"--follow is for one session, not {len(prepared)}; leave it out.")
    for each in prepared:
        if wanted.dry_run:
            for request in each.requests():
                echo_json(request)
            continue
        job_ids = []
        for job, job_id in send_session(
            session, each, send, echo_note, skip_existing=wanted.skip_existing
        ):
            echo_job(job, job_id, as_json=wanted.as_json)
            job_ids.append(job_id)
        if wanted.follow:
            wait_for(session, job_ids[:-1], wanted.poll_interval)
            follow(session, job_ids[-1], wanted.poll_interval, echo_err, is_known=True)


def prepare_one(session: AwsSession, wanted: SubmitOptions) -> list[PreparedJob]:
    """Prepare the job of one recording."""
    from spikeinterface_cloud.aws.batch.submission import prepare

    return [prepare(session, wanted, os.environ, echo_note)]


def prepare_many(session: AwsSession, wanted: SubmitOptions) -> list[PreparedJob]:
    """Prepare the array jobs of a list of recordings, after showing it and asking."""
    from spikeinterface_cloud.aws.batch.array_jobs import confirm, find_jobs
    from spikeinterface_cloud.aws.batch.request import place

    placed = place(session, wanted)
    found = find_jobs(wanted, os.environ, session)
    for note in found.notes:
        echo_note(printable(note))
    if not found.jobs:
        echo_err("there is nothing to submit")
        return []
    echo_err(found.overview())
    prepared = found.prepare(placed)
    if wanted.follow and len(prepared) > 1:
        raise click.UsageError(f"--follow is for one array, not {len(prepared)}; leave it out.")
    if not wanted.yes and not wanted.dry_run:
        confirm(len(found.jobs), session)
    return prepared


def send(session: AwsSession, job: PreparedJob) -> str:
    """Submit the job, and return its id."""
    from spikeinterface_cloud.aws.batch import submission

    sent = submission.send(session, job)
    echo_err(
        f"submitted {job.name} to account {sent.account} in {sent.region}; "
        f"its results go to {job.target}"
    )
    return sent.job_id


@program.command(cls=SectionCommand)
@several_jobs
@options.session_options
@options.json_option
def status(session: AwsSession, job_ids: tuple[str, ...], as_json: bool) -> None:
    """Show the state of jobs: reason, attempts, elapsed time, place in the queue.

    For an array, it shows how many of its jobs are in each state.
    """
    from spikeinterface_cloud.aws.batch.jobs import look_up_all, queue_positions

    batch = session.client("batch")
    jobs = look_up_all(batch, job_ids)
    echo_jobs(jobs, as_json, queue_positions(batch, jobs))


@program.command("list", cls=SectionCommand)
@options.queue_options
@options.session_options
@options.json_option
def list_(
    session: AwsSession,
    job_queue: str | None,
    stack: str | None,
    compute: str,
    status: tuple[str, ...],
    since: int,
    as_json: bool,
) -> None:
    """List the recent jobs of a queue, newest first."""
    from spikeinterface_cloud.aws.batch.jobs import look_up, recent_jobs
    from spikeinterface_cloud.aws.stack_outputs import find_queue

    queue = find_queue(session, stack, job_queue, compute)
    batch = session.client("batch")
    jobs = [job for job in recent_jobs(batch, queue, since) if not status or job.status in status]
    described = look_up(batch, [job.job_id for job in jobs])  # a listing has no attempts
    echo_jobs([described.get(job.job_id, job) for job in jobs], as_json)


@program.command(cls=SectionCommand)
@several_jobs
@click.option(
    "--follow", "until_end", is_flag=True, help="show new lines until the job ends, and exit so"
)
@options.session_options
@options.poll_option
def logs(
    session: AwsSession, job_ids: tuple[str, ...], until_end: bool, poll_interval: float
) -> None:
    """Show the log of a job, of all its attempts."""
    from spikeinterface_cloud.aws.batch.logs import show_log

    if until_end and len(job_ids) > 1:
        raise click.UsageError("--follow is for one job; `wait` takes several.")
    if until_end:
        follow(session, job_ids[0], poll_interval, click.echo, is_known=False)
    for job_id in job_ids:
        if len(job_ids) > 1:
            echo_err(f"==> {job_id} <==")
        if why_empty := show_log(session, job_id, click.echo):
            echo_err(why_empty)


@program.command(cls=SectionCommand)
@several_jobs
@options.session_options
@options.poll_option
def wait(session: AwsSession, job_ids: tuple[str, ...], poll_interval: float) -> None:
    """Wait until jobs end, and exit with the exit code of the first one that failed.

    Ctrl-C stops the waiting, not the jobs.
    """
    ended = wait_for(session, job_ids, poll_interval)
    sys.exit(next((job.final_exit_code for job in ended if job.final_exit_code), 0))


@program.command(cls=SectionCommand)
@several_jobs
@click.option("--reason", default="cancelled by its user", show_default=True, help="sent to AWS")
@options.session_options
def cancel(session: AwsSession, job_ids: tuple[str, ...], reason: str) -> None:
    """End jobs, or an array with all its jobs."""
    from spikeinterface_cloud.aws.batch.jobs import look_up_all, terminate

    batch = session.client("batch")
    for job in look_up_all(batch, job_ids):
        if job.is_over:
            echo_err(f"{job.job_id} has {job.status} already; there is nothing to cancel")
        else:
            terminate(batch, job.job_id, reason)
            echo_err(f"{job.job_id} ends: {reason}")


@program.command(cls=SectionCommand)
@click.argument("job", metavar="JOB_ID|S3_URL", type=JobId())
@click.option(
    "--download",
    "folder",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="download all files to this folder",
)
@options.session_options
@options.json_option
def results(session: AwsSession, job: str, folder: str | None, as_json: bool) -> None:
    """Show or download the results of a job, named by its id or its target."""
    from pathlib import Path

    from spikeinterface_cloud.aws.batch import results as found

    target, state = found.locate(session, job)
    storage = session.storage
    record = found.read_record(storage, target)
    found.refuse_other_record(record, target, state)
    files = found.list_results(storage, target)
    if as_json:
        echo_json(found.result_values(target, record, files))
    else:
        click.echo("\n".join(found.describe_results(target, record, files)))
    if folder is not None:
        for file in found.download(storage, files, Path(folder)):
            echo_err(f"fetched {printable(str(file.name))}")
    if record is None and (state is not None or not found.jobs_below(files)):
        raise found.no_record(target, state)


@program.command(cls=SectionCommand)
@click.argument("job_id", required=False, type=JobId())
@options.diagnosis_options
@options.impatient_session_options
@options.json_option
def diagnose(
    session: AwsSession, job_id: str | None, queue: str | None, stack: str | None, as_json: bool
) -> None:
    """Find out why a job does not start, or why a queue starts none.

    It changes nothing, and exits with 1 if a check fails.
    """
    from spikeinterface_cloud.aws.diagnose import command
    from spikeinterface_cloud.aws.diagnose.table import diagnosis_values, summary

    diagnosis = command.diagnose(session, job_id, queue, stack)
    if as_json:
        echo_json(diagnosis_values(diagnosis))
    else:
        click.echo(command.shown(diagnosis))
        echo_err(summary(diagnosis))
    sys.exit(diagnosis.exit_code)


@program.command(cls=SectionCommand)
@estimate_options.size_options
@estimate_options.work_options
@estimate_options.instance_options
@options.session_options
@options.json_option
def estimate(session: AwsSession, as_json: bool, **given: Any) -> None:
    """Estimate hours and USD of sorting on each instance type."""
    from spikeinterface_cloud.aws.cli.values import EstimateOptions
    from spikeinterface_cloud.aws.estimate.command import estimate_jobs
    from spikeinterface_cloud.aws.estimate.table import estimate_text, estimate_values

    estimate_options.check_options(given)
    wanted = EstimateOptions(**given, region=session.region)
    estimated = estimate_jobs(wanted, os.environ, session)
    if as_json:
        echo_json(estimate_values(*estimated))
    else:
        click.echo(estimate_text(*estimated))


program.add_command(infra)


def wait_for(
    session: AwsSession, job_ids: Sequence[str], poll_interval: float
) -> Sequence[JobState]:
    """Wait until jobs end, and return their last states."""
    from spikeinterface_cloud.aws.batch.wait import wait_for_ends

    with resumable(["wait", *job_ids]):
        return wait_for_ends(session.client("batch"), job_ids, poll_interval, echo_err)


def follow(
    session: AwsSession,
    job_id: str,
    poll_interval: float,
    show: Callable[[str], None],
    *,
    is_known: bool,
) -> NoReturn:
    """Show the log of a job until it ends, and exit with the exit code of its container."""
    from spikeinterface_cloud.aws.batch.logs import follow_log

    with resumable(["logs", job_id, "--follow"]):
        job = follow_log(session, job_id, poll_interval, show, echo_err, is_known=is_known)
        echo_err(job.describe())
        sys.exit(job.final_exit_code)


@contextmanager
def resumable(command: Sequence[str]) -> Iterator[None]:
    """If the watching ends before the job, print the command that continues it, and exit."""
    from spikeinterface_cloud.aws.batch.wait import WatchError

    try:
        yield
    except (KeyboardInterrupt, WatchError) as error:
        words = [*command]
        given = click.get_current_context().params
        for name in ("profile", "region"):
            words += [f"--{name}", given[name]] if given[name] else []
        echo_err(f"Error: {error}" if isinstance(error, WatchError) else "")
        echo_err(f"the job goes on; to watch it again:\n  {command_line(*words)}")
        sys.exit(error.exit_code if isinstance(error, WatchError) else INTERRUPTED)


def echo_jobs(
    jobs: Sequence[JobState], as_json: bool, positions: Sequence[int | None] = ()
) -> None:
    """Print jobs, with their places in the queue, as a table or as JSON."""
    from spikeinterface_cloud.aws.batch.table import jobs_table, jobs_values

    if as_json:
        echo_json(jobs_values(jobs, positions))
    else:
        click.echo(jobs_table(jobs, positions))


def echo_job(job: PreparedJob, job_id: str, *, as_json: bool) -> None:
    """Print the id of a job."""
    if as_json:
        echo_json({"jobId": job_id, "jobName": job.name}, indent=None)
    else:
        click.echo(job_id)


def echo_json(values: object, indent: int | None = 2) -> None:
    """Print values as JSON on standard output; without an indent, on one line."""
    import json

    click.echo(json.dumps(values, indent=indent))


def echo_note(note: str) -> None:
    """Print on standard error what the user should know."""
    echo_err(f"note: {note}")


def echo_err(line: str) -> None:
    """Print a line on standard error, as standard output is for results."""
    click.echo(line, err=True)


if __name__ == "__main__":
    main()
