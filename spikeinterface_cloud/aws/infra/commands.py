"""`spikeinterface-cloud infra`: create, show and delete the AWS resources that jobs need.

Modules that call AWS are imported where needed, so that `--help` starts at once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from spikeinterface_cloud.aws.cli.click_sections import (
    SectionCommand,
    option,
    option_group,
    pair_option,
    poll_interval_option,
)
from spikeinterface_cloud.aws.cli.options import json_option, session_options
from spikeinterface_cloud.aws.program_name import DEFAULT_STACK, command_line
from spikeinterface_cloud.errors import INTERRUPTED

if TYPE_CHECKING:
    from spikeinterface_cloud.aws.infra.build import BuildPlan
    from spikeinterface_cloud.aws.infra.status import StackStatus
    from spikeinterface_cloud.aws.session import AwsSession

#: also read by a submission's `--stack`
STACK_VARIABLE = "SPIKEINTERFACE_CLOUD_STACK"

#: the results bucket is named after the stack, the account and the region, in 63 characters
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")


class StackName(click.ParamType[Any, Any]):
    """The name of a stack, which is valid in the name of a bucket."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; refuse an invalid one."""
        if not STACK_NAME.fullmatch(value) or value.endswith("-"):
            self.fail(
                f"{value!r} is not a valid name; begin with a lowercase letter, use lowercase "
                "letters, digits and -, at most 30 in all.",
                param,
                ctx,
            )
        return str(value)


stack_option = option_group(
    "Stack",
    option(
        "--stack",
        type=StackName(),
        envvar=STACK_VARIABLE,
        default=DEFAULT_STACK,
        help=f"CloudFormation stack  [default: {DEFAULT_STACK}; variable: {STACK_VARIABLE}]",
    ),
)

parameter_options = option_group(
    "Stack",
    pair_option(
        "--parameter",
        "parameters",
        help="a parameter of the template, as often as needed; the others stay as they are",
    ),
    option(
        "--image",
        "images",
        metavar="[gpu=|cpu=]IMAGE",
        multiple=True,
        help="published images instead of your own: NAME:TAG for both, gpu=NAME@sha256:... for "
        "one; --parameter GpuImage= returns to your own",
    ),
    pair_option(
        "--tag",
        "tags",
        help="tag of every resource, instance and job, as often as needed; earlier ones stay",
    ),
)

acting_options = option_group(
    "Acting",
    option("--dry-run", is_flag=True, help="show what would change, and change nothing"),
    option("--yes", is_flag=True, help="do not ask"),
)

watching_option = option_group("Acting", poll_interval_option(3.0))


@click.group()
def infra() -> None:
    """Create, show and delete the AWS resources that jobs need.

    One CloudFormation stack: queues, instances from zero, job definitions, roles, image repository,
    results bucket, logs and network. `spikeinterface-cloud --stack NAME` submits to it.
    """


@infra.command(cls=SectionCommand)
@stack_option
@parameter_options
@acting_options
@watching_option
@session_options
@json_option
def up(
    session: AwsSession,
    stack: str,
    parameters: tuple[tuple[str, str], ...],
    images: tuple[str, ...],
    tags: tuple[tuple[str, str], ...],
    dry_run: bool,
    yes: bool,
    poll_interval: float,
    as_json: bool,
) -> None:
    """Create or update the stack.

    It first shows the changes, and their cost while no job runs.
    """
    from spikeinterface_cloud.aws.infra import up
    from spikeinterface_cloud.aws.infra.published_images import image_parameters

    values = dict(parameters)
    values |= image_parameters(images, values)
    _check_terminal(yes or dry_run)
    plan = up.plan(session, stack, values, dict(tags))
    if plan.change_set is None:
        _echo_err([f"the stack {stack} is up to date; nothing was changed"])
    else:
        _echo_err(up.describe_plan(plan))
    if dry_run:
        up.discard(session, plan)
        _echo_err(["this was a dry run; nothing was changed"])
        if as_json:
            _show_values(up.plan_values(plan))
        return
    if plan.change_set is not None:
        try:
            _ask("Make these changes?", yes)
        except click.Abort:
            up.discard(session, plan)
            raise
        with _continuing_on_aws(stack):
            up.carry_out(session, plan, poll_interval, lambda line: _echo_err([line]))
        if stack != DEFAULT_STACK:
            _echo_err([f"submit to it with --stack {stack}, or {STACK_VARIABLE}={stack} in .env"])
    found = _show_status(session, stack, as_json)
    if not yes and not as_json:
        _offer_build(session, stack, found, poll_interval)


build_options = option_group(
    "Build",
    option("--gpu", is_flag=True, help="the image with Kilosort4 and CUDA, not that of the CPU"),
    option("--dry-run", is_flag=True, help="show what would be sent and built, and do nothing"),
    option("--watch", metavar="BUILD_ID", help="show the log of a build that was started before"),
    option("--stop", metavar="BUILD_ID", help="stop a build"),
)


@infra.command(cls=SectionCommand)
@stack_option
@build_options
@watching_option
@session_options
@json_option
def build(session: AwsSession, stack: str, gpu: bool, as_json: bool, **given: Any) -> None:
    """Build an image in the account, without Docker here, and push it to the stack's repository.

    CodeBuild runs the build; it costs by the minute. The address of the image goes to standard
    output, the log to standard error.
    """
    from spikeinterface_cloud.aws.infra import build, codebuild

    if sum(bool(each) for each in (gpu, given["watch"], given["stop"])) > 1:
        raise click.UsageError("--gpu, --watch and --stop exclude each other; give one.")
    if given["stop"]:
        codebuild.stop(session, given["stop"])
        _echo_err([f"the build {given['stop']} ends"])
        return
    if given["watch"]:
        _watch_build(session, given["watch"], given["poll_interval"], None, as_json)
        return
    planned = build.plan(session, stack, gpu=gpu)
    _echo_err(build.describe_plan(planned))
    if given["dry_run"]:
        _echo_err(["this was a dry run; nothing was sent"])
        if as_json:
            _show_values(build.plan_values(planned))
        return
    _build(session, planned, given["poll_interval"], as_json)


@infra.command(cls=SectionCommand)
@stack_option
@session_options
@json_option
def status(session: AwsSession, stack: str, as_json: bool) -> None:
    """Show the stack, its outputs, its images and its cost."""
    _show_status(session, stack, as_json)


@infra.command(cls=SectionCommand)
@stack_option
@acting_options
@watching_option
@session_options
def down(session: AwsSession, stack: str, dry_run: bool, yes: bool, poll_interval: float) -> None:
    """Delete the stack; results, images and logs stay."""
    from spikeinterface_cloud.aws.infra import down

    _check_terminal(yes or dry_run)
    plan = down.plan(session, stack)
    if plan is None:
        _echo_err([f"there is no stack {stack}; nothing was deleted"])
        return
    _echo_err(down.describe_plan(plan))
    if dry_run:
        _echo_err(["this was a dry run; nothing was deleted"])
        return
    _ask("Delete the stack?", yes)
    with _continuing_on_aws(stack):
        down.carry_out(session, plan, poll_interval, lambda line: _echo_err([line]))
    _echo_err([f"the stack {stack} is deleted", *down.describe_kept(plan)])


def _build(
    session: AwsSession, planned: BuildPlan, poll_interval: float, as_json: bool = False
) -> None:
    """Start a build and watch it until its end."""
    from spikeinterface_cloud.aws.infra import build

    build_id = build.start(session, planned)
    _watch_build(session, build_id, poll_interval, planned.image, as_json)
    _echo_err([build.next_step(planned)])


def _watch_build(
    session: AwsSession, build_id: str, poll_interval: float, image: str | None, as_json: bool
) -> None:
    """Show the log of a build until its end, then its cost; the image goes to standard output."""
    from spikeinterface_cloud.aws.batch.wait import WatchError
    from spikeinterface_cloud.aws.infra import build

    def show(line: str) -> None:
        _echo_err([line])

    try:
        values = build.follow(session, build_id, poll_interval, image, show)
    except (KeyboardInterrupt, WatchError) as error:
        failure = f"Error: {error}" if isinstance(error, WatchError) else ""
        given = click.get_current_context().params
        names = [name for name in ("profile", "region") if given[name]]
        account = [word for name in names for word in (f"--{name}", given[name])]
        _echo_err(
            [
                failure,
                "the build goes on; to watch it again, or to stop it:",
                f"  {command_line('infra', 'build', '--watch', build_id, *account)}",
                f"  {command_line('infra', 'build', '--stop', build_id, *account)}",
            ]
        )
        sys.exit(error.exit_code if isinstance(error, WatchError) else INTERRUPTED)
    if as_json:
        _show_values(values)
    elif image:
        click.echo(image)


def _offer_build(session: AwsSession, stack: str, found: StackStatus, poll_interval: float) -> None:
    """Ask whether to build an image that jobs of the stack lack."""
    from spikeinterface_cloud.aws.infra import build

    offer = build.offer(found, session.client("codebuild").meta.region_name)
    if offer is not None and click.confirm(offer.question, err=True):
        planned = build.plan(session, stack, gpu=offer.gpu)
        _echo_err(build.describe_plan(planned))
        _build(session, planned, poll_interval)


def _show_status(session: AwsSession, stack: str, as_json: bool) -> StackStatus:
    from spikeinterface_cloud.aws.infra.status import describe_status, find_status, status_values

    found = find_status(session, stack)
    if as_json:
        _show_values(status_values(found))
    else:
        click.echo("\n".join(describe_status(found)))
    return found


def _check_terminal(no_question: bool) -> None:
    """Refuse (2) if a question could not be asked later."""
    if not no_question and not sys.stdin.isatty():
        raise click.UsageError(
            "there is no terminal for the question; add --yes to continue without it, "
            "or --dry-run to change nothing."
        )


def _ask(question: str, yes: bool) -> None:
    """Ask whether to continue; raise click.Abort if the answer is no."""
    if not yes:
        click.confirm(question, err=True, abort=True)


@contextmanager
def _continuing_on_aws(stack: str) -> Iterator[None]:
    """Exit at Ctrl-C with the command that shows AWS's progress."""
    try:
        yield
    except KeyboardInterrupt:
        _echo_err(
            [
                "",
                "AWS continues; to see its progress:",
                f"  {command_line('infra', 'status', '--stack', stack)}",
            ]
        )
        sys.exit(INTERRUPTED)


def _echo_err(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, err=True)


def _show_values(values: object) -> None:
    import json

    click.echo(json.dumps(values, indent=2))
