"""The README says what the program does: its table of settings is the program's own."""

import re
from pathlib import Path

from spikeinterface_cloud import errors
from spikeinterface_cloud.settings import settings_table

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_table_of_settings_is_the_program_s_own() -> None:
    shown = re.search(r"<!-- settings:.*?-->\n(.*?)\n<!-- /settings -->", README, re.DOTALL)
    assert shown is not None, "the README lost its marks around the table of settings"
    assert shown[1] == settings_table(), "write settings_table() of settings.py into the README"


def test_every_exit_code_is_explained() -> None:
    explained = exit_codes("## Exit codes")
    raised = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and hasattr(error, "exit_code")
    }
    assert explained == raised | {0, 1}


def test_the_exit_codes_of_the_submission_are_explained() -> None:
    assert exit_codes("- **No record, no success.**") == {0, 1, 2, 66, 69, 75, 78, 130}


def exit_codes(start: str) -> set[int]:
    """The codes in the first table after `start`."""
    table = README.partition(f"\n{start}")[2].partition("\n| ")[2].partition("\n\n")[0]
    return {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}


def test_the_first_screen_shows_the_two_commands() -> None:
    first_screen = README.splitlines()[:20]
    assert any(line.startswith("make demo") for line in first_screen)
    assert any(line.startswith("make test") for line in first_screen)
