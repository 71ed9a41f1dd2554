"""The README says what the program does: its table of settings is the program's own."""

import ast
import re
from pathlib import Path

import pytest

from spikeinterface_cloud import errors
from spikeinterface_cloud.config.settings import settings_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_table_of_settings_is_the_program_s_own() -> None:
    shown = re.search(r"<!-- settings:.*?-->\n(.*?)\n<!-- /settings -->", README, re.DOTALL)
    assert shown is not None, "the README lost its marks around the table of settings"
    assert shown[1] == settings_table(), "write settings_table() of settings.py into the README"


def test_every_exit_code_is_explained() -> None:
    rows = [
        f"| {code} | {known.meaning} | {known.remedy} |".replace("|  |", "| |")
        for code, known in errors.EXIT_CODES.items()
    ]
    assert "\n".join(rows) in README, "write EXIT_CODES of errors.py into the README"
    raised = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and hasattr(error, "exit_code")
    }
    assert errors.EXIT_CODES.keys() == raised | {0, 1}


def test_the_exit_codes_of_the_submission_are_explained() -> None:
    assert exit_codes("- **No record, no success.**") == {0, 1, 2, 66, 69, 75, 77, 78, 130}


def exit_codes(start: str) -> set[int]:
    """The codes in the first table after `start`."""
    table = README.partition(f"\n{start}")[2].partition("\n| ")[2].partition("\n\n")[0]
    return {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}


def promises() -> list[tuple[str, str]]:
    """Each row of the table of promises: what is promised, and the tests that show it."""
    table = re.search(r"<!-- promises -->\n(.*?)\n<!-- /promises -->", README, re.DOTALL)
    assert table is not None, "the README lost its marks around the table of promises"
    rows = [row.strip("| ").split(" | ") for row in table[1].splitlines()[2:]]
    assert all(len(row) == 2 for row in rows)
    return [(promise, shown) for promise, shown in rows]


@pytest.mark.parametrize(("promise", "shown"), promises())
def test_each_promise_names_tests_that_are_there(promise: str, shown: str) -> None:
    tests = re.findall(r"`([^`]+)`", shown)
    assert tests, promise
    for test in tests:
        file, _, name = test.partition("::")
        source = ast.parse((ROOT / file).read_text())
        functions = [node.name for node in source.body if isinstance(node, ast.FunctionDef)]
        assert name in functions, promise
        assert name.startswith("test_"), promise


def test_a_finding_that_the_audit_passes_over_has_its_reason() -> None:
    for line in (ROOT / "requirements" / "audit-findings.txt").read_text().splitlines():
        assert not line or re.fullmatch(r"#.*|\S+ +# \S+: \S.{20,}", line), line


def test_the_first_screen_shows_the_two_commands() -> None:
    first_screen = README.splitlines()[:20]
    assert any(line.startswith("make demo") for line in first_screen)
    assert any(line.startswith("make test") for line in first_screen)
