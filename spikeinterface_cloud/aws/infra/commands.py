"""`submit_job.py infra`: make, show and delete what sorting jobs need in an AWS account.

What talks to AWS is imported where it is needed: `--help` starts at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from spikeinterface_cloud.aws.cli.click_sections import SectionCommand
from spikeinterface_cloud.aws.cli.options import json_option, session_options
from spikeinterface_cloud.aws.infra import options

if TYPE_CHECKING:
    from spikeinterface_cloud.aws.session import AwsSession

#: the exit code after Ctrl-C, as shells have it
INTERRUPTED = 130


@click.group()
def infra() -> None:
    """Make, show and delete what jobs need in the AWS account.

    One CloudFormation stack: queues, machines from zero, job definitions, roles, image repository,
    results bucket, logs and network. `submit_job.py --stack NAME` submits to it.
    """


@infra.command(cls=SectionCommand)
@options.stack_option
@options.parameter_options
@options.acting_options
@options.watching_option
@session_options
@json_option
def up(
    session: AwsSession,
    stack: str,
    parameters: tuple[tuple[str, str], ...],
    dry_run: bool,
    yes: bool,
    poll_interval: float,
    as_json: bool,
) -> None:
    """Make the stack, or bring it up to date.

    First it is shown what would change, and what that costs while no job runs.
    """
    from spikeinterface_cloud.aws.infra import up

    _check_can_ask(yes or dry_run)
    plan = up.plan(session, stack, dict(parameters))
    if plan.change_set is None:
        _tell([f"the stack {stack} is as it should be; nothing was changed"])
    else:
        _tell(up.describe_plan(plan))
    if dry_run:
        up.discard(session, plan)
        _tell(["this was a dry run; nothing was changed"])
        if as_json:
            _show_values(up.plan_values(plan))
        return
    if plan.change_set is not None:
        try:
            _ask("Make these changes?", yes)
        except click.Abort:
            up.discard(session, plan)
            raise
        with _going_on_alone(stack):
            up.carry_out(session, plan, poll_interval, lambda line: _tell([line]))
        _tell([f"submit to it with --stack {stack}, or {options.STACK_VARIABLE}={stack} in .env"])
    _show_status(session, stack, as_json)


@infra.command(cls=SectionCommand)
@options.stack_option
@session_options
@json_option
def status(session: AwsSession, stack: str, as_json: bool) -> None:
    """Show the stack, its outputs, whether its images are there, and its cost."""
    _show_status(session, stack, as_json)


@infra.command(cls=SectionCommand)
@options.stack_option
@options.acting_options
@options.watching_option
@session_options
def down(session: AwsSession, stack: str, dry_run: bool, yes: bool, poll_interval: float) -> None:
    """Delete the stack; results, images and logs stay."""
    from spikeinterface_cloud.aws.infra import down

    _check_can_ask(yes or dry_run)
    plan = down.plan(session, stack)
    if plan is None:
        _tell([f"there is no stack {stack}; nothing was deleted"])
        return
    _tell(down.describe_plan(plan))
    if dry_run:
        _tell(["this was a dry run; nothing was deleted"])
        return
    _ask("Delete the stack?", yes)
    with _going_on_alone(stack):
        down.carry_out(session, plan, poll_interval, lambda line: _tell([line]))
    _tell([f"the stack {stack} is deleted", *down.describe_kept(plan)])


def _show_status(session: AwsSession, stack: str, as_json: bool) -> None:
    from spikeinterface_cloud.aws.infra.status import describe_status, look, status_values

    found = look(session, stack)
    if as_json:
        _show_values(status_values(found))
    else:
        click.echo("\n".join(describe_status(found)))


def _check_can_ask(no_question: bool) -> None:
    """Refuse what could not be asked for later; click.UsageError (2)."""
    if not no_question and not sys.stdin.isatty():
        raise click.UsageError(
            "there is no terminal to ask on; add --yes to go on without a question, "
            "or --dry-run to change nothing."
        )


def _ask(question: str, yes: bool) -> None:
    """Ask whether to go on; click.Abort is raised where the answer is no."""
    if not yes:
        click.confirm(question, err=True, abort=True)


@contextmanager
def _going_on_alone(stack: str) -> Iterator[None]:
    """End at Ctrl-C with the command that tells how far AWS is, which goes on by itself."""
    try:
        yield
    except KeyboardInterrupt:
        _tell(
            [
                "",
                "AWS goes on; how far it is:",
                f"  python {sys.argv[0]} infra status --stack {stack}",
            ]
        )
        sys.exit(INTERRUPTED)


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, err=True)


def _show_values(values: object) -> None:
    import json

    click.echo(json.dumps(values, indent=2))
