"""The `diagnose` command: its job or queue, and the width of its table."""

from __future__ import annotations

import shutil

import click
from click.core import ParameterSource

from spikeinterface_cloud.aws.diagnose.run import Diagnosis, diagnose_job, diagnose_queue
from spikeinterface_cloud.aws.diagnose.table import findings_table
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws.stack_outputs import find_queue

#: of a line, if the output is not a terminal
WIDTH = 120


def diagnose(
    session: AwsSession, job_id: str | None, queue: str | None, stack: str | None
) -> Diagnosis:
    """Diagnose the job, or the queue that the options name.

    Raises click.UsageError (both or neither are given) and AwsError (there is no such job or queue,
    or AWS does not answer).
    """
    if job_id is None and queue is None and stack is None:
        raise click.UsageError("nothing to diagnose; give a job's id, --queue or --stack.")
    if job_id is None:
        return diagnose_queue(session, find_queue(session, stack, queue))
    if click.get_current_context().get_parameter_source("queue") == ParameterSource.COMMANDLINE:
        raise click.UsageError("a job is diagnosed in its own queue; give either a job or --queue.")
    return diagnose_job(session, job_id, queue)


def shown(diagnosis: Diagnosis) -> str:
    """Return the table, as wide as the terminal."""
    return findings_table(diagnosis, shutil.get_terminal_size((WIDTH, 24)).columns)
