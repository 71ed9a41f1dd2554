"""Contradictions between variables, by their text alone."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from spikeinterface_cloud.config.aws import (
    find_aws_problems,
    find_dandi_problems,
    find_dandiset_problems,
)
from spikeinterface_cloud.config.locations import parse_s3
from spikeinterface_cloud.config.parsing import is_true
from spikeinterface_cloud.config.sources import (
    TRIGGERS,
    find_joined_problems,
    texts_of,
)

#: other names of the same variables
SYNONYMS = {
    "SOURCE_AWS_S3_BUCKET": "AWS_S3_BUCKET",
    "SOURCE_AWS_S3_BUCKET_FOLDER": "AWS_S3_BUCKET_FOLDER",
}

#: the variables that name a source, each by itself
SOURCES = ("AWS_S3_BUCKET", "DANDISET_S3_FILE_URL", "SOURCE_FOLDER", "TEST_WITH_TOY_RECORDING")

#: the message if none of them is given
NO_SOURCE = f"no source given; set one of {', '.join(SOURCES)}"

#: those whose format only DATA_TYPE gives
NEED_DATA_TYPE = ("AWS_S3_BUCKET", "SOURCE_FOLDER")

#: the folders of the job's own machine, and how to name one on S3 instead
FOLDERS = {
    "SOURCE_FOLDER": "give AWS_S3_BUCKET and AWS_S3_BUCKET_FOLDER",
    "RESULTS_FOLDER": "give TARGET_AWS_S3_BUCKET and TARGET_AWS_S3_BUCKET_FOLDER",
    "SCRATCH_FOLDER": "give a folder on the job's own disk",
}

#: what one variable cannot say of all streams of a session, and what to do instead
NOT_IN_SESSIONS = {
    "PROBE_FILE": "would place the channels of every stream on this one probe; leave it out, or "
    "sort the streams that have no probe by jobs of their own",
    "TARGET_DANDISET": "each stream of STREAMS would be uploaded as the whole session; leave it "
    "out, and upload session/units.nwb of the results with `dandi upload`",
}

#: what a path never begins with
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

#: the variables that each of these overrides: another source, or a folder of another bucket
VOIDS = {
    **dict.fromkeys(SOURCES, frozenset({*SOURCES, "AWS_S3_BUCKET_FOLDER"})),
    "AWS_S3_BUCKET_FOLDER": frozenset(SOURCES) - {"AWS_S3_BUCKET"},
    "TARGET_AWS_S3_BUCKET": frozenset({"TARGET_AWS_S3_BUCKET_FOLDER"}),
}


def merge_environments(weaker: Mapping[str, str], stronger: Mapping[str, str]) -> dict[str, str]:
    """Merge two sets of variables; a source in the stronger set replaces that of the weaker.

    >>> merge_environments({"SOURCE_FOLDER": "/data", "N_JOBS": "2"}, {"AWS_S3_BUCKET": "lab"})
    {'N_JOBS': '2', 'AWS_S3_BUCKET': 'lab'}
    >>> merge_environments({"AWS_S3_BUCKET": "lab"}, {"AWS_S3_BUCKET_FOLDER": "raw/day1"})
    {'AWS_S3_BUCKET': 'lab', 'AWS_S3_BUCKET_FOLDER': 'raw/day1'}
    """
    stronger = {name: text for name, text in stronger.items() if text.strip()}
    given = {SYNONYMS.get(name, name) for name in stronger}
    void = given.union(*(VOIDS.get(name, frozenset()) for name in given))
    kept = {name: text for name, text in weaker.items() if SYNONYMS.get(name, name) not in void}
    return kept | stronger


def find_ambiguous_synonyms(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield synonyms of one variable with different values."""
    for synonym, name in SYNONYMS.items():
        values = {environ[key] for key in (synonym, name) if environ.get(key, "").strip()}
        if len(values) > 1:
            yield f"{synonym}: differs from {name}, its synonym; set only one of them"


def find_contradictions(given: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each contradiction between variables."""
    sources = [name for name in SOURCES if name in given]
    if "TEST_WITH_TOY_RECORDING" in sources and not is_true(given, "TEST_WITH_TOY_RECORDING"):
        sources.remove("TEST_WITH_TOY_RECORDING")
    if len(sources) > 1:
        yield f"{sources[0]}: also {' and '.join(sources[1:])}; give one source only"
    elif not sources and "AWS_S3_BUCKET_FOLDER" not in given:
        yield NO_SOURCE
    elif sources and sources[0] in NEED_DATA_TYPE and "DATA_TYPE" not in given:
        yield "DATA_TYPE: missing; name the SpikeInterface reader, like spikeglx or nwb"
    for folder, bucket in (
        ("AWS_S3_BUCKET_FOLDER", "AWS_S3_BUCKET"),
        ("TARGET_AWS_S3_BUCKET_FOLDER", "TARGET_AWS_S3_BUCKET"),
    ):
        if folder in given and bucket not in given:
            yield f"{folder}: given without {bucket}; name the bucket as well"
    yield from find_aws_problems(given)
    yield from find_dandi_problems(given)
    yield from find_dandiset_problems(given)
    if "PROBE_FILE" in given:
        yield from _no_probe(given["PROBE_FILE"], *sources[:1])
    if "TEST_SUB_RECORDING_N_FRAMES" in given and "TEST_WITH_SUB_RECORDING" not in given:
        yield (
            "TEST_SUB_RECORDING_N_FRAMES: has no effect alone, and the whole recording would be "
            "sorted; set TEST_WITH_SUB_RECORDING=true as well"
        )
    if given.get("ARCHIVE", "").lower() == "zarr" and is_true(given, "TEST_WITH_SUB_RECORDING"):
        yield (
            "ARCHIVE: the first frames are no archive of the recording; leave "
            "TEST_WITH_SUB_RECORDING or ARCHIVE out"
        )
    sources_here = texts_of(given.get("SOURCE_FOLDER", ""))
    if any(_lies_within(given.get("RESULTS_FOLDER"), folder) for folder in sources_here):
        yield (
            f"RESULTS_FOLDER: {given['RESULTS_FOLDER']} is in the source itself, which results "
            "must not be mixed with; name another folder"
        )
    yield from find_joined_problems(given)
    yield from _no_session(given)
    yield from _folders_elsewhere(given)
    yield from _unparsable_locations(given)


def _no_probe(probe: str, source: str | None = None) -> Iterator[str]:
    if source == "TEST_WITH_TOY_RECORDING":
        yield "PROBE_FILE: a simulated recording has a probe of its own; leave it out"
    elif source == "DANDISET_S3_FILE_URL" and not probe.startswith("s3://"):
        yield (
            f"PROBE_FILE: {probe} is no path inside the source, as an asset of DANDI is NWB alone; "
            "put the probe on S3 and give its s3:// URL"
        )
    elif URL.match(probe) and not _is_object(probe):
        yield (
            f"PROBE_FILE: {probe} is neither a path inside the source nor an object on S3; write "
            "s3://bucket/probe.json"
        )
    elif probe.startswith("s3://"):
        yield from _no_location("PROBE_FILE", probe, None)


def _no_session(given: Mapping[str, str]) -> Iterator[str]:
    """Yield what the streams of a session cannot have."""
    for name in ("STREAMS", "CLOCK"):
        if name in given and is_true(given, "TEST_WITH_TOY_RECORDING"):
            yield f"{name}: a simulated recording is one stream, without a sync line; leave it out"
    has_clock = bool({"STREAMS", "CLOCK"} & {*given})
    if "CLOCK_LINE" in given and not has_clock:
        yield "CLOCK_LINE: has no effect alone; name the reference stream as CLOCK, like nidq"
    if "EVENTS" in given and not (has_clock or TRIGGERS.search(given.get("PREPROCESSING", ""))):
        yield (
            "EVENTS: has no effect alone; name the streams of the session as STREAMS, the "
            "reference stream as CLOCK, or a line as triggers of remove_artifacts in PREPROCESSING"
        )
    if "STREAMS" not in given:
        return
    for name, why in NOT_IN_SESSIONS.items():
        if name in given:
            yield f"{name}: {why}"


def _is_object(url: str) -> bool:
    _, _, key = url.removeprefix("s3://").partition("/")
    return url.startswith("s3://") and bool(key.strip("/"))


def _lies_within(inner: str | None, outer: str | None) -> bool:
    if not inner or not outer:
        return False
    # unlike Path.resolve, this takes circular links, which the check of the source refuses
    return Path(os.path.realpath(inner)).is_relative_to(os.path.realpath(outer))


def _folders_elsewhere(given: Mapping[str, str]) -> Iterator[str]:
    """Yield folders that are not on the job's own machine."""
    folders = [(name, text) for name in FOLDERS for text in texts_of(given.get(name, ""))]
    for name, text in folders:
        if text.startswith("s3://"):
            yield f"{name}: {text} is on S3; {FOLDERS[name]}"
        elif URL.match(text):
            yield f"{name}: {text} is no folder; give the path of one on the job's own machine"
        elif text == "~" or text.startswith("~/"):
            yield f"{name}: {text} is a shell's short form; write the full path, like /home/me/data"


def _unparsable_locations(given: Mapping[str, str]) -> Iterator[str]:
    for name in ("AWS_S3_BUCKET", "TARGET_AWS_S3_BUCKET"):
        if name in given:
            folder = given.get(f"{name}_FOLDER", "")
            for each in texts_of(folder) if name == "AWS_S3_BUCKET" else [folder]:
                yield from _no_location(name, given[name], each)


def _no_location(name: str, bucket: str, folder: str | None) -> Iterator[str]:
    try:
        parse_s3(bucket, folder)
    except ValueError as error:
        yield f"{name}: {error}"
