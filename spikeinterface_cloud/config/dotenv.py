"""A `.env` file: what python-dotenv makes of it, refused where that would leave out a line."""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import dotenv
from dotenv.parser import Binding, parse_stream

from spikeinterface_cloud.errors import SettingsError

#: a name alone, which python-dotenv and docker take for a variable that is not set here
NAME = re.compile(r"[\w.-]+")


#: variables that mean one thing together, so that either the environment or the file gives them
TOGETHER = (
    frozenset(
        {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        | {"AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"}
    ),
    frozenset({"AWS_REGION", "AWS_DEFAULT_REGION"}),
)


def load_env_file(path: Path) -> dict[str, str]:
    """Add the file's variables to the environment, which takes precedence; return those added.

    An empty variable of the environment counts as unset.
    """
    if not (path.is_file() or path.is_fifo()):
        return {}
    text = _checked_text(path)
    given = {name for name, value in os.environ.items() if value.strip()}
    in_file = dotenv.dotenv_values(stream=io.StringIO(text)).keys() - given
    for name in in_file:
        os.environ.pop(name, None)
    dotenv.load_dotenv(stream=io.StringIO(text))
    overridden = {name for group in TOGETHER if group & given for name in group}
    added = {name: os.environ[name] for name in in_file if os.environ.get(name, "").strip()}
    for name in in_file - (added.keys() - overridden):
        os.environ.pop(name, None)
    return {name: value for name, value in added.items() if name not in overridden}


def _checked_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); check it") from error
    if "\0" in text:  # UTF-16 without its mark
        raise SettingsError(f"{path} is not UTF-8; save it as UTF-8")
    if problems := [f"{path}: {problem}" for problem in _unread_lines(text)]:
        raise SettingsError("\n".join(problems))
    return text


def _unread_lines(text: str) -> Iterator[str]:
    """Yield a line for each unreadable line, without its content, which may be secret."""
    for binding in parse_stream(io.StringIO(text)):
        named = binding.key is None or NAME.fullmatch(binding.key)
        if binding.error or not named:
            yield (
                f"line {_line(binding)} cannot be read; write NAME=value, and JSON in single "
                "quotes: NAME='{\"name\": 1}'"
            )


def _line(binding: Binding) -> int:
    """Return the line number; python-dotenv counts empty lines before it to the binding."""
    written = binding.original.string
    before = written[: len(written) - len(written.lstrip())]
    return binding.original.line + before.count("\n")
