"""Recordings listed in a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikeinterface_cloud.aws.inputs.csv_table import csv_recordings
from spikeinterface_cloud.aws.inputs.recording_list import jobs_of
from spikeinterface_cloud.errors import SettingsError

pytestmark = pytest.mark.integration


def test_csv_columns_become_variables(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(
        "aws_s3_bucket,AWS_S3_BUCKET_FOLDER,DATA_TYPE,SORTERS_KWARGS,RUN_IDENTIFIER\n"
        'lab,raw/day1,spikeglx,"{""kilosort4"": {""do_CAR"": false}}",\n'
        "\n"
        "lab,raw/day2/a.nwb,nwb,,second look\n",
        encoding="utf-8-sig",
    )
    listed = csv_recordings(file)
    assert listed.title == "jobs"
    assert [(each.label, each.name) for each in listed.recordings] == [
        ("line 2", "raw/day1"),
        ("line 4", "second look"),
    ]
    assert json.loads(listed.recordings[0].variables["SORTERS_KWARGS"]) == {
        "kilosort4": {"do_CAR": False}
    }
    assert "SORTERS_KWARGS" not in listed.recordings[1].variables


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_with_semicolons_is_read(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(f"DANDISET_S3_FILE_URL{delimiter}SORTERS\n000003{delimiter}simple,lupin\n")
    [row] = csv_recordings(file).recordings
    assert row.variables == {"DANDISET_S3_FILE_URL": "000003", "SORTERS": "simple,lupin"}


def test_all_bad_columns_and_rows_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    names = "SORTER,N_JOBS,N_JOBS,DANDI_API_KEY,DANDI_INSTANCE_URL,MANIFEST_URL"
    file.write_text(f"{names}\na,1,1,k,u,m\na,1,1,k,u,m,more\n")
    with pytest.raises(SettingsError) as refusal:
        csv_recordings(file)
    problems = [line.partition("jobs.csv: ")[2] for line in str(refusal.value).splitlines()]
    assert [problem.partition(";")[0] for problem in problems] == [
        "column SORTER is not a variable",
        "2 columns N_JOBS",
        "column DANDI_API_KEY: secrets are not sent with jobs",
        "column DANDI_INSTANCE_URL: names the server that gets DANDI_API_KEY, which no list may",
        "column MANIFEST_URL: the list is made from this file",
        "line 3 has 7 cells for 6 columns",
    ]
    assert "did you mean SORTERS?" in problems[0]


def test_bad_values_are_reported_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(
        "AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER,DATA_TYPE,N_JOBS\n"
        "lab,raw/a,spikeglx,2\n"
        "lab,raw/b,spikeglx,few\n"
        "Lab,raw/c,spikeglx,\n"
        "lab,raw/d,,few\n"
    )
    common = {"SORTERS": "simple", "TARGET_AWS_S3_BUCKET": "lab-results"}
    with pytest.raises(SettingsError) as refusal:
        jobs_of(csv_recordings(file), common)
    told = [line.split(": ")[:2] for line in str(refusal.value).splitlines()]
    assert [(rows, variable) for rows, variable in told] == [
        ("line 3, line 5", "N_JOBS"),
        ("line 4", "AWS_S3_BUCKET"),
        ("line 5", "DATA_TYPE"),
    ]


def test_csv_row_may_set_its_own_target(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(
        "DANDISET_S3_FILE_URL,TARGET_AWS_S3_BUCKET,TARGET_AWS_S3_BUCKET_FOLDER\n"
        "dandi://dandi/000003/a.nwb,,\n"
        "dandi://dandi/000003/b.nwb,,mine\n"
        "dandi://dandi/000003/c.nwb,other-results,\n"
    )
    common = {
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": "lab-results",
        "TARGET_AWS_S3_BUCKET_FOLDER": "all",
    }
    assert [str(job.target) for job in jobs_of(csv_recordings(file), common)] == [
        "s3://lab-results/all/dandi/000003/a",
        "s3://lab-results/mine",
        "s3://other-results/",
    ]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("RUN_IDENTIFIER,AWS_S3_BUCKET_FOLDER\nm1,raw/m1\nm2,\n", "names no recording"),
        ("RUN_IDENTIFIER,AWS_S3_BUCKET_FOLDER\nm1,raw/m1\n# failed,\n", "names no recording"),
        ("RUN_IDENTIFIER,DANDISET_S3_FILE_URL\nm1,000003\nm2\n", "names no recording"),
        ("RUN_IDENTIFIER,SOURCE_AWS_S3_BUCKET\nm1,lab\nm2,\n", "names no recording"),
        (
            "AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER\nlab,raw/m1\nlab,\n",
            "names a bucket without a folder",
        ),
    ],
)
def test_row_without_a_recording_takes_no_other(tmp_path: Path, table: str, problem: str) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(table)
    with pytest.raises(SettingsError, match=f"jobs.csv: line 3: {problem};"):
        csv_recordings(file)


def test_rows_without_a_recording_are_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text("RUN_IDENTIFIER,AWS_S3_BUCKET_FOLDER\na,raw/a\n" + "b,\n" * 120)
    with pytest.raises(SettingsError) as refusal:
        csv_recordings(file)
    [told] = str(refusal.value).splitlines()
    assert "line 3, line 4, " in told
    assert "line 102 and 20 more: names no recording" in told


@pytest.mark.parametrize(
    "table",
    [
        "AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER\nlab,raw/m1\ns3://lab/raw/m2,\n",
        "AWS_S3_BUCKET,DATA_TYPE\nlab,spikeglx\nlab2,spikeglx\n",
        "AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER,DANDISET_S3_FILE_URL\nlab,m1,\n,,000003\n",
        "RUN_IDENTIFIER,SORTERS\nm1,simple\nm2,lupin\n",
    ],
)
def test_rows_that_name_their_recordings_are_accepted(tmp_path: Path, table: str) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(table)
    assert len(csv_recordings(file).recordings) == 2


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_line_ends_end_a_row(tmp_path: Path, character: str) -> None:
    file = tmp_path / "jobs.csv"
    text = f"RUN_IDENTIFIER,AWS_S3_BUCKET_FOLDER\r\nm1{character}x,raw/m1\r\nm2,raw/m2\r\n"
    file.write_bytes(text.encode())
    rows = csv_recordings(file).recordings
    assert [row.variables["RUN_IDENTIFIER"] for row in rows] == [f"m1{character}x", "m2"]
    assert [row.label for row in rows] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"", "there is no row below"),
        (b"SORTERS\n", "there is no row below"),
        (b'SORTERS\n"simple\n', "line 2: unexpected end of data"),
    ],
)
def test_unreadable_csv_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "jobs.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        csv_recordings(file)
