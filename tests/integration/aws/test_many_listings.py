"""Recordings listed from where they are: a dandiset, a prefix on S3, a table, and earlier runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

from spikeinterface_cloud.aws.batch.completed import find_unfinished
from spikeinterface_cloud.aws.inputs.csv_table import csv_recordings
from spikeinterface_cloud.aws.inputs.dandiset import dandiset_recordings
from spikeinterface_cloud.aws.inputs.recording_list import ListedRecording, Listing, jobs_of
from spikeinterface_cloud.aws.inputs.s3_prefix import prefix_recordings
from spikeinterface_cloud.aws_errors import AwsError
from spikeinterface_cloud.config.locations import S3Location, parse_dandi
from spikeinterface_cloud.config.settings import DandiAccess
from spikeinterface_cloud.dandi.assets import resolve
from spikeinterface_cloud.dandi.upload import find_draft, upload
from spikeinterface_cloud.errors import SettingsError, SourceError
from spikeinterface_cloud.storage.s3 import S3Objects
from tests.support.dandi_stand_in import OWNER_KEY, STRANGER_KEY, DandiStandIn
from tests.support.fault_proxy import FaultProxy, Request
from tests.support.servers import S3Server, access_to, client_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]

#: a target that is no part of what is listed
ELSEWHERE = S3Location(bucket="lab-results")


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[DandiStandIn]:
    """An archive with two sessions and a video in a draft, one of them published."""
    with DandiStandIn() as running:
        for name, size_bytes in (("sub-1/sub-1_ecephys.nwb", 100), ("sub-2/sub-2_ecephys.nwb", 7)):
            file = tmp_path / Path(name).name
            file.write_bytes(bytes(size_bytes))
            running.add_asset("000003", name, file)
        running.add_asset("000003", "sub-1/sub-1_ecephys.nwb", file, version="0.230629.1955")
        running.add_asset("000003", "sub-1/sub-1_behavior.nwb", file)
        video = tmp_path / "sub-1_ecephys.mp4"
        video.write_bytes(b"video")
        running.add_asset("000003", "sub-1/sub-1_ecephys.mp4", video)
        yield running


def dandiset(archive: DandiStandIn, version: str = "draft") -> str:
    return f"{archive.api_url}/dandisets/000003/versions/{version}/"


def test_a_dandiset_is_listed_by_pattern(archive: DandiStandIn) -> None:
    found = dandiset_recordings(dandiset(archive), "sub-*/*_ecephys.nwb", archive.access())
    assert found.title == "dandiset-000003"
    assert [(each.label, each.name, each.size_bytes) for each in found.recordings] == [
        ("sub-1/sub-1_ecephys.nwb", "sub-1/sub-1_ecephys", 100),
        ("sub-2/sub-2_ecephys.nwb", "sub-2/sub-2_ecephys", 7),
    ]
    assert found.notes == ()


def test_listing_without_pattern_has_all_nwb_files(archive: DandiStandIn) -> None:
    assert len(dandiset_recordings(dandiset(archive), None, archive.access()).recordings) == 3
    found = dandiset_recordings(dandiset(archive), "sub-1/*", archive.access())
    assert len(found.recordings) == 2
    assert found.notes == ("left out files other than NWB: 1, like sub-1/sub-1_ecephys.mp4",)


def test_zarrs_that_are_nwb_are_listed_beside_files(archive: DandiStandIn, tmp_path: Path) -> None:
    folder = tmp_path / "zarr"
    folder.mkdir()
    (folder / ".zgroup").write_bytes(bytes(12))
    for path in ("sub-1/sub-1_ecephys.nwb.zarr", "sub-3/sub-3_ecephys.nwb.zarr", "image.ome.zarr"):
        archive.add_zarr("000003", path, folder)

    every = dandiset_recordings(dandiset(archive), None, archive.access())
    found = dandiset_recordings(dandiset(archive), "*.zarr", archive.access())

    assert [(each.label, each.name) for each in every.recordings] == [
        ("sub-1/sub-1_behavior.nwb", "sub-1/sub-1_behavior"),
        ("sub-1/sub-1_ecephys.nwb", "sub-1/sub-1_ecephys"),
        ("sub-1/sub-1_ecephys.nwb.zarr", "sub-1/sub-1_ecephys.nwb"),
        ("sub-2/sub-2_ecephys.nwb", "sub-2/sub-2_ecephys"),
        ("sub-3/sub-3_ecephys.nwb.zarr", "sub-3/sub-3_ecephys"),
    ]
    assert [each.size_bytes for each in found.recordings] == [12, 12]
    assert found.notes == ("left out files other than NWB: 1, like image.ome.zarr",)


def test_units_of_earlier_jobs_are_not_listed_as_recordings(
    archive: DandiStandIn, tmp_path: Path
) -> None:
    nwbfile = NWBFile(
        session_description="units",
        identifier="units",
        session_start_time=datetime(2024, 5, 1, 10, tzinfo=UTC),
        session_id="day1",
        subject=Subject(subject_id="1", species="Mus musculus", sex="F", age="P90D"),
    )
    nwbfile.add_unit(spike_times=[0.5, 1.5])
    with NWBHDF5IO(str(tmp_path / "units.nwb"), "w") as io:
        io.write(nwbfile)
    before = dandiset_recordings(dandiset(archive), None, archive.access())
    path = "sub-1/sub-1_ses-day1_desc-simple_ecephys.nwb"
    draft = find_draft(dandiset(archive), archive.access(OWNER_KEY))
    upload(draft, tmp_path / "units.nwb", path, "job", overwrite=False)
    after = dandiset_recordings(dandiset(archive), None, archive.access())
    assert after.recordings == before.recordings
    assert after.notes == (*before.notes, f"left out NWB files without a recording: 1, like {path}")
    with pytest.raises(SourceError, match=rf"with a recording \(but {path}\); check --glob"):
        dandiset_recordings(dandiset(archive), "*_desc-simple_*", archive.access())


def test_listed_addresses_resolve_in_the_container(archive: DandiStandIn) -> None:
    found = dandiset_recordings(dandiset(archive, "0.230629.1955"), None, archive.access())
    [recording] = found.recordings
    asset = parse_dandi(recording.variables["DANDISET_S3_FILE_URL"])
    file = resolve(asset, archive.access())  # type: ignore[arg-type]
    assert (file.path, file.version, file.size_bytes) == (
        "sub-1/sub-1_ecephys.nwb",
        "0.230629.1955",
        7,
    )


def test_thousands_of_files_are_listed_in_a_few_requests(
    archive: DandiStandIn, tmp_path: Path
) -> None:
    file = tmp_path / "a.nwb"
    file.write_bytes(b"nwb")
    for index in range(2_500):
        archive.add_asset("000004", f"sub-{index}/sub-{index}.nwb", file)
    found = dandiset_recordings(f"{archive.api_url}/dandisets/000004/", None, archive.access())
    assert len(found.recordings) == 2_500
    assert len(archive.requests) <= 8


def test_an_embargoed_dandiset_is_listed_with_the_owner_s_key(
    archive: DandiStandIn, tmp_path: Path
) -> None:
    file = tmp_path / "a.nwb"
    file.write_bytes(b"nwb")
    archive.add_asset("000009", "sub-1/sub-1.nwb", file, embargoed=True)
    url = f"{archive.api_url}/dandisets/000009/versions/draft/"
    with pytest.raises(SourceError, match="is embargoed: set DANDI_API_KEY"):
        dandiset_recordings(url, None, archive.access())
    with pytest.raises(SourceError, match="may not be read by the owner of DANDI_API_KEY"):
        dandiset_recordings(url, None, archive.access(STRANGER_KEY))
    found = dandiset_recordings(url, None, archive.access(OWNER_KEY))
    assert len(found.recordings) == 1
    assert "need DANDI_API_KEY as a secret of the job definition" in found.notes[0]


@pytest.mark.parametrize(
    ("suffix", "pattern", "error", "message"),
    [
        (
            "dandisets/000003/",
            "*.nope",
            SourceError,
            r"\*.nope with a recording; check --glob",
        ),
        (
            "dandisets/000003/versions/draft/",
            "*.mp4",
            SourceError,
            r"\(but sub-1/sub-1_ecephys.mp4\)",
        ),
        ("dandisets/000099/", None, SourceError, "is not in the archive"),
        ("dandisets/000003/versions/0.999999.9999/", None, SourceError, "is not in the archive"),
        (
            "dandisets/000003/versions/draft/assets/?path=sub-1",
            None,
            SettingsError,
            "names a file, not a dandiset; give it as --source",
        ),
    ],
)
def test_unlistable_dandiset_is_refused(
    archive: DandiStandIn, suffix: str, pattern: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as refusal:
        dandiset_recordings(f"{archive.api_url}/{suffix}", pattern, archive.access())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["banana", "3", "000003@latest", "s3://lab/raw"])
def test_invalid_dandiset_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="does not name a dandiset; write 000003, 000003@"):
        dandiset_recordings(name, None, DandiAccess())


def test_dandi_client_is_optional() -> None:
    program = """
import sys
import spikeinterface_cloud.aws.inputs.dandiset as listing
print("dandi" in sys.modules)
sys.modules["dandi"] = sys.modules["requests"] = None  # as where they are not installed
try:
    listing.dandiset_recordings("000003", None, None)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    imported, refusal = done.stdout.splitlines()
    assert imported == "False"
    assert refusal.startswith("UnavailableError listing a dandiset needs DANDI's client")
    assert refusal.endswith("run `pip install dandi`")


@pytest.fixture
def raw(moto_s3: S3Server, bucket: str) -> str:
    """A bucket with SpikeGLX runs at two depths, an NWB file, and what a console leaves behind."""
    for key, size_bytes in {
        "raw/": 0,
        "raw/day1/": 0,
        "raw/day1/run_g0/run_g0_t0.imec0.ap.bin": 100,
        "raw/day1/run_g0/run_g0_t0.imec0.ap.meta": 11,
        "raw/day2/run_g1/run_g1_t0.imec0.ap.bin": 200,
        "raw/notes.txt": 3,
        "raw/session.nwb": 5,
        "rawer/day3/run_g2/a.bin": 9,
    }.items():
        moto_s3.client.put_object(Bucket=bucket, Key=key, Body=bytes(size_bytes))
    return bucket


def objects(client: Any) -> S3Objects:
    """What the laptop reaches with a client."""
    return S3Objects(client, raises=AwsError)


@pytest.mark.parametrize(
    ("prefix", "pattern", "found"),
    [
        ("raw/", None, {"day1": 111, "day2": 200}),
        ("raw", "*/", {"day1": 111, "day2": 200}),
        ("raw/", "*/*_g0/", {"day1/run_g0": 111}),
        ("raw/", "day2/*/", {"day2/run_g1": 200}),
        ("raw/", "*.nwb", {"session.nwb": 5}),
        ("raw/", "*/*/*.bin", {
            "day1/run_g0/run_g0_t0.imec0.ap.bin": 100,
            "day2/run_g1/run_g1_t0.imec0.ap.bin": 200,
        }),
        ("", "raw*/", {"raw": 319, "rawer": 9}),
    ],
)  # fmt: skip
def test_a_prefix_is_listed_by_pattern(
    moto_s3: S3Server, raw: str, prefix: str, pattern: str | None, found: dict[str, int]
) -> None:
    listed = prefix_recordings(objects(moto_s3.client), f"s3://{raw}/{prefix}", pattern, ELSEWHERE)
    assert {each.name: each.size_bytes for each in listed.recordings} == found
    start = f"{prefix.rstrip('/')}/" if prefix else ""
    assert [dict(each.variables) for each in listed.recordings] == [
        {"AWS_S3_BUCKET": raw, "AWS_S3_BUCKET_FOLDER": f"{start}{name}"} for name in found
    ]


def test_prefix_listing_reads_each_page_once(
    moto_s3: S3Server, proxied_s3: FaultProxy, bucket: str
) -> None:
    direct = moto_s3.client
    for index in range(1_100):
        direct.put_object(Bucket=bucket, Key=f"raw/run-{index:04}/a.bin", Body=b"ab")
    client = client_of(access_to(proxied_s3.url))
    listed = prefix_recordings(objects(client), f"s3://{bucket}/raw", None, ELSEWHERE)
    assert len(listed.recordings) == 1_100
    assert {each.size_bytes for each in listed.recordings} == {2}
    assert len(proxied_s3.counts.requests) == 2


@pytest.mark.parametrize(
    ("place", "pattern", "error", "message"),
    [
        ("{bucket}/raw", "night*/", SourceError, "holds nothing that matches night*/; check"),
        ("{bucket}/raw", "*.bin", SourceError, "there is day1/, day2/, notes.txt; check --match"),
        ("{bucket}/none", None, SourceError, "holds nothing that matches */; check --match"),
        ("no-such-bucket/raw", None, AwsError, "there is no bucket"),
        ("No Bucket/raw", None, SettingsError, "--source-prefix: 's3://No Bucket/raw' is not"),
    ],
)
def test_prefix_without_matches_is_refused(
    moto_s3: S3Server,
    raw: str,
    place: str,
    pattern: str | None,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        prefix_recordings(
            objects(moto_s3.client), f"s3://{place.format(bucket=raw)}", pattern, ELSEWHERE
        )


@pytest.mark.parametrize("target", ["raw/day2", "raw/day2/results/all"])
def test_results_folder_is_not_listed_as_recording(
    moto_s3: S3Server, raw: str, target: str
) -> None:
    place = S3Location(bucket=raw, key=target)
    listed = prefix_recordings(objects(moto_s3.client), f"s3://{raw}/raw", None, place)
    assert [each.name for each in listed.recordings] == ["day1"]
    assert listed.notes == ("left out day2, where the results go",)


def test_doubled_slash_is_no_recording(moto_s3: S3Server, bucket: str) -> None:
    storage = objects(moto_s3.client)
    moto_s3.client.put_object(Bucket=bucket, Key="raw//m1/a.bin", Body=b"1")
    left_out = f"left out s3://{bucket}/raw//m1/a.bin, as no path of files can have such a name"
    with pytest.raises(SourceError, match=re.escape(left_out)):
        prefix_recordings(storage, f"s3://{bucket}/raw", None, ELSEWHERE)
    moto_s3.client.put_object(Bucket=bucket, Key="raw/m2/a.bin", Body=b"1")
    target = S3Location(bucket=bucket, key="raw/results")
    listed = prefix_recordings(storage, f"s3://{bucket}/raw", None, target)
    assert [each.name for each in listed.recordings] == ["m2"]
    assert listed.notes == (f"{left_out}; rename it",)


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


def test_succeeded_jobs_are_left_out(moto_s3: S3Server, bucket: str) -> None:
    states = {
        "done": b'{"status": "succeeded"}',
        "failed": b'{"status": "failed"}',
        "broken": b"{",
        "list": b"[]",
        "running": None,
    }
    rows = tuple(
        ListedRecording(
            label=name, name=name, variables={"DANDISET_S3_FILE_URL": f"dandi://d/000003/{name}"}
        )
        for name in states
    )
    for name, content in states.items():
        if content is not None:
            moto_s3.client.put_object(Bucket=bucket, Key=f"all/{name}/run.json", Body=content)
    common = {
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": bucket,
        "TARGET_AWS_S3_BUCKET_FOLDER": "all",
    }
    jobs = jobs_of(Listing(title="all", recordings=rows), common)
    left = find_unfinished(objects(moto_s3.client), jobs).jobs
    assert [job.label for job in left] == ["failed", "broken", "list", "running"]


def test_records_are_looked_up_in_parallel(proxied_s3: FaultProxy, bucket: str) -> None:
    under_way: list[int] = []

    def watch(_: Request) -> None:
        under_way.append(proxied_s3.requests_under_way)
        time.sleep(0.05)

    rows = tuple(
        ListedRecording(label=str(row), name=str(row), variables={"DANDISET_S3_FILE_URL": "000003"})
        for row in range(30)
    )
    common = {"SORTERS": "simple", "TARGET_AWS_S3_BUCKET": bucket}
    proxied_s3.on_request = watch
    jobs = jobs_of(Listing(title="all", recordings=rows), common)
    assert find_unfinished(objects(client_of(access_to(proxied_s3.url))), jobs).jobs == jobs
    assert len(under_way) == 30
    assert max(under_way) > 4


def test_missing_target_bucket_stops_skip_completed(moto_s3: S3Server) -> None:
    row = ListedRecording(label="a", name="a", variables={"DANDISET_S3_FILE_URL": "000003"})
    common = {"SORTERS": "simple", "TARGET_AWS_S3_BUCKET": "no-such-bucket"}
    jobs = jobs_of(Listing(title="all", recordings=(row,)), common)
    with pytest.raises(AwsError, match="there is no bucket"):
        find_unfinished(objects(moto_s3.client), jobs)
