"""Arguments of Python as options of the command line, which reads and checks them for both.

So each value, variable and line of `.env` means in Python what it means to `spikeinterface-cloud`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

import click

from spikeinterface_cloud.aws.cli import options
from spikeinterface_cloud.aws.cli.click_sections import JobId
from spikeinterface_cloud.aws.cli.options import option_name
from spikeinterface_cloud.aws.cli.values import SubmitOptions
from spikeinterface_cloud.aws.regions import OptionError
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.errors import CloudJobError

#: arguments that give an option once for each of their items
REPEATED = {"source": "--source", "env": "--env", "tags": "--tag", "depends_on": "--depends-on"}

#: an option in a message, and before it commands in backticks, whose options stay
OPTION = re.compile(r"`(?!--)[^`]*`|'?--([a-z][a-z-]*)'?")

#: one at a time changes the variables of this process
_lock = RLock()


@click.command()
@options.recording_options
@options.job_options
@options.submission_options
@options.session_options
def submit_options(session: AwsSession, **given: Any) -> tuple[AwsSession, SubmitOptions]:
    """Return the session and the options, with the defaults of the environment."""
    env_file = click.get_current_context().params["env_file"]
    return session, SubmitOptions(**given, env_file=env_file)


@click.command()
@click.argument("job_id", type=JobId())
@options.session_options
def job_options(session: AwsSession, job_id: str) -> tuple[str, AwsSession, Mapping[str, str]]:
    """Return the job's id, the session and the variables of the file."""
    return job_id, session, click.get_current_context().params["env_file"]


#: the options whose arguments have a name of their own, by the name of the option
_ARGUMENTS = {
    name.removeprefix("--"): name.removeprefix("--").replace("-", "_")
    for option in submit_options.params
    for name in option.opts
} | {"tag": "tags"}


def as_options(arguments: Mapping[str, object]) -> list[str]:
    """Return arguments as the words of a command line; None and False are left out.

    So are the names in `env` and `tags` whose value is None.

    >>> as_options({"sorters": ["simple"], "gpus": 1, "overwrite": False, "tags": {"lab": "a=b"}})
    ['--sorters', '["simple"]', '--gpus', '1', '--tag', 'lab=a=b']
    """
    words: list[str] = []
    for name, value in arguments.items():
        if name in REPEATED:
            words += [word for text in _items(name, value) for word in (REPEATED[name], text)]
        elif value is True:
            words.append(option_name(name))
        elif value is not None and value is not False:
            words += [option_name(name), _text(name, value)]
    return words


def _items(name: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        given = {key: item for key, item in value.items() if item is not None}
        yield from (f"{key}={_text(name, item)}" for key, item in given.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from (_text(name, item) for item in value)
    elif value is not None:
        raise OptionError(f"{name}: {value!r} is neither a list nor a dict")


def _text(name: str, value: object) -> str:
    """Return a value as the command line takes it: lists and dicts are JSON."""
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        value = dict(value)
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{name}: {error}; give texts, numbers, lists and dicts, as JSON has them"
        ) from error


def _plain(value: Any) -> Any:
    """Return numpy's numbers and arrays as Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} cannot be sent to a job")


def invoke(command: click.Command, words: Sequence[str]) -> Any:
    """Return what a command returns; OptionError (2) if it refuses its options."""
    try:
        with command.make_context(command.name, list(words)) as context:
            return command.invoke(context)
    except click.ClickException as error:
        raise OptionError(error.format_message()) from error


@contextmanager
def variables(added: Mapping[str, str] | None = None) -> Iterator[None]:
    """Change the variables of this process, and restore them at the end."""
    with _lock:
        before = dict(os.environ)
        os.environ.update(added or {})
        try:
            yield
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)


@contextmanager
def python_errors() -> Iterator[None]:
    """Name arguments in place of options in the errors of the commands."""
    try:
        yield
    except CloudJobError as error:
        error.args = (in_python(str(error)), *error.args[1:])
        raise


def in_python(message: str) -> str:
    """Return a message with the names of arguments in place of options.

    >>> in_python("--job-queue: missing; `aws configure --profile a`, `--attempts` or --tag help")
    'job_queue: missing; `aws configure --profile a`, `attempts` or tags help'
    """
    return OPTION.sub(lambda match: _ARGUMENTS.get(match[1], match[0]), message)
