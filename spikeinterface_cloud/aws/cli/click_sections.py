"""The form of the command line: a default command, options in sections, values with units.

It imports click only, so that `--help` is quick.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

DEFAULT_COMMAND = "submit"

#: the heading of an option without a section, like `--help`
OTHER_SECTION = "Options"

#: the id of a job, or of a child of an array
JOB_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?::\d+)?")

#: how the ARN of a job begins, and the URL of its page in the console
PLACES = re.compile(r"arn:[^:]+:batch:|https://[^/]*console[^/]*/batch/")

#: the region in the ARN of a job, and in the URL of its page
REGION = re.compile(r"^arn:[^:]+:batch:([a-z0-9-]+):|[?&]region=([a-z0-9-]+)")

#: where the context keeps it
JOB_REGION = f"{__name__}.region"

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])


class SectionOption(click.Option):
    """An option that belongs to a section of the help."""

    def __init__(self, *names: Any, section: str = OTHER_SECTION, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.section = section

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the option, and the variable if the refused value came from one."""
        hint = super().get_error_hint(ctx)
        if ctx is None or ctx.get_parameter_source(self.name or "") != ParameterSource.ENVIRONMENT:
            return hint
        variable = self.envvar if isinstance(self.envvar, str) else ""
        in_file = variable in ctx.params.get("env_file", {})
        return f"'{self.opts[0]}' ({variable}{', from .env or --env-file' if in_file else ''})"


def write_sections(
    parameters: Iterable[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write the help of options, section by section."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in parameters:
        if record := parameter.get_help_record(ctx):
            section = getattr(parameter, "section", OTHER_SECTION)
            sections.setdefault(section, []).append(record)
    for section, records in sections.items():
        with formatter.section(section):
            formatter.write_dl(records)


class SectionCommand(click.Command):
    """A command whose help lists its options by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        write_sections(self.get_params(ctx), ctx, formatter)


class DefaultContext(click.Context):
    """The context of the default command, whose name users do not type."""

    @property
    def command_path(self) -> str:
        """The name of the program."""
        return super().command_path if self.parent is None else self.parent.command_path


class DefaultCommand(SectionCommand):
    """The command that runs if no command is named."""

    context_class = DefaultContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse the name of another command behind options."""
        words = self.make_parser(ctx).parse_args(list(args))[1]
        program = ctx.parent.command if ctx.parent else None
        if words and isinstance(program, click.Group) and words[0] in program.commands:
            written = f"{ctx.command_path} {' '.join(words)} [OPTIONS]"
            ctx.fail(f"{words[0]!r} is a command: write it first, as in `{written}`.")
        return super().parse_args(ctx, args)


class Program(click.Group):
    """A group that runs `submit` if no command is named, and shows its options in its own help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default command in front of options."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        first = args[0] if args else ""
        # the shell completes the names of commands where there are no arguments yet
        is_default = first.startswith("-") if first else not ctx.resilient_parsing
        if is_default and first not in own:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, and the options of the default one, that begin so."""
        default = self.commands[DEFAULT_COMMAND].shell_complete(ctx, incomplete)
        found = {item.value: item for item in [*super().shell_complete(ctx, incomplete), *default]}
        return list(found.values())

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the usage line behind the program's name."""
        return ["[OPTIONS] | COMMAND [OPTIONS]"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the default command, those of the program, and the commands."""
        default = self.commands[DEFAULT_COMMAND]
        write_sections([*default.params, *self.get_params(ctx)], ctx, formatter)
        self.format_commands(ctx, formatter)


def option(*names: str, **attributes: Any) -> Callable[..., Callable[[Any], Any]]:
    """Declare an option, which `option_group` adds to a command."""
    return partial(click.option, *names, cls=SectionOption, **attributes)


def option_group(
    section: str, *options: Callable[..., Callable[[Any], Any]]
) -> Callable[[AnyCommand], AnyCommand]:
    """Return a decorator that adds options, in this order, to a command."""

    def add(command: AnyCommand) -> AnyCommand:
        for declared in reversed(options):
            command = declared(section=section)(command)
        return command

    return add


def poll_interval_option(default_s: float) -> Callable[..., Callable[[Any], Any]]:
    """Declare the option for the seconds between two requests to AWS."""
    return option(
        "--poll-interval",
        type=click.FloatRange(min=0.05),
        default=default_s,
        show_default=True,
        metavar="SECONDS",
        help="time between two requests to AWS",
    )


class Pair(click.ParamType[Any, Any]):
    """NAME=VALUE; the value may be empty, and hold any character."""

    name = "NAME=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split at the first sign of equality."""
        if isinstance(value, tuple):
            return value
        name, sign, text = value.partition("=")
        if not sign or not name.strip():
            self.fail(f"{value!r} is not of the form NAME=VALUE.", param, ctx)
        return name.strip(), text


def one_value_each(
    context: click.Context, parameter: click.Parameter, pairs: tuple[tuple[str, Any], ...]
) -> tuple[tuple[str, Any], ...]:
    """Return the pairs of a repeatable option; refuse a name with two values.

    Raises click.BadParameter (2), without the values, which may be secrets.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            what = name or "a value without a name"
            message = f"{what} is given twice, with different values; give it once."
            raise click.BadParameter(message, context, parameter)
    return pairs


def pair_option(*names: str, **attributes: Any) -> Callable[..., Callable[[Any], Any]]:
    """Declare a repeatable option of NAME=VALUE."""
    return option(*names, type=Pair(), multiple=True, callback=one_value_each, **attributes)


class JobId(click.ParamType[Any, Any]):
    """The id of a job, or its ARN or page in the console, whose region is then the one to ask."""

    name = "JOB_ID"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Return the id alone; refuse jobs in two regions, of which one could be asked."""
        text = str(value).strip()
        found = JOB_ID.search(text.replace("%3A", ":"))
        if found is None or not PLACES.match(text):
            return text
        region = REGION.search(text)
        if region is not None and ctx is not None:
            name = region[1] or region[2]
            other = ctx.meta.setdefault(JOB_REGION, name)
            if other != name:
                message = f"jobs are in two regions, {other} and {name}; give one command each."
                self.fail(message, param, ctx)
        return found[0]


class Quantity(click.ParamType[Any, Any]):
    """A number with an optional unit.

    Parameters
    ----------
    name
        What the help calls a value.
    units
        The factor of each unit, in lower case; `""` is that of a number without one.
    example
        What an error suggests.
    minimum
        The smallest value of a whole number; None allows fractions greater than 0.
    """

    def __init__(
        self, name: str, units: Mapping[str, int], example: str, minimum: int | None = None
    ) -> None:
        self.name = name
        self.units = units
        self.example = example
        self.minimum = minimum

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Multiply the number by its unit."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]  # the default
        match = re.fullmatch(r"([-+]?\d+(?:\.\d+)?)\s*([A-Za-z]*)", value.strip())
        factor = self.units.get(match[2].lower()) if match else None
        if match is None or factor is None or (self.minimum is not None and not match[1].isdigit()):
            self.fail(f"{value!r} is not understood; write it like {self.example}.", param, ctx)
        if self.minimum is not None:
            amount: float = int(match[1]) * factor
            if amount < self.minimum:
                self.fail(f"{value!r} is less than {self.minimum}.", param, ctx)
            return amount
        amount = float(match[1]) * factor
        if not 0 < amount < math.inf:
            self.fail(f"{value!r} must be greater than 0, and finite.", param, ctx)
        return amount


TIME_UNITS = MappingProxyType({"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400})


def duration(minimum_s: int = 1) -> Quantity:
    """Return the type of a time in whole seconds, like 3600, 90m, 12h or 2d."""
    return Quantity("DURATION", TIME_UNITS, "3600, 90m, 12h or 2d", minimum_s)
