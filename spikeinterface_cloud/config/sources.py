"""The source of a job: one recording, or several of one probe that are joined.

A variable that names a source takes one text, or a JSON list of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BeforeValidator

from spikeinterface_cloud.config.locations import (
    JoinedRecordings,
    LocalFolder,
    Location,
    SimulatedRecording,
    Source,
    mask_signatures,
    parse_dandi,
    parse_s3,
)
from spikeinterface_cloud.config.parsing import load_json

#: the variables that may list several recordings
LISTS = ("AWS_S3_BUCKET_FOLDER", "DANDISET_S3_FILE_URL", "SOURCE_FOLDER")

T = TypeVar("T")

#: how a list begins; a name on S3 may begin with a bracket, too
LIST = re.compile(r"\s*\[\s*[\"'\]]")

#: of the step remove_artifacts: the name of a line
TRIGGERS = re.compile(r'"triggers"\s*:')

#: what a job of joined recordings cannot have, and what to do instead
NOT_JOINED = {
    "TARGET_DANDISET": "takes the units of one session; leave it out, and upload the NWB file of "
    "each recording from the results",
    "STREAMS": "takes one session; leave it out, and name the stream of the probe in "
    "READ_RECORDING_KWARGS",
    "ARCHIVE": "holds one; leave it out, and archive each recording by a job of its own",
    "CLOCK": "is the clock of one session; leave it out, as each recording keeps its own times",
}


def parse_list(value: T) -> T | str | list[str]:
    """Read a JSON list of texts; any other text is one, and so is a list of one.

    >>> parse_list('["raw/run1", "raw/run2"]'), parse_list("raw/run1"), parse_list('["raw/run1"]')
    (['raw/run1', 'raw/run2'], 'raw/run1', 'raw/run1')
    """
    if not isinstance(value, str) or not LIST.match(value):
        return value
    texts: list[str] = load_json(value)
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(
            f'{value!r} is not a list of recordings; write it like ["raw/run1", "raw/run2"]'
        )
    return texts[0] if len(texts) == 1 else texts


def texts_of(value: str) -> list[str]:
    """Return the texts of a list, or the one text; of a malformed list, which is refused, none.

    >>> texts_of('["raw/run1", "raw/run2"]'), texts_of("raw/run1")
    (['raw/run1', 'raw/run2'], ['raw/run1'])
    """
    try:
        texts = parse_list(value)
    except ValueError:
        return []
    return texts if isinstance(texts, list) else [texts]


def parse_source(
    bucket: str | None,
    folder: str | Sequence[str] | None,
    dandi: str | Sequence[str] | None,
    local: Path | Sequence[Path] | None,
) -> Source:
    """Return the source that the variables name; ValueError if one of them is no location."""
    if bucket is not None:
        locations: list[Location] = [parse_s3(bucket, each) for each in _listed(folder)]
    elif dandi is not None:
        locations = [parse_dandi(each) for each in _listed(dandi) if each]
    elif local is not None:
        folders = [local] if isinstance(local, Path) else local
        locations = [LocalFolder(path=each) for each in folders]
    else:
        return SimulatedRecording()
    return JoinedRecordings(locations=tuple(locations)) if len(locations) > 1 else locations[0]


def _listed(value: str | Sequence[str] | None) -> Sequence[str | None]:
    return [value] if value is None or isinstance(value, str) else value


def find_joined_problems(given: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with a job of several recordings."""
    listed = next((name for name in LISTS if len(texts_of(given.get(name, ""))) > 1), None)
    if listed is None:
        return
    if twice := _listed_twice(given[listed]):
        yield f"{listed}: lists {mask_signatures(twice)} twice; name each recording once"
    for name, why in NOT_JOINED.items():
        if given.get(name, "none").lower() != "none":
            yield f"{name}: several recordings are joined, and this {why}"
    if TRIGGERS.search(given.get("PREPROCESSING", "")):
        yield (
            "PREPROCESSING: several recordings are joined, and triggers are the pulses of one; "
            "give the frames of each segment in list_triggers of remove_artifacts"
        )


def _listed_twice(value: str) -> str | None:
    """Return the first text that names the same as one before it."""
    seen = set()
    for text in texts_of(value):
        name = text.strip().removeprefix("/").removesuffix("/")
        if name in seen:
            return text
        seen.add(name)
    return None


#: one text, or several
Texts = Annotated[str | list[str] | None, BeforeValidator(parse_list)]
Paths = Annotated[Path | list[Path] | None, BeforeValidator(parse_list)]
