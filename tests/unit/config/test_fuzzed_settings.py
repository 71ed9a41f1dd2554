"""Settings, locations, keys and lists of jobs that nobody thought of.

The cases are the same in every run, so that what passes here passes elsewhere.
"""

# ruff: noqa: PT017  a case may be refused or taken, which pytest.raises cannot say

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeinterface_cloud.array_job import manifest_entry
from spikeinterface_cloud.config.locations import DandiAsset, DandiBlob, parse_dandi, parse_s3
from spikeinterface_cloud.config.manifest import (
    ARRAY_INDEX,
    JOB_ID,
    line_index,
    manifest_bytes,
    select_line,
)
from spikeinterface_cloud.config.settings import AwsSettings, JobSettings, variable_names
from spikeinterface_cloud.errors import SettingsError, SourceError
from spikeinterface_cloud.storage.remote_file import file_name

FUZZED = settings(
    derandomize=True, max_examples=150, deadline=None, suppress_health_check=list(HealthCheck)
)

#: of the cases; a parser that refuses everything would pass otherwise. The cases are the same in
#: every run, but others with each new variable: about a tenth of them is accepted
ACCEPTED_SHARE = 0.05


def fuzzed(
    *strategies: st.SearchStrategy[Any], examples: list[tuple[Any, ...]] | None = None
) -> Callable[[Callable[..., bool]], Callable[[], None]]:
    """Turn a check, which returns whether its case was accepted, into a test over many cases."""

    def decorate(check: Callable[..., bool]) -> Callable[[], None]:
        def test() -> None:
            accepted: list[bool] = []

            @FUZZED
            @given(st.tuples(*strategies))
            def run(case: tuple[Any, ...]) -> None:
                accepted.append(check(*case))

            for case in examples or []:
                check(*case)
            run()
            assert sum(accepted) >= ACCEPTED_SHARE * len(accepted) > 0

        return test

    return decorate


#: what an environment can hold: no NUL
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)

#: the same with bytes that are not UTF-8, which Python hands on as halves of surrogate pairs
BYTES = st.binary(max_size=12).map(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)

DEEP = "[" * 5_000
HUGE = "9" * 5_000

#: texts that parsers stumble over
NASTY = st.sampled_from(
    [
        *(DEEP, "{" * 5_000, '{"a":' * 3_000, HUGE, f"-{HUGE}", f"[{HUGE}]", "1e999", "-0"),
        *('{"a": 1e999}', '{"simple": {"a": NaN}}', '{"a": "\\ud800"}', "null", "[]", "{}", '""'),
        *('[{"name": 1}]', '{"": {}}', "true", "0", "TRUE ", "٣", "1_000", "0x10", " ", "\t\n"),
        *("s3://", "s3:///", "s3://a", "https://[", "http://[::1", "http://a:b@c:99999/", "//"),
        *("dandi://", "dandi://x/y@z/..", "https://dandiarchive.s3.amazonaws.com/blobs/..", "%ff"),
        *("../..", "/", "~", "a" * 5_000, "\ufeff", "\u202e", "a\u0000b", "a\nb", "a\\b", "C:"),
        *("000000", "DANDI:000006", "(" * 3_000, "-" * 3_000 + "1", "'" * 999, '"\\'),
        *("s3://lab/x?X-Amz-Signature=1", "file:///etc/passwd", "http://169.254.169.254/latest"),
    ]
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)

VALUES = (
    TEXT
    | BYTES
    | NASTY
    | JSON.map(json.dumps)
    | st.sampled_from(["nwb", "simple", "lab-data", "1"])
)

NAMES = st.sampled_from(
    [*variable_names(), "SOURCE_AWS_S3_BUCKET", "SOURCE_AWS_S3_BUCKET_FOLDER", "SORTER", "PATH"]
)

VARIABLES = st.dictionaries(NAMES | TEXT, VALUES, max_size=8)

#: makes most mappings get as far as the checks of what only shows together
BASE = {"SORTERS": "simple", "SOURCE_FOLDER": "/data", "DATA_TYPE": "nwb"}


@fuzzed(VARIABLES, st.booleans())
def test_variables_are_accepted_or_refused_by_a_settings_error(
    variables: dict[str, str], complete: bool
) -> bool:
    try:
        accepted = JobSettings.from_env({**BASE, **variables} if complete else variables)
    except SettingsError as error:
        assert error.exit_code == 78
        assert str(error).strip()
        return False
    assert JobSettings.from_env(accepted.to_env() | secrets_of(accepted)) == accepted
    json.dumps(accepted.masked())
    return True


@fuzzed(NAMES, NASTY)
def test_nasty_value_is_accepted_or_refused_in_short_lines(name: str, value: str) -> bool:
    try:
        JobSettings.from_env({**BASE, name: value})
    except SettingsError as error:
        for line in str(error).splitlines():
            assert len(line) < 25_000, name
        return False
    return True


@fuzzed(VARIABLES)
def test_credentials_alone_are_accepted_or_refused(variables: dict[str, str]) -> bool:
    try:
        AwsSettings.from_env(variables)
    except SettingsError as error:
        assert error.exit_code == 78
        return False
    return True


def secrets_of(accepted: JobSettings) -> dict[str, str]:
    """What `to_env` leaves out, as it is given to a job by other ways."""
    return {
        name.upper(): value.get_secret_value()
        for name in type(accepted).model_fields
        if hasattr(value := getattr(accepted, name), "get_secret_value")
    }


WORD = st.text("abcdefgh0123_", min_size=1, max_size=8)
FOLDER = st.lists(WORD, min_size=1, max_size=3).map("/".join)
PARAMETERS = st.dictionaries(TEXT.filter(bool), JSON, max_size=3)


@st.composite
def valid_settings(draw: st.DrawFn) -> JobSettings:
    """Settings with any of the fields that a job may have."""
    sorters = tuple(draw(st.lists(WORD, min_size=1, max_size=3, unique=True)))
    fields: dict[str, Any] = {
        "sorters": sorters,
        "data_type": "nwb",
        "read_recording_kwargs": draw(PARAMETERS),
        "sorters_kwargs": {draw(st.sampled_from(sorters)): draw(PARAMETERS)},
        "preprocessing": draw(
            st.sampled_from(["default", "none"])
            | st.dictionaries(WORD, PARAMETERS, min_size=1, max_size=2)
            | st.lists(st.fixed_dictionaries({"name": WORD, "params": PARAMETERS}), min_size=1)
        ),
        "exports": tuple(draw(st.lists(st.sampled_from(["nwb", "phy"]), unique=True))),
    }
    fields |= draw(
        st.sampled_from(
            [
                {"aws_s3_bucket": "lab-data", "aws_s3_bucket_folder": "raw/day 1"},
                {"aws_s3_bucket": "lab", "aws_s3_bucket_folder": ["raw/a, b", "raw/day 2"]},
                {"source_folder": Path("/data/session")},
                {"source_folder": [Path("/data/run 1"), Path("/data/run 2")]},
                {"dandiset_s3_file_url": "dandi://dandi/000006@draft/sub-1/a.nwb"},
                {"test_with_toy_recording": True},
            ]
        )
    )
    optional: dict[str, st.SearchStrategy[Any]] = {
        "probe_file": FOLDER,
        "n_jobs": st.integers(min_value=1),
        "run_identifier": TEXT.filter(str.strip),
        "results_folder": FOLDER.map(lambda text: Path("/results") / text),
        "scratch_folder": FOLDER.map(lambda text: Path("/scratch") / text),
        "aws_region_name": st.sampled_from(["eu-central-1", "auto", "RegionOne"]),
        "aws_endpoint_url": WORD.map(lambda word: f"http://{word}:9000"),
    }
    if "dandiset_s3_file_url" in fields:  # one file, beside which there is no probe
        optional["probe_file"] = FOLDER.map(lambda text: f"s3://lab-data/{text}")
    elif "test_with_toy_recording" in fields:
        del optional["probe_file"]
    for name, strategy in optional.items():
        if draw(st.booleans()):
            fields[name] = draw(strategy)
    if draw(st.booleans()):
        fields |= {"target_aws_s3_bucket": "lab-results", "target_aws_s3_bucket_folder": "out"}
    if draw(st.booleans()):
        frames = draw(st.integers(min_value=1, max_value=10**12))
        fields |= {"test_with_sub_recording": True, "test_sub_recording_n_frames": frames}
    return JobSettings.model_validate(fields)


@FUZZED
@given(valid_settings())
def test_settings_round_trip_through_environment(given_settings: JobSettings) -> None:
    written = given_settings.to_env()
    assert all(isinstance(text, str) for text in written.values())
    assert JobSettings.from_env(written) == given_settings


@FUZZED
@given(st.lists(valid_settings(), min_size=1, max_size=4), st.data())
def test_settings_round_trip_through_manifest(jobs: list[JobSettings], data: st.DataObject) -> None:
    written = manifest_bytes([job.to_env() for job in jobs])
    index = data.draw(st.integers(0, len(jobs) - 1))
    assert JobSettings.from_env(select_line(written, {ARRAY_INDEX: str(index)})) == jobs[index]


CONTENTS = (
    st.binary(max_size=60)
    | (VALUES | JSON.map(json.dumps)).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | valid_settings().map(lambda job: manifest_bytes([job.to_env()]))
)
ARRAY_CHILD = st.dictionaries(
    st.sampled_from([ARRAY_INDEX, JOB_ID]), TEXT | st.sampled_from(["0", HUGE])
)


@fuzzed(
    CONTENTS,
    ARRAY_CHILD,
    examples=[
        (DEEP.encode(), {}),
        (b'{"SORTERS": ' + HUGE.encode() + b"}", {}),
        (b"{}\n{}", {ARRAY_INDEX: HUGE}),
        (b'{"SORTERS": "\\ud800"}', {}),
    ],
)
def test_manifest_is_accepted_or_refused(content: bytes, environ: dict[str, str]) -> bool:
    for read in (
        lambda: line_index(environ),
        lambda: manifest_entry({**environ, "MANIFEST_URL": "s3://lab/list.jsonl"}),
    ):
        with contextlib.suppress(SettingsError):
            read()
    try:
        select_line(content, environ)
    except SettingsError as error:
        assert "\n" not in str(error)
        return False
    return True


ASSET_URLS = FOLDER.map(lambda path: f"dandi://dandi/000006@draft/{path}") | st.uuids().map(
    lambda name: (
        f"https://dandiarchive.s3.amazonaws.com/blobs/{str(name)[:3]}/{str(name)[3:6]}/{name}"
    )
)


@fuzzed(VALUES | ASSET_URLS)
def test_dandi_url_is_parsed_or_raises_value_error(url: str) -> bool:
    try:
        assert isinstance(parse_dandi(url), DandiBlob | DandiAsset)
    except ValueError as error:
        assert str(error)
        return False
    return True


@fuzzed(VALUES | st.sampled_from(["lab-data", "s3://lab-data/raw"]), st.none() | VALUES)
def test_s3_location_is_parsed_or_raises_value_error(bucket: str, folder: str | None) -> bool:
    try:
        location = parse_s3(bucket, folder)
    except ValueError as error:
        assert str(error)
        return False
    assert not location.key.startswith("/")
    assert not location.key.endswith("/")
    assert parse_s3(location.bucket, location.key or None) == location
    return True


#: what can be in a key, and what names of files must not have
KEYS = st.lists(
    st.sampled_from(["..", ".", "", "/", "\\", "a", "C:", "\0", "é", "🧠", " ", "a" * 241, "~"])
    | TEXT
).map("/".join)


@fuzzed(
    KEYS,
    examples=[
        ("../escape",),
        ("/etc/passwd",),
        ("a/../../b",),
        ("..\\escape",),
        ("C:/windows",),
        ("a\0b",),
    ],
)
def test_key_names_file_inside_folder_or_is_refused(key: str) -> bool:
    folder = PurePosixPath("/scratch/source")
    try:
        name = file_name(key, f"s3://lab/{key}")
    except SourceError as error:
        assert error.exit_code == 66
        return False
    assert not name.is_absolute()
    assert ".." not in name.parts
    assert (folder / name).is_relative_to(folder)
    assert "\\" not in key
    assert "\0" not in key
    assert str(name) == key
    return True


@pytest.mark.parametrize("name", variable_names())
def test_huge_or_deep_values_cause_no_bug(name: str) -> None:
    for value in (DEEP, HUGE, f'{{"a": {DEEP}'):
        with contextlib.suppress(SettingsError):
            JobSettings.from_env({**BASE, name: value})
