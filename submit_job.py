"""Submit a sorting job to AWS Batch, and look after it, from a laptop (see README.md).

The modules that talk to AWS or check settings are imported where they are needed: `--help` starts
at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from spikeinterface_cloud.aws.cli import estimate_options, options
from spikeinterface_cloud.aws.cli.click_sections import DefaultCommand, Program, SectionCommand
from spikeinterface_cloud.aws.infra.commands import infra
from spikeinterface_cloud.errors import CloudJobError

if TYPE_CHECKING:
    from spikeinterface_cloud.aws.batch.jobs import JobState
    from spikeinterface_cloud.aws.batch.request import JobOptions
    from spikeinterface_cloud.aws.batch.submission import PreparedJob
    from spikeinterface_cloud.aws.session import AwsSession


#: the exit code after Ctrl-C, as shells have it
INTERRUPTED = 130


def main() -> None:
    """Run the command; what a user or a retry can mend ends in a line on standard error."""
    try:
        program.main()
    except CloudJobError as error:
        for line in str(error).splitlines():
            tell(f"Error: {line}")
        sys.exit(error.exit_code)


@click.group(cls=Program)
def program() -> None:
    """Submit a sorting job to AWS Batch; the commands below look after it.

    What is not given as an option is taken from elsewhere: flag > environment > .env > stack
    outputs. Only the job's id goes to standard output.
    """


@program.command(cls=DefaultCommand, hidden=True)
@options.recording_options
@options.list_of_recordings_options
@options.job_options
@options.submission_options
@options.session_options
@options.json_option
@options.poll_option
def submit(**given: Any) -> None:
    """Submit a sorting job to AWS Batch, or one for each of many recordings."""
    options.check_submit_variables(click.get_current_context())
    session = open_session(given)
    jobs = prepare_many(given, session) if lists_many(given) else [prepare_one(given, session)]
    for job in jobs:
        if given["dry_run"]:
            show_values(job.request)
            continue
        job_id = existing(session, job, given) or send(session, job)
        if given["as_json"]:
            show_values({"jobId": job_id, "jobName": job.name}, indent=None)
        else:
            click.echo(job_id)
        if given["follow"]:
            follow_to_end(session, job_id, given)


def lists_many(given: Mapping[str, Any]) -> bool:
    """Whether the options list many recordings; those that do not go together are refused."""
    from spikeinterface_cloud.aws.cli.list_options import check_list_options, names_list

    check_list_options(given)
    return names_list(given)


def prepare_one(given: Mapping[str, Any], session: AwsSession) -> PreparedJob:
    """The job of the one recording that the options name."""
    from spikeinterface_cloud.aws.batch.submission import prepare_job
    from spikeinterface_cloud.aws.inputs.job_settings import (
        left_behind,
        local_endpoints,
        settings_of,
    )

    settings = settings_of(given, os.environ)
    for remark in (*left_behind(settings, os.environ), *local_endpoints(settings.to_env())):
        tell(f"note: {remark}")
    return prepare_job(settings, options_of_job(given, session))


def prepare_many(given: Mapping[str, Any], session: AwsSession) -> list[PreparedJob]:
    """The arrays of the recordings that the options list, once the user has agreed to them."""
    from spikeinterface_cloud.aws.batch.array_jobs import confirm, find_jobs

    job_options = options_of_job(given, session)
    found = find_jobs(given, os.environ, session)
    for note in found.notes:
        tell(f"note: {note}")
    if not found.jobs:
        tell("there is nothing to submit")
        return []
    tell(found.overview())
    prepared = found.prepare(job_options)
    if given["follow"] and len(prepared) > 1:
        raise click.UsageError(f"--follow is for one array, not {len(prepared)}; leave it out.")
    if not given["yes"] and not given["dry_run"]:
        confirm(found)
    return prepared


def existing(session: AwsSession, job: PreparedJob, given: Mapping[str, Any]) -> str | None:
    """The identifier of the same job, where it is to be skipped; else it is just pointed out."""
    from spikeinterface_cloud.aws.batch.submission import same_job
    from spikeinterface_cloud.aws_errors import AwsError

    try:
        same = same_job(session, job)
    except AwsError:
        if given["skip_existing"]:
            raise
        return None  # what AWS has against the submission itself, it says itself
    if same is None:
        return None
    if given["skip_existing"]:
        tell(f"the same job is {same.status} already; nothing was submitted")
        return same.job_id
    if not same.is_over:
        tell(
            f"note: the same job is {same.status} already, as {same.job_id}, and both write to "
            f"{job.target}; --skip-existing submits no second one"
        )
    return None


def send(session: AwsSession, job: PreparedJob) -> str:
    """Submit the job, once its target is known to be there; its identifier."""
    from spikeinterface_cloud.aws.batch import submission
    from spikeinterface_cloud.aws.batch.target_bucket import check_target_bucket

    if remark := check_target_bucket(session, job):
        tell(f"note: {remark}")
    job_id = submission.send(session, job)
    tell(f"submitted {job.name}; its results go to {job.target}")
    return job_id


@program.command(cls=SectionCommand)
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB_ID...")
@options.session_options
@options.json_option
def status(job_ids: tuple[str, ...], **given: Any) -> None:
    """Show jobs: state, reason, attempts, elapsed time, place in the queue.

    Of an array, how many of its jobs are in each state.
    """
    from spikeinterface_cloud.aws.batch.jobs import look_up, no_such_job, queue_position
    from spikeinterface_cloud.aws.batch.table import job_values, jobs_table

    batch = open_session(given).client("batch")
    found = look_up(batch, job_ids)
    for job_id in job_ids:
        if job_id not in found:
            raise no_such_job(job_id, batch)
    jobs = [found[job_id] for job_id in job_ids]
    places = [queue_position(batch, job) for job in jobs]
    if given["as_json"]:
        show_values(list(map(job_values, jobs, places)))
    else:
        click.echo(jobs_table(jobs, places))


@program.command("list", cls=SectionCommand)
@options.queue_options
@options.session_options
@options.json_option
def list_(**given: Any) -> None:
    """List the recent jobs of a queue, the newest first."""
    from spikeinterface_cloud.aws.batch.jobs import look_up, recent_jobs
    from spikeinterface_cloud.aws.batch.table import job_values, jobs_table
    from spikeinterface_cloud.aws.stack_outputs import queue_of

    options.check_submit_variables(click.get_current_context())
    session = open_session(given)
    queue = queue_of(session, given["stack"], given["job_queue"], given["compute"])
    batch = session.client("batch")
    jobs = recent_jobs(batch, queue, given["since"])
    if given["status"]:
        jobs = [job for job in jobs if job.status in given["status"]]
    described = look_up(batch, [job.job_id for job in jobs])  # a listing tells no attempts
    jobs = [described.get(job.job_id, job) for job in jobs]
    if given["as_json"]:
        show_values([job_values(job) for job in jobs])
    else:
        click.echo(jobs_table(jobs))


@program.command(cls=SectionCommand)
@click.argument("job_id")
@click.option("--follow", is_flag=True, help="show what comes, until the job's end")
@options.session_options
@options.poll_option
def logs(job_id: str, **given: Any) -> None:
    """Show the log of a job, all attempts of it."""
    from spikeinterface_cloud.aws.batch.logs import follow_log, show_log
    from spikeinterface_cloud.aws.batch.wait import describe_state

    session = open_session(given)
    if not given["follow"]:
        missing = show_log(session, job_id, click.echo)
        if missing is not None:
            tell(missing)
        return
    with leaving_it_running(f"logs {job_id} --follow", given):
        tell(describe_state(follow_log(session, job_id, given["poll_interval"], click.echo, tell)))


@program.command(cls=SectionCommand)
@click.argument("job_id")
@options.session_options
@options.poll_option
def wait(job_id: str, **given: Any) -> None:
    """Wait for the end of a job, and exit with the exit code of its container.

    Ctrl-C ends the waiting, not the job.
    """
    from spikeinterface_cloud.aws.batch.wait import wait_for_end

    batch = open_session(given).client("batch")
    with leaving_it_running(f"wait {job_id}", given):
        exit_as(wait_for_end(batch, job_id, given["poll_interval"], tell))


@program.command(cls=SectionCommand)
@click.argument("job_id")
@click.option("--reason", default="cancelled by its user", show_default=True, help="told to AWS")
@options.session_options
def cancel(job_id: str, reason: str, **given: Any) -> None:
    """End a job, or an array with all its jobs."""
    from spikeinterface_cloud.aws.batch.jobs import look_up_one, terminate

    batch = open_session(given).client("batch")
    job = look_up_one(batch, job_id)
    if job.is_over:
        tell(f"{job_id} has {job.status} already; there is nothing to cancel")
    else:
        terminate(batch, job_id, reason)
        tell(f"{job_id} ends: {reason}")


@program.command(cls=SectionCommand)
@click.argument("job", metavar="JOB_ID|S3_URL")
@click.option("--download", "folder", metavar="FOLDER", help="fetch everything to this folder")
@options.session_options
@options.json_option
def results(job: str, folder: str | None, **given: Any) -> None:
    """Show what a job produced, named by its id or its target, or fetch it all."""
    from pathlib import Path

    from spikeinterface_cloud.aws.batch import results as found

    session = open_session(given)
    target, state = found.locate(session, job)
    s3 = session.client("s3")
    record = found.read_record(s3, target)
    files = found.list_results(s3, target)
    if given["as_json"]:
        show_values(found.result_values(target, record, files))
    else:
        click.echo("\n".join(found.describe_results(target, record, files)))
    if folder is not None:
        for file in found.download(s3, files, Path(folder)):
            tell(f"fetched {file.name}")
    if record is None:
        raise found.no_record(target, state)


@program.command(cls=SectionCommand)
@click.argument("job_id", required=False)
@options.diagnosis_options
@options.session_options
@options.json_option
def diagnose(job_id: str | None, **given: Any) -> None:
    """Find out why a job does not start, or why a queue starts none.

    Exits with 1 where a check failed. It changes nothing.
    """
    from spikeinterface_cloud.aws.diagnose import command
    from spikeinterface_cloud.aws.diagnose.table import diagnosis_values, summary

    options.check_submit_variables(click.get_current_context())
    found = command.diagnose(click.get_current_context(), job_id)
    if given["as_json"]:
        show_values(diagnosis_values(found))
    else:
        click.echo(command.shown(found))
        tell(summary(found))
    sys.exit(found.exit_code)


@program.command(cls=SectionCommand)
@estimate_options.size_options
@estimate_options.work_options
@options.session_options
@options.json_option
def estimate(**given: Any) -> None:
    """Estimate hours and USD of a recording, or many, on each instance type."""
    from spikeinterface_cloud.aws.estimate.command import estimate_jobs

    estimated = estimate_jobs(given, os.environ, open_session(given))
    if given["as_json"]:
        show_values(estimated.values())
    else:
        click.echo(estimated.text())


program.add_command(infra)


def open_session(given: Mapping[str, Any]) -> AwsSession:
    """The session with AWS that the options ask for."""
    from spikeinterface_cloud.aws.session import AwsSession

    return AwsSession(given["profile"], given["region"])


def options_of_job(given: Mapping[str, Any], session: AwsSession) -> JobOptions:
    """How the job is to run; queue and definition are the stack's where they are not given."""
    from spikeinterface_cloud.aws.batch.request import JobOptions
    from spikeinterface_cloud.aws.stack_outputs import queue_and_definition

    queue, definition = queue_and_definition(
        session, given["stack"], given["job_queue"], given["job_definition"], given["compute"]
    )
    return JobOptions(
        job_queue=queue,
        job_definition=definition,
        job_name=given["job_name"],
        gpus=given["gpus"],
        vcpus=given["vcpus"],
        memory_mib=given["memory"],
        timeout_s=given["timeout"],
        attempts=given["attempts"],
        tags=dict(given["tag"]),
        share_identifier=given["share_identifier"],
        priority=given["priority"],
        depends_on=given["depends_on"],
    )


def follow_to_end(session: AwsSession, job_id: str, given: Mapping[str, Any]) -> None:
    """Show the log of a job that was just submitted, and exit with its exit code."""
    from spikeinterface_cloud.aws.batch.logs import follow_log

    with leaving_it_running(f"logs {job_id} --follow", given):
        exit_as(follow_log(session, job_id, given["poll_interval"], tell, tell))


@contextmanager
def leaving_it_running(command: str, given: Mapping[str, Any]) -> Iterator[None]:
    """End at Ctrl-C with the command that takes up where this one was left."""
    try:
        yield
    except KeyboardInterrupt:
        import shlex

        words = ["python", sys.argv[0], *command.split()]
        for name in ("profile", "region"):
            words += [f"--{name}", given[name]] if given[name] else []
        tell(f"\nthe job goes on; to watch it again:\n  {shlex.join(words)}")
        sys.exit(INTERRUPTED)


def exit_as(job: JobState) -> NoReturn:
    """Say how a job ended, and exit with the exit code of its container."""
    from spikeinterface_cloud.aws.batch.wait import describe_state, exit_code_of

    tell(describe_state(job))
    sys.exit(exit_code_of(job))


def show_values(values: object, indent: int | None = 2) -> None:
    """Show values as JSON on standard output; without an indent, on one line."""
    import json

    click.echo(json.dumps(values, indent=indent))


def tell(line: str) -> None:
    """Show a line on standard error, as standard output is for what was asked for."""
    click.echo(line, err=True)


if __name__ == "__main__":
    main()
