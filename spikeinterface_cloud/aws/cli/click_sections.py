"""The form of the command line: a default command, options in sections, values read at the edge.

It needs nothing but click, so that `--help` starts at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import click
from click.core import ParameterSource

DEFAULT_COMMAND = "submit"

#: the heading of an option that names none
OTHER_SECTION = "Options"

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])


class SectionOption(click.Option):
    """An option that belongs to a section of the help."""

    def __init__(self, *names: Any, section: str = OTHER_SECTION, **given: Any) -> None:
        super().__init__(*names, **given)
        self.section = section

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """The option; and the variable, where the value that is refused came from one."""
        hint = super().get_error_hint(ctx)
        if ctx is None or ctx.get_parameter_source(self.name or "") != ParameterSource.ENVIRONMENT:
            return hint
        variable = self.envvar if isinstance(self.envvar, str) else ""
        is_of_file = variable in ctx.params.get("env_file", {})
        return f"'{self.opts[0]}' ({variable}{', from .env or --env-file' if is_of_file else ''})"


class SectionCommand(click.Command):
    """A command whose help shows its options by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                section = getattr(parameter, "section", OTHER_SECTION)
                sections.setdefault(section, []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records)


class DefaultContext(click.Context):
    """The context of the default command, which nobody names when they call it."""

    @property
    def command_path(self) -> str:
        """What messages call the command."""
        return super().command_path if self.parent is None else self.parent.command_path


class DefaultCommand(SectionCommand):
    """The command that runs where no command is named."""

    context_class = DefaultContext


class Program(click.Group):
    """A group that runs `submit` where no command is named, and shows its options as its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if not first or (first.startswith("-") and first not in ctx.help_option_names):
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            from difflib import get_close_matches  # needed for a misspelling alone

            meant = get_close_matches(args[0], self.commands, n=1)
            hint = (
                f"; did you mean {meant[0]}?" if meant else f"; {ctx.info_name} --help lists them"
            )
            ctx.fail(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return ["[OPTIONS] | COMMAND [OPTIONS]"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        default = self.commands[DEFAULT_COMMAND]
        default.format_options(click.Context(default, info_name=ctx.info_name), formatter)
        self.format_commands(ctx, formatter)


class Declared:
    """An option that has been declared, and waits for its section and its command."""

    def __init__(self, *names: str, **given: Any) -> None:
        self.names = names
        self.given = given


def option_group(section: str, *options: Declared) -> Callable[[AnyCommand], AnyCommand]:
    """A decorator that adds options, in this order, to a command."""

    def add(command: AnyCommand) -> AnyCommand:
        for option in reversed(options):
            decorate = click.option(
                *option.names, cls=SectionOption, section=section, **option.given
            )
            command = decorate(command)
        return command

    return add


def interval_option(default_s: float, help_text: str) -> Declared:
    """`--poll-interval`: the seconds between two questions to AWS."""
    return Declared(
        "--poll-interval",
        type=click.FloatRange(min=0.05),
        default=default_s,
        show_default=True,
        metavar="SECONDS",
        help=help_text,
    )


class Pair(click.ParamType[Any, Any]):
    """NAME=VALUE; the value may be empty, and hold any character."""

    name = "NAME=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, sign, text = value.partition("=")
        if not sign or not name.strip():
            self.fail(f"{value!r} is not of the form NAME=VALUE.", param, ctx)
        return name.strip(), text


class _Amount(click.ParamType[Any, Any]):
    """A whole number with an optional unit."""

    units: Mapping[str, int]
    example: str
    minimum = 1

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", value.strip())
        factor = self.units.get(match[2].lower()) if match else None
        if match is None or factor is None:
            self.fail(f"{value!r} is not understood; write it like {self.example}.", param, ctx)
        amount = int(match[1]) * factor
        if amount < self.minimum:
            self.fail(f"{value!r} is less than {self.minimum}.", param, ctx)
        return amount


class Duration(_Amount):
    """Seconds, or 90m, 12h, 2d."""

    name = "DURATION"
    units = MappingProxyType({"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400})
    example = "3600, 90m, 12h or 2d"

    def __init__(self, minimum_s: int = 1) -> None:
        self.minimum = minimum_s


class Memory(_Amount):
    """MiB, or 30GiB."""

    name = "MEMORY"
    units = MappingProxyType({"": 1, "mib": 1, "gib": 1024})
    example = "30000 (MiB) or 30GiB"
