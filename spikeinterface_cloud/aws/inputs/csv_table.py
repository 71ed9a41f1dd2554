"""The recordings of a CSV file: a column a variable, a row a recording."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from spikeinterface_cloud.aws.inputs.recording_list import ListedRecording, Listing, located
from spikeinterface_cloud.aws.inputs.secrets import is_secret
from spikeinterface_cloud.config.conflicts import SOURCES, SYNONYMS
from spikeinterface_cloud.config.manifest import MANIFEST_URL
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.config.settings import variable_names
from spikeinterface_cloud.config.sources import texts_of
from spikeinterface_cloud.errors import SettingsError

#: what spreadsheets put between columns, the most usual first
DELIMITERS = ",;\t"

#: the columns that a row's results may be named by, the first choice first
NAMING = ("RUN_IDENTIFIER", "AWS_S3_BUCKET_FOLDER", "DANDISET_S3_FILE_URL", "SOURCE_FOLDER")

#: the columns that say which recording a row is of
SOURCE_COLUMNS = frozenset({*SOURCES, "AWS_S3_BUCKET_FOLDER"})


def csv_recordings(file: Path) -> Listing:
    """Return the recordings of `file`, whose first row names variables; empty cells are unset.

    A row's results are named by its RUN_IDENTIFIER, or else by its source; if it has a target of
    its own, they go there. SettingsError names every bad column and row at once.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--csv: {file} cannot be read ({error}); save it as UTF-8") from error
    lines = list(io.StringIO(text, newline=""))  # as csv has them: not split at U+2028
    delimiter = max(DELIMITERS, key="".join(lines[:1]).count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = [name.strip().upper() for name in next(reader, [])]
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise SettingsError(f"--csv: {file}, line {reader.line_num}: {error}") from error
    rows = [(number, row) for number, row in rows if any(row)]
    problems = [*_column_problems(columns), *_long_rows(columns, rows), *_sourceless(columns, rows)]
    if not rows:
        problems.append("there is no row below the column names")
    if problems:
        raise SettingsError("\n".join(f"--csv: {file}: {problem}" for problem in problems))
    return Listing(
        title=file.stem,
        recordings=tuple(_recording(number, columns, row) for number, row in rows),
    )


def _column_problems(columns: list[str]) -> Iterator[str]:
    known = [*variable_names(), *SYNONYMS]
    for name in dict.fromkeys(columns):
        if columns.count(name) > 1:
            yield f"{columns.count(name)} columns {name or 'without a name'}; keep one"
        elif name not in known:
            hint = nearest(name, known) or "; docs/reference/settings.md lists them"
            yield f"column {name or 'without a name'} is not a variable{hint}"
        elif is_secret(name):
            yield (
                f"column {name}: secrets are not sent with jobs; give the job definition a role, "
                "or a secret of AWS Secrets Manager"
            )
        elif name == "DANDI_INSTANCE_URL":
            yield (
                f"column {name}: names the server that gets DANDI_API_KEY, which no list may; "
                "set it in the environment"
            )
        elif name == MANIFEST_URL:
            yield f"column {name}: the list is made from this file; leave the column out"


def _long_rows(columns: list[str], rows: Iterable[tuple[int, list[str]]]) -> Iterator[str]:
    for number, row in rows:
        if any(row[len(columns) :]):
            yield (
                f"line {number} has {len(row)} cells for {len(columns)} columns; put a value with "
                'commas in quotes, and write "" for each quote inside'
            )


def _sourceless(columns: list[str], rows: Iterable[tuple[int, list[str]]]) -> Iterator[str]:
    """Yield the rows that name no recording, unless no column does.

    Else each would sort the recording, or the whole bucket, that the environment names.
    """
    names = [SYNONYMS.get(name, name) for name in columns]
    sources = [name for name in dict.fromkeys(names) if name in SOURCE_COLUMNS]
    problems: dict[str, list[str]] = {}
    for number, row in rows if sources else ():
        given = {name: text for name, text in zip(names, row, strict=False) if text}
        own = SOURCE_COLUMNS & given.keys()
        if not own:
            problem = f"names no recording; fill in {' or '.join(sources)}, or delete the row"
        elif (
            own == {"AWS_S3_BUCKET"}
            and "AWS_S3_BUCKET_FOLDER" in sources
            and "/" not in given["AWS_S3_BUCKET"].removeprefix("s3://").strip("/")
        ):
            problem = (
                "names a bucket without a folder; fill in AWS_S3_BUCKET_FOLDER, or delete the row"
            )
        else:
            continue
        problems.setdefault(problem, []).append(f"line {number}")
    yield from located(problems, 0)


def _recording(number: int, columns: list[str], row: list[str]) -> ListedRecording:
    cells = zip(columns, row, strict=False)
    variables = {SYNONYMS.get(name, name): text for name, text in cells if text}
    source = next(filter(None, map(variables.get, NAMING)), "")
    name = _result_name(next(iter(texts_of(source)), ""))
    return ListedRecording(
        label=f"line {number}", name=name or f"line-{number}", variables=variables
    )


def _result_name(source: str) -> str:
    """Return the path of a source, as a path of folders for its results."""
    path = (
        source.rpartition("://")[2].removesuffix("/").removesuffix(".nwb.zarr").removesuffix(".nwb")
    )
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))
