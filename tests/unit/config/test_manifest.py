"""The list of an array job, as it is written and as each child reads it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeinterface_cloud.config.manifest import (
    line_index,
    manifest_bytes,
    manifest_name,
    select_line,
)
from spikeinterface_cloud.config.settings import JobSettings, variable_names
from spikeinterface_cloud.errors import SettingsError

JOB_ID = "6dd4a2b0-6b1c-4f0e-9c3e-1b5e6f7a8b9c"
TWO = manifest_bytes([{"RUN_IDENTIFIER": "a"}, {"RUN_IDENTIFIER": "b"}])

#: no variable is blank or has a zero in it
printable = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
).filter(str.strip)

#: what a folder on S3 may be called
folders = (
    st.lists(
        st.text(
            st.characters(exclude_characters="/'\"", exclude_categories=["Cs", "Cc"]), min_size=1
        )
        .filter(lambda part: part not in (".", ".."))
        .filter(str.strip),
        min_size=1,
        max_size=3,
    )
    .map("/".join)
    .filter(lambda folder: folder == folder.strip())
)

variables = st.dictionaries(
    st.sampled_from([name for name in variable_names() if name != "MANIFEST_URL"]),
    st.text(),
)


@given(st.lists(variables, min_size=1, max_size=20))
def test_child_reads_variables_of_its_line(lines: list[dict[str, str]]) -> None:
    data = manifest_bytes(lines)
    read = [
        select_line(data, {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)}) for index in range(len(lines))
    ]
    assert read == lines


@given(
    st.builds(
        JobSettings,
        aws_s3_bucket=st.just("lab-data"),
        aws_s3_bucket_folder=folders,
        data_type=st.just("spikeglx"),
        sorters=st.just(("simple", "kilosort4")),
        sorters_kwargs=st.just({"kilosort4": {"note": "it's \n \u2028 \u00b5V"}}),
        run_identifier=printable,
        n_jobs=st.none() | st.integers(1, 64),
    )
)
def test_manifest_line_restores_settings(settings: JobSettings) -> None:
    line = select_line(manifest_bytes([settings.to_env()]), {})
    assert JobSettings.from_env(line) == settings


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "0"}, "a"),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "1", "AWS_BATCH_JOB_ID": f"{JOB_ID}:1"}, "b"),
        ({"AWS_BATCH_JOB_ID": f"{JOB_ID}:1"}, "b"),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "", "AWS_BATCH_JOB_ID": f"{JOB_ID}:0"}, "a"),
    ],
)
def test_child_index_comes_from_variable_or_job_id(environ: dict[str, str], name: str) -> None:
    assert select_line(TWO, environ) == {"RUN_IDENTIFIER": name}


@pytest.mark.parametrize("environ", [{}, {"AWS_BATCH_JOB_ID": JOB_ID}])
def test_single_job_reads_one_line_manifest(environ: dict[str, str]) -> None:
    assert select_line(manifest_bytes([{"SORTERS": "simple"}]), environ) == {"SORTERS": "simple"}


def test_single_job_has_no_index() -> None:
    assert line_index({"AWS_BATCH_JOB_ID": JOB_ID}) is None


def test_manifest_may_have_synonyms_of_variables() -> None:
    line = {"SOURCE_AWS_S3_BUCKET": "lab-data"}
    assert select_line(manifest_bytes([line]), {}) == line


def test_handwritten_manifest_is_read() -> None:
    by_hand = '\ufeff{"SORTERS": "simple"}\r\n{"SORTERS": "kilosort4"}\r\n\r\n'.encode()
    assert select_line(by_hand, {"AWS_BATCH_JOB_ARRAY_INDEX": "1"}) == {"SORTERS": "kilosort4"}


@pytest.mark.parametrize(
    ("data", "environ", "message"),
    [
        (b"", {}, "the list is empty; write a line for each job"),
        (b"\n\n", {}, "the list is empty"),
        (b"\xff\xfe\x00", {}, "not a list of jobs, as it is no text"),
        (b"SORTERS=simple", {}, "line 1 is not JSON"),
        (TWO, {}, "has 2 lines, and the job has no array index; submit it as an array job"),
        (TWO, {"AWS_BATCH_JOB_ARRAY_INDEX": "2"}, "has 2 lines, and this is child 2 of the array"),
        (TWO, {"AWS_BATCH_JOB_ARRAY_INDEX": "-1"}, "'-1' is no line's number"),
        (TWO, {"AWS_BATCH_JOB_ARRAY_INDEX": "first"}, "'first' is no line's number"),
        (b'["SORTERS"]', {}, "line 1 is not an object"),
        (
            b'{"SORTERS": "kilosort4", "SORTERS": "simple"}',
            {},
            'line 1 names "SORTERS" more than once; name it once',
        ),
        (b'{"N_JOBS": 4}', {}, 'line 1: N_JOBS is not text; write {"N_JOBS": "4"}'),
        (b'{"MANIFEST_URL": "s3://lab/a.jsonl"}', {}, "line 1 names another list; leave"),
        (
            b'{"SORTERS": "simple", "PROBE": "s3://lab/probe.json"}',
            {},
            'line 1: "PROBE" is not a variable of this program; did you mean PROBE_FILE?',
        ),
        (b'{"a\\nb": "1"}', {}, 'line 1: "a\\nb" is not a variable of this program; leave it out'),
        (
            b'{"N_JOBS": "1"}\n\n{"N_JOBS": "3"}',
            {"AWS_BATCH_JOB_ARRAY_INDEX": "1"},
            "line 2 is not JSON",
        ),
    ],
)
def test_invalid_manifest_is_refused_in_one_line(
    data: bytes, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as refusal:
        select_line(data, environ)
    assert "\n" not in str(refusal.value)


def test_manifest_name_depends_on_its_content() -> None:
    again = manifest_bytes([{"RUN_IDENTIFIER": "a"}, {"RUN_IDENTIFIER": "b"}])
    other = manifest_bytes([{"RUN_IDENTIFIER": "b"}, {"RUN_IDENTIFIER": "a"}])
    assert manifest_name(again) == manifest_name(TWO)
    assert manifest_name(other) != manifest_name(TWO)
