"""The list of an array job: JSON Lines on S3, a line for each recording.

A line holds the variables of one job, all of them text: what `JobSettings.to_env` writes. The
array's child number n runs line n. A list of one line serves a single job as well, whose settings
are too long for the request that submits it.

The laptop writes it and the container reads it, so this module needs neither boto3 nor
SpikeInterface.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from spikeinterface_cloud.config.conflicts import SYNONYMS
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.parsing import RepeatedNameError, nearest, unique_names
from spikeinterface_cloud.config.settings import variable_names
from spikeinterface_cloud.errors import SettingsError

#: where, below the target, the lists are kept
FOLDER = "manifests"

CONTENT_TYPE = "application/x-ndjson"

#: digits of the number of a line, and some to spare
LONGEST_INDEX = 20

#: the variable that names the list; no line may name another one
MANIFEST_URL = "MANIFEST_URL"

#: set by AWS Batch in a child of an array job
ARRAY_INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"
JOB_ID = "AWS_BATCH_JOB_ID"


def manifest_bytes(lines: Sequence[Mapping[str, str]]) -> bytes:
    r"""Write the manifest; the same jobs in the same order give the same bytes.

    >>> manifest_bytes([{"SORTERS": "simple"}])
    b'{"SORTERS":"simple"}\n'
    """
    written = (json.dumps(dict(line), sort_keys=True, separators=(",", ":")) for line in lines)
    return "".join(f"{line}\n" for line in written).encode("ascii")


def manifest_name(data: bytes) -> str:
    """Return the name of the manifest, which depends on its content only."""
    return f"{hashlib.sha256(data).hexdigest()[:32]}.jsonl"


def manifest_location(target: S3Location, data: bytes) -> S3Location:
    """Return the location of the manifest below `target`."""
    return target.child(FOLDER).child(manifest_name(data))


def select_line(data: bytes, environ: Mapping[str, str]) -> dict[str, str]:
    """Read the variables of this job's line."""
    try:
        lines = data.decode("utf-8-sig").rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{MANIFEST_URL}: not a list of jobs, as it is no text ({error}); "
            "write JSON Lines, an object of variables a line"
        ) from error
    if lines == [""]:
        raise SettingsError(f"{MANIFEST_URL}: the list is empty; write a line for each job")
    index = line_index(environ)
    if index is None and len(lines) > 1:
        raise SettingsError(
            f"{MANIFEST_URL}: the list has {len(lines)} lines, and the job has no array "
            f"index; submit it as an array job, or set {ARRAY_INDEX}"
        )
    if index is not None and index >= len(lines):
        raise SettingsError(
            f"{MANIFEST_URL}: the list has {len(lines)} lines, and this is child {index} of the "
            f"array, counted from 0; submit an array of {len(lines)}"
        )
    number = (index or 0) + 1
    return _read_line(lines[number - 1], number)


def line_index(environ: Mapping[str, str]) -> int | None:
    """Return the index of this array child, counted from 0; None for a single job.

    The identifier of a child ends with the same number, and stands in where the number is missing,
    as on servers that only resemble AWS.

    >>> line_index({"AWS_BATCH_JOB_ID": "6dd4a2b0-6b1c-4f0e-9c3e-1b5e6f7a8b9c:41"})
    41
    """
    given = environ.get(ARRAY_INDEX, "").strip()
    if not given:
        _, _, given = environ.get(JOB_ID, "").strip().partition(":")
    if not given:
        return None
    if not given.isascii() or not given.isdigit():
        raise SettingsError(
            f"{ARRAY_INDEX}: {given!r} is no line's number; give a whole number, counted from 0"
        )
    if len(given) > LONGEST_INDEX:
        raise SettingsError(
            f"{ARRAY_INDEX}: a number of {len(given)} digits is no line's; arrays have at most "
            "10,000 children"
        )
    return int(given)


def _read_line(line: str, number: int) -> dict[str, str]:
    """Return the variables of line `number`, counted from 1."""
    place = f"{MANIFEST_URL}: line {number}"
    try:
        variables = json.loads(line, object_pairs_hook=unique_names)
    except RepeatedNameError as error:
        raise SettingsError(f"{place} {error}") from error
    except ValueError as error:
        raise SettingsError(
            f"{place} is not JSON ({error}); write an object of variables on each line"
        ) from error
    except RecursionError as error:
        raise SettingsError(
            f"{place} is nested too deeply; write an object of variables, all of them text"
        ) from error
    if not isinstance(variables, dict):
        raise SettingsError(
            f'{place} is not an object; write {{"SORTERS": "kilosort4", ...}} on each line'
        )
    known = [*variable_names(), *SYNONYMS]
    for name, text in variables.items():
        if name not in known:
            raise SettingsError(
                f"{place}: {json.dumps(name)} is not a variable of this program"
                f"{nearest(name, known) or '; leave it out'}"
            )
        if not isinstance(text, str):
            raise SettingsError(
                f"{place}: {name} is not text; write "
                f"{json.dumps({name: json.dumps(text)})}, as in an environment"
            )
    if MANIFEST_URL in variables:
        raise SettingsError(f"{place} names another list; leave {MANIFEST_URL} out of it")
    return variables
