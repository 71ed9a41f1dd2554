"""Which options that list recordings go together: asked at every submission, so it needs little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

#: the options that list recordings, each by its parameter, with the options that go with it alone
LISTS = {"dandiset": "glob", "source_prefix": "match", "csv": None}


def check_list_options(given: Mapping[str, Any]) -> None:
    """Refuse options that do not go together. Raises click.UsageError (2)."""
    lists = [name for name in LISTS if given[name]]
    if len(lists) > 1:
        raise click.UsageError(f"{_options(lists)}: give one list of recordings.")
    if lists and given["source"]:
        raise click.UsageError(f"{_option(lists[0])} lists the sources; leave --source out.")
    for name, companion in LISTS.items():
        if companion and given[companion] and not given[name]:
            raise click.UsageError(f"{_option(companion)} goes with {_option(name)}.")
    if given["skip_completed"] and not lists:
        raise click.UsageError(
            "--skip-completed goes with a list of recordings; --skip-existing is for one."
        )


def names_list(given: Mapping[str, Any]) -> bool:
    """Whether the options name a list of recordings."""
    return any(given[name] for name in LISTS)


def _options(names: list[str]) -> str:
    return " and ".join(map(_option, names))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
