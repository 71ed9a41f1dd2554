"""Completion by the shell: commands, options of the default command too, values and files."""

from __future__ import annotations

import pytest
from click.shell_completion import BashComplete

from spikeinterface_cloud.aws.program_name import COMMAND
from submit_job import program


def completions(*words: str) -> list[str]:
    """What the shell offers for the last word."""
    shell = BashComplete(program, {}, COMMAND, "_SPIKEINTERFACE_CLOUD_COMPLETE")
    return [item.value or item.type for item in shell.get_completions([*words[:-1]], words[-1])]


def test_first_word_is_a_command() -> None:
    assert completions("") == sorted(
        name for name, one in program.commands.items() if not one.hidden
    )


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("st",), ["status"]),
        (("--vers",), ["--version"]),
        (("--so",), ["--source", "--sorters", "--sorters-kwargs", "--source-prefix"]),
        (("--source", "s3://lab/m1", "--data"), ["--data-type"]),
        (("--compute", ""), ["spot", "on-demand", "cpu"]),
        (("--env-file", ""), ["file"]),
        (("--csv", ""), ["file"]),
        (("infra", ""), ["build", "down", "status", "up"]),
        (("infra", "up", "--ta"), ["--tag"]),
        (("results", "--download", ""), ["dir"]),
        (("status", "--js"), ["--json"]),
    ],
    ids=" ".join,
)
def test_word_is_completed(words: tuple[str, ...], offered: list[str]) -> None:
    assert completions(*words) == offered


def test_option_that_both_have_is_offered_once() -> None:
    offered = completions("--")
    assert "--help" in offered
    assert len(offered) == len({*offered})
