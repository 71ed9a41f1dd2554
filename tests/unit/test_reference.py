"""The reference pages: their tables are the program's own, and complete."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikeinterface_cloud import errors
from spikeinterface_cloud.errors import COMMAND_EXIT_CODES, EXIT_CODES, CloudJobError
from spikeinterface_cloud.results import layout
from spikeinterface_cloud.results.layout import CONTENTS, is_comparison, is_managed, is_own_folder
from tools.rooms_picture import rooms_picture
from tools.write_reference import FOLDER, PAGES, PART, PICTURE, commands, renew

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_what_the_generator_writes(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert renew(text, PAGES[name]) == text, "run `make reference`"


def test_picture_of_the_rooms_shows_the_imports() -> None:
    assert rooms_picture() == PICTURE.read_text(encoding="utf-8"), "run `make reference`"


def test_generated_part_that_was_edited_is_written_again() -> None:
    page = "# A\n<!-- generated: a, from b -->\nedited\n<!-- /generated -->\nby hand\n"
    assert renew(page, {"a": lambda: "new"}) == page.replace("edited", "new")
    with pytest.raises(ValueError, match="one part is needed of each: b"):
        renew(page, {"a": lambda: "new", "b": lambda: "missing"})


def test_every_generated_part_has_its_writer() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        parts = {match[2] for match in PART.finditer(page.read_text(encoding="utf-8"))}
        assert parts == (PAGES.get(page.name, {}).keys() if page.parent == FOLDER else set())


# ----- command line ------------------------------------------------------------------------------


def test_every_command_has_a_meaning_of_one_short_sentence() -> None:
    rows = commands().splitlines()[2:]
    assert len(rows) >= 11
    for row in rows:
        meaning = row.strip("| ").split(" | ")[1]
        assert re.fullmatch(r"[A-Z][^.]{10,90}\.", meaning), row


# ----- exit codes --------------------------------------------------------------------------------


def test_every_exit_code_of_the_container_is_explained() -> None:
    raised = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and hasattr(error, "exit_code")
    }
    assert EXIT_CODES.keys() == raised | {0, 1}


def subclasses(of: type[CloudJobError]) -> Iterator[type[CloudJobError]]:
    for each in of.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_exit_code_of_the_command_line_is_explained() -> None:
    for file in (ROOT / "spikeinterface_cloud" / "aws").rglob("*.py"):
        importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    raised = {
        each.exit_code
        for each in subclasses(CloudJobError)
        if each.__module__.startswith("spikeinterface_cloud.aws") and "exit_code" in vars(each)
    }
    assert {1, 2, 77} <= raised <= COMMAND_EXIT_CODES.keys()


# ----- results -----------------------------------------------------------------------------------


def test_every_file_of_the_results_is_described_and_no_other() -> None:
    described = {path.removeprefix("<sorter>/") for path in CONTENTS if path.startswith("<sorter>")}
    for path in described - {layout.COMPLETED}:
        name = path.rstrip("/")
        assert is_own_folder(name) if path.endswith("/") else is_managed(name), path
    assert {*layout.OWN_FILES, *(f"{name}/" for name in layout.OWN_FOLDERS)} <= described
    for path in CONTENTS:
        if path.startswith(f"{layout.COMPARISON}/"):
            name = path.removeprefix(f"{layout.COMPARISON}/")
            assert is_comparison(f"{name}x" if name.endswith("/") else name), path
