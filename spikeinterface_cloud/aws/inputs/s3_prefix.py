"""The recordings below a prefix on S3: the folders, or the objects, that match a pattern."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.inputs.recording_list import ListedRecording, Listing
from spikeinterface_cloud.aws.inputs.s3_urls import as_s3_url
from spikeinterface_cloud.aws.inputs.source_check import archive_warnings
from spikeinterface_cloud.config.locations import S3Location, is_path, parse_s3
from spikeinterface_cloud.errors import SettingsError, SourceError

if TYPE_CHECKING:
    from spikeinterface_cloud.storage.s3 import S3Objects
    from spikeinterface_cloud.storage.stored_object import StoredObject

#: every folder
DEFAULT_PATTERN = "*/"

#: how many names beside the pattern an error shows
SHOWN = 3


def prefix_recordings(
    storage: S3Objects, prefix: str, pattern: str | None, target: S3Location | None
) -> Listing:
    """Return the recordings below `prefix`, whose names there name their results.

    One listing of all objects gives names and sizes together, 1,000 objects a request.

    The pattern is of names below it, level by level: `*/` for every folder, `day*/*_g0/` for
    folders in folders, `*.nwb` for objects. A folder that holds the target is no recording, nor is
    what has a name that no path can have, as below a doubled slash.
    """
    try:
        folder = parse_s3(as_s3_url("--source-prefix", prefix), None)
    except ValueError as error:
        raise SettingsError(f"--source-prefix: {error}") from error
    pattern = (pattern or DEFAULT_PATTERN).lstrip("/")
    found, others = _find(storage, folder, pattern)
    sizes = {name: sum(each.size_bytes for each in objects) for name, objects in found.items()}
    unusual = [name for name in sizes if not is_path(name)]
    for name in unusual:
        del sizes[name]
    results = [name for name in sizes if target and target.is_within(folder.child(name))]
    for name in results:
        del sizes[name]
    left_out = [
        f"left out {found[name][0].location}, as no path of files can have such a name; rename it"
        for name in unusual
    ]
    if not sizes:
        beside = f"; there is {', '.join(sorted(others)[:SHOWN])}" if others else ""
        why = left_out[0] if left_out else "check --match"
        raise SourceError(f"{folder} holds nothing that matches {pattern}{beside}; {why}")
    return Listing(
        title=folder.key.rpartition("/")[2] or folder.bucket,
        recordings=tuple(
            ListedRecording(
                label=name,
                name=name,
                variables={
                    "AWS_S3_BUCKET": folder.bucket,
                    "AWS_S3_BUCKET_FOLDER": folder.child(name).key,
                },
                size_bytes=size_bytes,
            )
            for name, size_bytes in sizes.items()
        ),
        notes=(
            *(f"left out {name}, where the results go" for name in results),
            *left_out,
            *archive_warnings(each for name in sizes for each in found[name]),
        ),
    )


def _find(
    storage: S3Objects, folder: S3Location, pattern: str
) -> tuple[dict[str, list[StoredObject]], set[str]]:
    """Return the objects of each match, and some names of the first level that do not match."""
    levels = pattern.rstrip("/").split("/")
    found: dict[str, list[StoredObject]] = {}
    others: set[str] = set()
    for path, stored in storage.objects_below(folder, _literal_start(pattern)).items():
        parts = path.split("/")
        matches = len(parts) >= len(levels) and all(map(fnmatchcase, parts, levels))
        is_inside = len(parts) > len(levels)
        if matches and is_inside == pattern.endswith("/"):
            name = "/".join(parts[: len(levels)])
            found.setdefault(name, []).append(stored)
        elif len(others) < SHOWN:
            others.add(parts[0] + "/" * (len(parts) > 1))
    return found, others


def _literal_start(pattern: str) -> str:
    """Return the literal beginning of the pattern: only names that begin so have to be listed.

    >>> _literal_start("mouse-7/day*/")
    'mouse-7/day'
    """
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0]
