"""Queue and stack, of which the one that the stronger layer names counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

#: the parameters that name a queue or a job definition, and those that choose them from a stack
NAMED = ("job_queue", "queue", "job_definition")
CHOOSING = ("compute", "stack")

#: the strength of a flag, of a variable of the environment, and of one of the file
FLAG, ENVIRONMENT, FILE = 3, 2, 1


def drop_weaker_names(context: click.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values without queue and definition of a weaker layer than `--stack` is of.

    The same for `--compute`. Raises click.UsageError (2) if such a flag would have no effect beside
    a flag that names the queue.
    """
    names = [name for name in NAMED if name in values]
    layers = {name: _layer(context, name) for name in (*names, *CHOOSING) if name in values}
    choosing = [name for name in CHOOSING if name in layers]
    if names and all(layers[name] == FLAG for name in names):
        # of a submission, the stack also chooses where sessions are gathered
        idle = [name for name in choosing if name == "compute" or "job_definition" not in names]
        for name in idle:
            if layers[name] == FLAG:
                raise click.UsageError(
                    f"{_option(names[0])} names a queue, and {_option(name)} chooses one of a "
                    "stack; give one of them."
                )
    strongest = max((layers[name] for name in choosing), default=0)
    return {
        name: None if name in names and layers[name] < strongest else value
        for name, value in values.items()
    }


def _layer(context: click.Context, name: str) -> int:
    """Return the strength of what gave a parameter; 0 if nothing did."""
    source = context.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        return FLAG
    if source is not ParameterSource.ENVIRONMENT:
        return 0
    [variable] = [each.envvar for each in context.command.params if each.name == name]
    return FILE if variable in context.params["env_file"] else ENVIRONMENT


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
