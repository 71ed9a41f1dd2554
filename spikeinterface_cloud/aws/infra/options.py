"""The options of `submit_job.py infra`; importing them needs only click."""

from __future__ import annotations

import re
from typing import Any

import click

from spikeinterface_cloud.aws.cli.click_sections import (
    Pair,
    option,
    option_group,
    poll_interval_option,
)

#: also read by a submission's `--stack`
STACK_VARIABLE = "SPIKEINTERFACE_CLOUD_STACK"
DEFAULT_STACK = "spikeinterface-cloud"

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
    option(
        "--parameter",
        "parameters",
        type=Pair(),
        multiple=True,
        help="a parameter of the template (README), as often as needed; the others stay as they "
        "are",
    ),
)

acting_options = option_group(
    "Acting",
    option("--dry-run", is_flag=True, help="show what would change, and change nothing"),
    option("--yes", is_flag=True, help="do not ask"),
)

watching_option = option_group("Acting", poll_interval_option(3.0))
