"""The recordings of a CSV file: a column a variable, a row a recording."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from spikeinterface_cloud.aws.inputs.recording_list import ListedRecording, Listing
from spikeinterface_cloud.aws.inputs.secrets import is_secret
from spikeinterface_cloud.config.conflicts import SYNONYMS
from spikeinterface_cloud.config.manifest import MANIFEST_URL
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.config.settings import variable_names
from spikeinterface_cloud.errors import SettingsError

#: what spreadsheets put between columns, the most usual first
DELIMITERS = ",;\t"

#: what a row may name its results by, the strongest first
NAMING = ("RUN_IDENTIFIER", "AWS_S3_BUCKET_FOLDER", "DANDISET_S3_FILE_URL", "SOURCE_FOLDER")


def csv_recordings(file: Path) -> Listing:
    """Return the recordings of `file`, whose first row names variables; empty cells are unset.

    A row's results are named by its RUN_IDENTIFIER, or else by its source. Where it has a target
    of its own, they go there.

    Raises SettingsError (with every bad column and row at once, by line).
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--csv: {file} cannot be read ({error}); save it as UTF-8") from error
    header, *_ = text.splitlines() or [""]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip().upper() for name in next(reader, [])]
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise SettingsError(f"--csv: {file}, line {reader.line_num}: {error}") from error
    problems = [*_bad_columns(columns), *_long_rows(columns, rows)]
    if not rows:
        problems.append("there is no row below the names of the columns")
    if problems:
        raise SettingsError("\n".join(f"--csv: {file}: {problem}" for problem in problems))
    return Listing(
        title=file.stem,
        recordings=tuple(_recording(number, columns, row) for number, row in rows),
    )


def _bad_columns(columns: list[str]) -> Iterator[str]:
    known = [*variable_names(), *SYNONYMS]
    for name in dict.fromkeys(columns):
        if columns.count(name) > 1:
            yield f"{columns.count(name)} columns {name or 'without a name'}; keep one"
        elif name not in known:
            hint = nearest(name, known) or "; the README lists them"
            yield f"column {name or 'without a name'} is no variable{hint}"
        elif is_secret(name):
            yield (
                f"column {name}: secrets do not travel with jobs; give the job definition a role, "
                "or a secret of AWS Secrets Manager"
            )
        elif name == MANIFEST_URL:
            yield f"column {name}: the list is made from this file; leave the column out"


def _long_rows(columns: list[str], rows: Iterable[tuple[int, list[str]]]) -> Iterator[str]:
    for number, row in rows:
        if any(cell.strip() for cell in row[len(columns) :]):
            yield (
                f"line {number} has {len(row)} cells for {len(columns)} columns; put a value with "
                'commas in quotes, and write "" for each quote inside'
            )


def _recording(number: int, columns: list[str], row: list[str]) -> ListedRecording:
    cells = zip(columns, row, strict=False)
    variables = {SYNONYMS.get(name, name): text.strip() for name, text in cells if text.strip()}
    return ListedRecording(
        label=f"line {number}",
        name=_name(variables) or f"line-{number}",
        variables=variables,
    )


def _name(variables: Mapping[str, str]) -> str:
    """Return the row's name for its results, as a path of folders."""
    given = next((variables[name] for name in NAMING if name in variables), "")
    _, _, path = given.rpartition("://")
    parts = [part for part in path.removesuffix(".nwb").split("/") if part not in ("", ".", "..")]
    return "/".join(parts)
