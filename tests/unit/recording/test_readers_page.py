"""docs/reference/readers.md has a row for each reader, with the right state."""

import re
from pathlib import Path

from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.recording.formats.hdf5 import CODECS
from spikeinterface_cloud.recording.formats.packages import check_packages
from spikeinterface_cloud.recording.formats.readers import reader_names

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "readers.md").read_text()

STATES = ("truth", "untried", "refused")


def rows() -> dict[str, list[str]]:
    """Return the cells of each row, by its DATA_TYPE."""
    table = re.search(r"<!-- readers:.*?-->\n(.*?)\n<!-- /readers -->", PAGE, re.DOTALL)
    assert table is not None, "docs/reference/readers.md lost its marks around the table"
    cells = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in table[1].splitlines()[2:]
    ]
    return {row[0].strip("`"): row for row in cells}


def test_every_reader_has_a_row_and_every_row_a_reader() -> None:
    assert sorted(rows()) == reader_names()
    assert {len(row) for row in rows().values()} == {7}


def test_every_row_has_a_state() -> None:
    for name, row in rows().items():
        assert row[-1].startswith(STATES), name


def test_refused_readers_are_those_with_missing_packages() -> None:
    refused = {name for name, row in rows().items() if row[-1].startswith("refused")}
    assert refused == {name for name in reader_names() if is_refused(name)}


def test_the_codecs_are_those_of_the_image() -> None:
    assert ", ".join(CODECS[:-1]).replace("bshuf", "bitshuffle") in PAGE.replace("\n  ", " ")


def is_refused(name: str) -> bool:
    try:
        check_packages(name)
    except UnavailableError:
        return True
    return False
