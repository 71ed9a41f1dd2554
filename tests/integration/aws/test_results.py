"""The results of a job, shown and fetched, by its id or by its target."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest

from spikeinterface_cloud.aws.batch.results import download, is_inside, list_results
from spikeinterface_cloud.aws_errors import AwsError
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.storage.s3 import S3Objects
from tests.integration.conftest import BUCKET
from tests.support.batch_server import DEFINITION, QUEUE, AwsServer
from tests.support.fault_proxy import FaultProxy, charge_requester
from tests.support.laptop import PLACE, Laptop

pytestmark = pytest.mark.integration

RECORD: dict[str, Any] = {
    "status": "failed",
    "error": "1 of 2 sorters failed",
    "schema_version": 4,
    "sorters": [
        {"sorter": "simple", "outcome": "sorted", "n_units": 12, "reason": None, "seconds": 1.5},
        {"sorter": "lupin", "outcome": "failed", "n_units": 0, "reason": "out of memory"},
    ],
}
FILES = {
    "run.json": json.dumps(RECORD).encode(),
    "run.log": b"a line\n",
    "simple/sorting/a b.npy": os.urandom(3_000),
    "simple/quality_metrics.csv": b"unit_id,snr\n",
    "simple/analyzer.zarr/templates/0.0": os.urandom(9 * 1024**2),  # in parts
}


@pytest.fixture
def folder(aws: AwsServer) -> str:
    """The folder of a target in the bucket, with results in it."""
    name = str(uuid.uuid4())
    put(aws, name, FILES)
    return name


def put(aws: AwsServer, folder: str, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        aws.client("s3").put_object(Bucket=BUCKET, Key=f"{folder}/{name}", Body=content)


def submit(laptop: Laptop, folder: str, *options: str) -> str:
    """Submit a job with this folder for a target; its identifier."""
    job = ["--source", "s3://lab-data/raw/a", "--data-type", "nwb", "--sorters", "simple"]
    done = laptop.run(*job, *PLACE, "--target", f"s3://{BUCKET}/{folder}", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_results_of_job_are_shown_and_downloaded(laptop: Laptop, folder: str) -> None:
    job_id = submit(laptop, folder)
    done = laptop.run("results", job_id, "--download", "here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == [
        f"s3://{BUCKET}/{folder}: failed: 1 of 2 sorters failed",
        "simple: sorted, 12 units",
        "lupin: failed: out of memory",
    ]
    for name in FILES:
        assert name in done.stdout
    assert "9.0 MiB  in 5 files" in done.stdout
    assert tree(laptop.folder / "here") == FILES


def test_results_of_a_target_as_json(laptop: Laptop, folder: str) -> None:
    values = json.loads(laptop.run("results", f"s3://{BUCKET}/{folder}/", "--json").stdout)
    assert values["target"] == f"s3://{BUCKET}/{folder}"
    assert values["run"] == RECORD
    assert {file["name"]: file["sizeBytes"] for file in values["files"]} == {
        name: len(content) for name, content in FILES.items()
    }


def test_results_of_job_with_manifest(laptop: Laptop, folder: str) -> None:
    pipeline = json.dumps({"bandpass_filter": {"note": "x" * 8_000}})
    job_id = submit(laptop, folder, "--preprocessing", pipeline)
    values = json.loads(laptop.run("results", job_id, "--json").stdout)
    assert values["run"] == RECORD


def test_results_of_array_child_come_from_its_manifest_line(
    laptop: Laptop, aws: AwsServer, folder: str
) -> None:
    rows = [f"lab-data,raw/{n},nwb,simple,{BUCKET},{folder}{'' if n else '-0'}" for n in range(2)]
    columns = "AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER,DATA_TYPE,SORTERS,TARGET_AWS_S3_BUCKET"
    table = laptop.folder / "jobs.csv"
    table.write_text("\n".join([f"{columns},TARGET_AWS_S3_BUCKET_FOLDER", *rows]))
    done = laptop.run("--csv", str(table), "--yes", "--target", f"s3://{BUCKET}/many", *PLACE)
    assert done.returncode == 0, done.stderr
    array = done.stdout.strip()
    assert json.loads(laptop.run("results", f"{array}:1", "--json").stdout)["run"] == RECORD
    whole = laptop.run("results", array)
    assert whole.returncode == 1
    assert f"name one, from {array}:0 to {array}:1" in whole.stderr


def test_second_download_fetches_only_changed_files(
    laptop: Laptop, aws: AwsServer, folder: str
) -> None:
    arguments = ("results", f"s3://{BUCKET}/{folder}", "--download", "here")
    laptop.run(*arguments)
    aws.calls.clear()
    time.sleep(1)  # S3 tells times in whole seconds
    put(aws, folder, {"run.log": b"A LINE\n"})
    laptop.run(*arguments)
    assert tree(laptop.folder / "here") == {**FILES, "run.log": b"A LINE\n"}
    fetched = {call.action for call in aws.calls if call.action.startswith("GET ")}
    assert not any("templates" in action for action in fetched)


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ({"status": "RUNNING"}, " is RUNNING"),
        (
            {"status": "FAILED", "statusReason": "Essential container in task exited",
             "container": {"exitCode": 66}},
            " is FAILED with exit code 66: Essential container in task exited",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", [[], ["--json"], ["--download", "here"]])
def test_job_without_record_fails_with_its_state(
    laptop: Laptop, aws: AwsServer, fate: dict[str, Any], words: str, options: list[str]
) -> None:
    folder = str(uuid.uuid4())
    put(aws, folder, {"run.log": b"so far"})
    job_id = submit(laptop, folder)
    aws.set_fate(job_id, **fate)
    done = laptop.run("results", job_id, *options)
    assert done.returncode == 1
    assert f"Error: s3://{BUCKET}/{folder} has no run.json: {job_id}{words}" in done.stderr
    assert "run.log" in done.stdout, "what is there is shown all the same"
    if "--download" in options:
        assert tree(laptop.folder / "here") == {"run.log": b"so far"}


def test_record_of_another_job_is_not_taken_for_this_one(laptop: Laptop, aws: AwsServer) -> None:
    """The target holds results of an earlier job, and this one has not even started."""
    folder = str(uuid.uuid4())
    put(aws, folder, {"run.json": json.dumps(RECORD | {"status": "succeeded"}).encode()})
    job_id = submit(laptop, folder, "--env", "OVERWRITE=true")
    aws.set_fate(job_id, status="RUNNABLE")
    done = laptop.run("results", job_id, "--download", "here")
    assert done.returncode != 0
    assert "has the results of another job, and none of this one" in done.stderr
    assert not (laptop.folder / "here").exists()
    assert laptop.run("results", f"s3://{BUCKET}/{folder}").returncode == 0


def test_target_without_record_fails(laptop: Laptop) -> None:
    done = laptop.run("results", f"s3://{BUCKET}/nothing")
    assert done.returncode == 1
    assert f"Error: s3://{BUCKET}/nothing has no run.json: its job is under way" in done.stderr


@pytest.mark.parametrize("name", ["../outside.txt", "simple/../../outside.txt", "/etc/outside"])
def test_object_name_outside_folder_is_refused(laptop: Laptop, aws: AwsServer, name: str) -> None:
    folder = str(uuid.uuid4())
    put(aws, folder, {"run.log": b"fine", name: b"hostile"})
    done = laptop.run("results", f"s3://{BUCKET}/{folder}", "--download", "deep/er")
    assert done.returncode == 1
    assert "which would be written outside the folder it is fetched to" in done.stderr
    assert tree(laptop.folder) == {}


@pytest.mark.parametrize("name", ["simple//a.csv", "./simple/a.csv", "simple/./a.csv"])
def test_objects_that_would_be_one_file_are_refused(
    laptop: Laptop, aws: AwsServer, name: str
) -> None:
    folder = str(uuid.uuid4())
    put(aws, folder, {"simple/a.csv": b"one", name: b"the other"})
    done = laptop.run("results", f"s3://{BUCKET}/{folder}", "--download", "here")
    assert done.returncode == 1
    assert "would be one file here (simple/a.csv); rename or remove one of them" in done.stderr
    assert f"{folder}/{name}" in done.stderr
    assert tree(laptop.folder) == {}


def test_partial_download_does_not_get_final_name(
    laptop: Laptop, aws: AwsServer, folder: str
) -> None:
    aws.refuse(f"GET /{BUCKET}/{folder}/run.log", "AccessDenied", "no", status=403, times=1)
    done = laptop.run("results", f"s3://{BUCKET}/{folder}", "--download", "here")
    assert done.returncode == 1
    assert f"cannot fetch s3://{BUCKET}/{folder}/run.log: access denied" in done.stderr
    assert "run.log" not in tree(laptop.folder / "here")


def test_unwritable_folder_is_named_in_error(laptop: Laptop, folder: str) -> None:
    (laptop.folder / "here").write_text("a file")
    done = laptop.run("results", f"s3://{BUCKET}/{folder}", "--download", "here/below")
    assert done.returncode == 1
    assert "cannot write here/" in done.stderr
    assert "name another folder" in done.stderr


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("s3://Bad_Name/x", 78, "is not the name of an S3 bucket"),
        ("s3://no-such-bucket-here/x", 1, "there is no bucket"),
    ],
)
def test_missing_target_bucket_is_refused(
    laptop: Laptop, target: str, code: int, message: str
) -> None:
    done = laptop.run("results", target)
    assert message in done.stderr
    assert done.returncode == code


def test_job_of_another_program_has_no_target(laptop: Laptop, aws: AwsServer) -> None:
    job_id = aws.client("batch").submit_job(
        jobName="other", jobQueue=QUEUE, jobDefinition=DEFINITION
    )["jobId"]
    done = laptop.run("results", job_id)
    assert done.returncode == 1
    assert f"{job_id} names no target on S3" in done.stderr


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b"{}",
        b"not json",
        b"",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"status": "failed", "sorters": null}',
        b'{"status": "failed", "sorters": 3}',
        b'{"status": "failed", "sorters": ["simple"]}',
        b'{"status": "failed", "error": {"a": 1}}',
        b'{"status": "\\ud800"}',
    ],
    ids=lambda content: content[:40].decode("latin-1"),
)
def test_record_that_is_none_is_refused(laptop: Laptop, aws: AwsServer, content: bytes) -> None:
    folder = str(uuid.uuid4())
    put(aws, folder, {"run.json": content})
    for options in ([], ["--json"]):
        done = laptop.run("results", f"s3://{BUCKET}/{folder}", *options)
        [line] = done.stderr.splitlines()
        assert line.startswith(f"Error: s3://{BUCKET}/{folder}/run.json is not the record of a job")
        assert done.returncode == 1


def test_control_characters_of_a_bucket_are_escaped(laptop: Laptop, aws: AwsServer) -> None:
    folder = str(uuid.uuid4())
    evil = "x\x1b]0;title\x07\nfetched everything\x9b2J"
    record = {"status": evil, "error": evil, "sorters": [{"sorter": evil, "outcome": evil}]}
    put(aws, folder, {"run.json": json.dumps(record).encode(), "x\x1b[2J \x85.txt": b"1"})
    done = laptop.run("results", f"s3://{BUCKET}/{folder}", "--download", "here")
    assert done.returncode == 0, done.stderr
    for text in (done.stdout, done.stderr):
        assert all(line.isprintable() for line in text.splitlines())
        assert not any(line.startswith("fetched everything") for line in text.splitlines())
    assert "x\\x1b]0;title\\x07\\nfetched everything\\x9b2J" in done.stdout
    assert "fetched x\\x1b[2J \\x85.txt" in done.stderr
    done = laptop.run("results", f"s3://{BUCKET}/{folder}/no\x1b]0;title\x07")
    assert done.returncode != 0
    assert "\x1b" not in done.stderr


def test_results_of_the_folder_of_an_array_are_no_error(laptop: Laptop, aws: AwsServer) -> None:
    parent = f"array-{uuid.uuid4()}"
    for child in ("mouse1/day1", "mouse2/day1"):
        put(aws, f"{parent}/{child}", FILES)
    put(aws, f"{parent}/manifests", {"a.jsonl": b"{}\n"})
    url = f"s3://{BUCKET}/{parent}"
    done = laptop.run("results", url, "--download", "here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == (
        f"{url}: the results of 2 jobs, each in a folder of its own"
    )
    assert set(tree(laptop.folder / "here")) >= {f"mouse1/day1/{name}" for name in FILES}


class FolderThatIgnoresCase(type(Path())):  # type: ignore[misc] # the type of this system's paths
    """A folder as on macOS and Windows."""

    def exists(self) -> bool:
        """Return whether there is a file of this name, in whatever case."""
        return self.name.lower() in {path.name.lower() for path in Path(self).parent.iterdir()}


@pytest.mark.parametrize("names", [("A/b", "a/b"), ("m\u00fc.csv", "mu\u0308.csv")])
def test_names_that_differ_in_case_are_fetched_only_where_they_are_two_files(
    laptop: Laptop, aws: AwsServer, tmp_path: Path, names: tuple[str, str]
) -> None:
    folder = str(uuid.uuid4())
    put(aws, folder, {name: name.encode() for name in names})
    storage = S3Objects(aws.client("s3"), raises=AwsError)
    files = list_results(storage, S3Location(bucket=BUCKET, key=folder))
    with pytest.raises(AwsError, match=r"would be one file in .*, which ignores case; rename"):
        next(download(storage, files, FolderThatIgnoresCase(tmp_path / "mac")))
    assert tree(tmp_path / "mac") == {}
    assert len(list(download(storage, files, tmp_path / "linux"))) == 2
    assert tree(tmp_path / "linux") == {name: name.encode() for name in names}


@pytest.mark.parametrize(
    ("name", "on_posix", "on_windows"),
    [
        ("simple/a b.npy", True, True),
        ("C:/Windows/evil.txt", True, False),
        ("c:evil.txt", True, False),
        ("simple/x:y", True, False),
        ("simple/NUL", True, False),
        ("a\\b", False, False),
        ("a\0b", False, False),
        ("../a", False, False),
        ("/etc/a", False, False),
        ("", False, False),
    ],
)
def test_names_that_leave_the_folder_are_known_for_each_system(
    name: str, on_posix: bool, on_windows: bool
) -> None:
    assert is_inside(name, PurePosixPath) is on_posix
    assert is_inside(name, PureWindowsPath) is on_windows


def test_requester_pays_bucket_is_read_where_the_variable_says_so(
    laptop: Laptop, aws: AwsServer, folder: str
) -> None:
    command = ("results", f"s3://{BUCKET}/{folder}", "--download", "here")
    with FaultProxy(aws.url) as proxy:
        proxy.weather = charge_requester
        place = {"AWS_ENDPOINT_URL": proxy.url}
        refused = laptop.run(*command, env=place)
        done = laptop.run(*command, env=place | {"AWS_REQUESTER_PAYS": "true"})
    assert refused.returncode == 1
    assert "access denied" in refused.stderr
    assert "for a requester-pays bucket set AWS_REQUESTER_PAYS=true" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert tree(laptop.folder / "here") == FILES


def test_requester_pays_bucket_is_listed_where_the_job_is_told_so(
    laptop: Laptop, aws: AwsServer
) -> None:
    command = (
        *("--source-prefix", "s3://lab-data/raw/", "--match", "session1/", "--dry-run"),
        *("--data-type", "spikeglx", "--sorters", "simple", "--target", "s3://lab-results/x"),
        *PLACE,
    )
    pays = ("--env", "AWS_REQUESTER_PAYS=true")
    with FaultProxy(aws.url) as proxy:
        proxy.weather = charge_requester
        env = {"AWS_ENDPOINT_URL": proxy.url}
        refused = laptop.run(*command, env=env)
        done = laptop.run(*command, *pays, env=env | {"AWS_REQUESTER_PAYS": "false"})
    assert "for a requester-pays bucket set AWS_REQUESTER_PAYS=true" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert '"AWS_REQUESTER_PAYS"' in done.stdout


def test_variable_that_is_no_boolean_is_refused(laptop: Laptop, folder: str) -> None:
    command = ("results", f"s3://{BUCKET}/{folder}")
    done = laptop.run(*command, env={"AWS_REQUESTER_PAYS": "perhaps"})
    assert done.returncode == 78
    assert done.stderr.startswith("Error: AWS_REQUESTER_PAYS: 'perhaps' is neither true nor false")
