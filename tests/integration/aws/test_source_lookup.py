"""The source is looked up at submission, and what is wrong with it is a warning."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from spikeinterface_cloud.aws.inputs.source_check import MOST, SHOWN
from tests.support.batch_server import AwsServer
from tests.support.dandi_stand_in import BUCKET, DandiStandIn, Fault
from tests.support.laptop import PLACE, Laptop

pytestmark = pytest.mark.integration

SORTING = ("--data-type", "spikeglx", "--sorters", "simple", "--target", "s3://lab-results/looked")


@pytest.fixture
def bucket(aws: AwsServer) -> str:
    """A bucket with a folder of each storage class."""
    name = f"raw-{uuid.uuid4()}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    for storage_class in ("STANDARD", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"):
        key = f"{storage_class.lower()}/it's one.ap.bin"
        s3.put_object(Bucket=name, Key=key, Body=b"1", StorageClass=storage_class)
    return name


def notes(laptop: Laptop, *arguments: str, env: Mapping[str, str] | None = None) -> list[str]:
    """Submit, which must succeed, and return the notes but that on the server of this machine."""
    sorting = SORTING if env is None else SORTING[2:]  # sources on DANDI are NWB
    common = (*sorting, *PLACE, "--env", f"RUN_IDENTIFIER={uuid.uuid4()}")
    done = laptop.run(*arguments, *common, env=env)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    return [line for line in lines if "AWS_ENDPOINT_URL" not in line]


@pytest.mark.parametrize("folder", ["standard", "glacier_ir", "standard/it's one.ap.bin"])
def test_source_that_can_be_read_gives_no_note(laptop: Laptop, bucket: str, folder: str) -> None:
    assert notes(laptop, "--source", f"s3://{bucket}/{folder}") == []


def test_missing_source_is_noted_and_submitted(laptop: Laptop, bucket: str) -> None:
    [note] = notes(laptop, "--source", f"s3://{bucket}/standart")
    assert f"s3://{bucket}/standart holds no objects; beside it there is standard" in note
    [note] = notes(laptop, "--source", "s3://no-such-lab/raw")
    assert "there is no bucket no-such-lab" in note


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_archived_source_is_noted_with_its_remedy(
    laptop: Laptop, bucket: str, storage_class: str
) -> None:
    [note] = notes(laptop, "--source", f"s3://{bucket}/{storage_class.lower()}")
    assert f"archived objects (1), like s3://{bucket}/" in note
    assert f"in {storage_class};" in note
    key = f"'{storage_class.lower()}/it'\"'\"'s one.ap.bin'"
    command = f"aws s3api restore-object --bucket {bucket} --key {key} --restore-request Days=14"
    assert note.endswith(command)


def test_archived_recordings_of_a_list_are_noted(laptop: Laptop, bucket: str) -> None:
    [note] = notes(laptop, "--source-prefix", f"s3://{bucket}", "--yes")
    assert "archived objects (2), like s3://" in note


def table_of(laptop: Laptop, bucket: str, folders: Iterable[str]) -> str:
    rows = "".join(f"{bucket},{folder}\n" for folder in folders)
    (laptop.folder / "jobs.csv").write_text(f"AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER\n{rows}")
    return "jobs.csv"


def test_missing_and_archived_sources_of_a_table_are_noted(laptop: Laptop, bucket: str) -> None:
    table = table_of(laptop, bucket, ["standard", "standart", "glacier"])
    missing, archived = notes(laptop, "--csv", table, "--yes")
    assert f"s3://{bucket}/standart holds no objects" in missing
    assert f"archived objects (1), like s3://{bucket}/glacier/" in archived


def test_only_the_first_sources_of_a_table_are_looked_up(
    laptop: Laptop, aws: AwsServer, bucket: str
) -> None:
    table = table_of(laptop, bucket, [f"missing-{number}" for number in range(200)])
    *shown, more = notes(laptop, "--csv", table, "--yes")
    assert len(shown) == SHOWN
    assert f"{MOST - SHOWN} of the other sources looked up have such a problem, too" in more
    assert len([call for call in aws.calls if call.action.startswith("GET ")]) <= 3 * MOST


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[DandiStandIn]:
    """An archive with a session."""
    (tmp_path / "a.nwb").write_bytes(b"nwb")
    with DandiStandIn() as running:
        running.add_asset("000003", "sub-1/a.nwb", tmp_path / "a.nwb")
        running.add_asset("000003", "sub-1/a.mp4", tmp_path / "a.nwb")
        yield running


def dandi_notes(laptop: Laptop, archive: DandiStandIn, path: str) -> list[str]:
    source = f"{archive.api_url}/dandisets/000003/versions/draft/assets/?path={path}"
    return notes(laptop, "--source", source, env={"DANDI_INSTANCE_URL": archive.api_url})


def test_source_on_dandi_is_looked_up(laptop: Laptop, archive: DandiStandIn) -> None:
    assert dandi_notes(laptop, archive, "sub-1/a.nwb") == []
    [missing] = dandi_notes(laptop, archive, "sub-1/b.nwb")
    assert "holds no asset sub-1/b.nwb" in missing
    assert "the job will end with 66 if that is still so" in missing
    [video] = dandi_notes(laptop, archive, "sub-1/a.mp4")
    assert "is not an NWB file" in video
    assert "the job will end with 65" in video


def test_zarr_on_dandi_is_looked_up(laptop: Laptop, archive: DandiStandIn, tmp_path: Path) -> None:
    folder = tmp_path / "zarr"
    folder.mkdir()
    (folder / ".zgroup").write_bytes(b"{}")
    ready = archive.add_zarr("000003", "sub-2/a.nwb.zarr", folder)
    archive.add_zarr("000003", "sub-2/fresh.nwb.zarr", folder, ingested=False)
    assert dandi_notes(laptop, archive, "sub-2/a.nwb.zarr") == []
    env = {"DANDI_INSTANCE_URL": archive.api_url}
    assert notes(laptop, "--source", f"s3://{BUCKET}/zarr/{ready.content}/", env=env) == []
    [fresh] = dandi_notes(laptop, archive, "sub-2/fresh.nwb.zarr")
    assert "has not computed the checksum of sub-2/fresh.nwb.zarr yet" in fresh
    assert "the job will end with 66 if that is still so" in fresh


def test_source_on_dandi_that_cannot_be_seen_gives_no_note(
    laptop: Laptop, archive: DandiStandIn
) -> None:
    """It needs a key, or the archive never answers."""
    archive.embargoed.add("000003")
    assert dandi_notes(laptop, archive, "sub-1/b.nwb") == []
    archive.inject("api", Fault.STALL, times=100)
    assert dandi_notes(laptop, archive, "sub-1/c.nwb") == []


def test_source_that_may_not_be_looked_up_is_submitted_without_a_note(
    laptop: Laptop, aws: AwsServer, bucket: str
) -> None:
    aws.denied_services = frozenset({"s3"})
    assert notes(laptop, "--source", f"s3://{bucket}/nothing") == []


def test_dry_run_does_not_look_up_the_source(laptop: Laptop, aws: AwsServer) -> None:
    done = laptop.run("--source", "s3://no-such-lab/raw", *SORTING, *PLACE, "--dry-run")
    assert done.returncode == 0
    assert not aws.calls


def environment_of(laptop: Laptop, *arguments: str) -> dict[str, str]:
    done = laptop.run(*arguments, *PLACE, "--dry-run")
    assert done.returncode == 0, done.stderr
    variables = json.loads(done.stdout)["containerOverrides"]["environment"]
    return {variable["name"]: variable["value"] for variable in variables}


@pytest.mark.parametrize(
    "url",
    [
        "https://lab-data.s3.us-east-1.amazonaws.com/raw/session%201",
        "https://s3.eu-west-1.amazonaws.com/lab-data/raw/session%201/",
        "https://s3.console.aws.amazon.com/s3/buckets/lab-data?region=us-east-1&prefix=raw/session%201/",
        "https://us-east-1.console.aws.amazon.com/s3/object/lab-data?prefix=raw/session+1",
        "arn:aws:s3:::lab-data/raw/session 1",
    ],
)
def test_locations_on_s3_are_accepted_as_they_were_copied(laptop: Laptop, url: str) -> None:
    sorting = SORTING[:4]
    target = url.replace("raw/", "results/")
    environment = environment_of(laptop, "--source", url, *sorting, "--target", target)
    assert environment["AWS_S3_BUCKET"] == "lab-data"
    assert environment["AWS_S3_BUCKET_FOLDER"] == "raw/session 1"
    assert environment["TARGET_AWS_S3_BUCKET"] == "lab-data"
    assert environment["TARGET_AWS_S3_BUCKET_FOLDER"] == "results/session 1"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "https://lab-data.s3.us-east-1.amazonaws.com/raw/a.nwb?X-Amz-Signature=abc",
            "--source: a signed URL would show its signature to everyone who may describe jobs, "
            "and ends soon; give s3://lab-data/raw/a.nwb, which the job's role may read",
        ),
        (
            "arn:aws:s3:us-east-1:123456789012:accesspoint/raw/object/a.nwb",
            "is an access point, which is named by its alias instead; give s3://ALIAS/folder "
            "(`aws s3control get-access-point --account-id 123456789012 --name raw`",
        ),
        (
            "s3://arn:aws:s3:us-east-1:123456789012:accesspoint/raw/a.nwb",
            "give s3://ALIAS/folder",
        ),
        (
            "s3://My_Lab_Data/raw",
            "is not the name of an S3 bucket; give one of lowercase letters, digits, dots and",
        ),
    ],
)
def test_other_locations_on_s3_have_their_own_remedy(
    laptop: Laptop, url: str, message: str
) -> None:
    done = laptop.run("--source", url, *SORTING, *PLACE)
    assert done.returncode == 78
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert message in line
    assert "X-Amz-Signature" not in line


def test_archived_results_have_the_command_that_restores_them(
    laptop: Laptop, aws: AwsServer, bucket: str
) -> None:
    aws.client("s3").put_object(
        Bucket=bucket, Key="old/run.json", Body=b"{}", StorageClass="DEEP_ARCHIVE"
    )
    done = laptop.run("results", f"s3://{bucket}/old")
    assert done.returncode == 1
    assert "the object is archived" in done.stderr
    assert (
        f"aws s3api restore-object --bucket {bucket} --key old/run.json --restore-request Days=14"
        in done.stderr
    )
