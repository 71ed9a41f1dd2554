"""Submit a sorting job to AWS Batch, and look after it, from a laptop (see README.md).

The modules that talk to AWS or check settings are imported where they are needed: `--help` starts
at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from spikeinterface_cloud.batch import options
from spikeinterface_cloud.batch.command_line import Program, SectionCommand
from spikeinterface_cloud.errors import CloudJobError

if TYPE_CHECKING:
    from spikeinterface_cloud.batch.request import JobOptions
    from spikeinterface_cloud.batch.session import AwsSession


def main() -> None:
    """Run the command; what a user or a retry can mend ends in a line on standard error."""
    try:
        program.main()
    except CloudJobError as error:
        for line in str(error).splitlines():
            click.echo(f"Error: {line}", err=True)
        sys.exit(error.exit_code)


@click.group(cls=Program)
def program() -> None:
    """Submit a sorting job to AWS Batch; the commands below look after it.

    An option is stronger than the environment, the environment than .env, and .env than the outputs
    of the stack. Standard output has the job's id alone.
    """


@program.command(cls=SectionCommand, hidden=True)
@options.recording_options
@options.job_options
@options.submission_options
@options.session_options
@options.json_option
def submit(**given: Any) -> None:
    """Submit a sorting job to AWS Batch."""
    from spikeinterface_cloud.batch.job_settings import settings_of
    from spikeinterface_cloud.batch.submission import prepare_job
    from spikeinterface_cloud.batch.submission import submit as send

    settings = settings_of(given, os.environ)
    session = open_session(given)
    job = prepare_job(settings, options_of_job(given, session))
    if given["dry_run"]:
        click.echo(json.dumps(job.request, indent=2))
        return
    submitted = send(session, job)
    click.echo(f"submitted {submitted.job_name}; results go to {job.target}", err=True)
    report = {"jobId": submitted.job_id, "jobName": submitted.job_name}
    click.echo(json.dumps(report) if given["as_json"] else submitted.job_id)


def open_session(given: Mapping[str, Any]) -> AwsSession:
    """The session with AWS that the options ask for."""
    from spikeinterface_cloud.batch.session import AwsSession

    return AwsSession(given["profile"], given["region"])


def options_of_job(given: Mapping[str, Any], session: AwsSession) -> JobOptions:
    """How the job is to run; queue and definition are the stack's where they are not given."""
    from spikeinterface_cloud.batch.request import JobOptions
    from spikeinterface_cloud.batch.stack import with_stack_outputs

    queue, definition = with_stack_outputs(
        session, given["stack"], given["job_queue"], given["job_definition"]
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


if __name__ == "__main__":
    main()
