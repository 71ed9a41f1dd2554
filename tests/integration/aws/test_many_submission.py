"""Submitting many recordings: the program as a user starts it, against a server of AWS."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.aws.inputs.source_check import MOST
from spikeinterface_cloud.config.locations import parse_s3
from spikeinterface_cloud.config.manifest import select_line
from spikeinterface_cloud.config.settings import JobSettings
from tests.support.batch_server import DEFINITION, QUEUE, AwsServer, Call, aws_server
from tests.support.dandi_stand_in import OWNER_KEY, DandiStandIn
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parents[3] / "submit_job.py"
BUCKET = "lab"

#: what every submission of these tests has in common
COMMON = [
    *("--job-queue", QUEUE, "--job-definition", DEFINITION),
    *("--sorters", "kilosort4", "--target", f"s3://{BUCKET}/results"),
]


@pytest.fixture(scope="module")
def account() -> Iterator[AwsServer]:
    with aws_server() as server:
        server.client("s3").create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture
def aws(account: AwsServer) -> AwsServer:
    """The account, with nothing that an earlier test has called, put or submitted in the way."""
    s3 = account.client("s3")
    for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    account.clear()
    return account


def submit(
    aws: AwsServer, folder: Path, *arguments: str, terminal: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the program in `folder`; `terminal` is what a user types, None where there is no user."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        **variables,
    }
    ours, theirs = pty.openpty()
    try:
        if terminal is not None:
            os.write(ours, terminal.encode())
        return subprocess.run(
            [sys.executable, str(PROGRAM), *COMMON, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL if terminal is None else theirs,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)


def environment_of(request: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in request["containerOverrides"]["environment"]}


def manifest_of(aws: AwsServer, request: Any) -> bytes:
    location = parse_s3(environment_of(request)["MANIFEST_URL"], None)
    reply = aws.client("s3").get_object(Bucket=location.bucket, Key=location.key)
    return bytes(reply["Body"].read())


def table_of(folder: Path, number: int) -> Path:
    """A CSV file of that many recordings."""
    file = folder / "jobs.csv"
    rows = (f"raw-data,mouse-{index}/run_g0,spikeglx\n" for index in range(number))
    file.write_text("AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER,DATA_TYPE\n" + "".join(rows))
    return file


def is_look(call: Call) -> bool:
    """Return whether the call looks up the source of a recording."""
    return call.action.startswith(("GET /raw-data", "HEAD /raw-data"))


def put(aws: AwsServer, key: str, content: bytes) -> None:
    aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)


def test_ten_thousand_recordings_need_one_array_and_few_requests(
    aws: AwsServer, tmp_path: Path
) -> None:
    done = submit(aws, tmp_path, "--csv", str(table_of(tmp_path, 10_000)), "--yes")
    assert done.returncode == 0, done.stderr
    calls = [call.action.partition(" ")[0] for call in aws.calls if not is_look(call)]
    assert calls.count("submitjob") == 1
    assert calls.count("PUT") == 1
    assert len(calls) <= 4, calls
    assert len(aws.calls) - len(calls) <= 3 * MOST
    [job_id] = done.stdout.split()
    [array] = aws.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    assert array["arrayProperties"]["size"] == 10_000
    assert "10,000 recordings, size unknown" in done.stderr
    [call] = aws.named("submitjob")
    manifest = manifest_of(aws, call.body)
    for index in (0, 9_999):
        line = select_line(manifest, {"AWS_BATCH_JOB_ID": f"{job_id}:{index}"})
        settings = JobSettings.from_env(line)
        assert str(settings.source) == f"s3://raw-data/mouse-{index}/run_g0"
        assert str(settings.target) == f"s3://lab/results/mouse-{index}/run_g0"
        assert settings.sorters == ("kilosort4",)


def test_more_recordings_than_array_limit_make_several_arrays(
    aws: AwsServer, tmp_path: Path
) -> None:
    done = submit(aws, tmp_path, "--csv", str(table_of(tmp_path, 10_001)), "--yes", "--json")
    assert done.returncode == 0, done.stderr
    requests = [call.body for call in aws.named("submitjob")]
    assert [request["arrayProperties"]["size"] for request in requests] == [5_000, 5_001]
    assert len([call for call in aws.calls if not is_look(call)]) <= 7
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["jobName"] for report in reports] == [each["jobName"] for each in requests]
    assert len({report["jobId"] for report in reports}) == 2
    assert manifest_of(aws, requests[1]).count(b"\n") == 5_001


def test_each_folder_below_prefix_is_submitted(aws: AwsServer, tmp_path: Path) -> None:
    put(aws, "raw/day1/run_g0/a.ap.bin", bytes(1024))
    put(aws, "raw/day2/run_g0/a.ap.bin", bytes(2048))
    done = submit(
        aws,
        tmp_path,
        *("--source-prefix", f"s3://{BUCKET}/raw/", "--match", "*/*_g0/"),
        *("--data-type", "spikeglx", "--env", "N_JOBS=4", "--yes"),
    )
    assert done.returncode == 0, done.stderr
    assert "s3://lab/raw/day2/run_g0  2.0 KiB  s3://lab/results/day2/run_g0" in done.stderr
    assert "2 recordings, 3.0 KiB in all" in done.stderr
    [call] = aws.named("submitjob")
    assert call.body["jobName"].startswith("raw-")
    assert environment_of(call.body).keys() == {
        "MANIFEST_URL",
        "RUN_IDENTIFIER",
        "TARGET_AWS_S3_BUCKET",
        "TARGET_AWS_S3_BUCKET_FOLDER",
        "AWS_ENDPOINT_URL",
    }
    line = select_line(manifest_of(aws, call.body), {"AWS_BATCH_JOB_ARRAY_INDEX": "1"})
    settings = JobSettings.from_env(line)
    assert (str(settings.source), settings.n_jobs) == ("s3://lab/raw/day2/run_g0", 4)


def test_embargoed_dandiset_is_submitted(aws: AwsServer, tmp_path: Path) -> None:
    file = tmp_path / "a.nwb"
    file.write_bytes(bytes(1024))
    with DandiStandIn() as archive:
        for name in ("sub-1/sub-1_ecephys.nwb", "sub-2/sub-2_ecephys.nwb", "sub-2/video.mp4"):
            archive.add_asset("000003", name, file, embargoed=True)
        url = f"{archive.api_url}/dandisets/000003/versions/draft/"
        done = submit(
            aws,
            tmp_path,
            *("--dandiset", url, "--glob", "sub-*", "--yes"),
            DANDI_API_KEY=OWNER_KEY,
            DANDI_INSTANCE_URL=archive.api_url,
        )
    assert done.returncode == 0, done.stderr
    assert "left out files other than NWB: 1, like sub-2/video.mp4" in done.stderr
    assert "2 recordings, 2.0 KiB in all" in done.stderr
    [call] = aws.named("submitjob")
    manifest = manifest_of(aws, call.body)
    assert OWNER_KEY not in json.dumps(call.body) + manifest.decode()
    line = select_line(manifest, {"AWS_BATCH_JOB_ARRAY_INDEX": "0"})
    assert line["TARGET_AWS_S3_BUCKET_FOLDER"] == "results/sub-1/sub-1_ecephys"


def test_single_recording_is_a_plain_job(aws: AwsServer, tmp_path: Path) -> None:
    done = submit(aws, tmp_path, "--csv", str(table_of(tmp_path, 1)), "--yes")
    assert done.returncode == 0, done.stderr
    [call] = aws.named("submitjob")
    assert "arrayProperties" not in call.body
    assert environment_of(call.body)["AWS_S3_BUCKET_FOLDER"] == "mouse-0/run_g0"


def test_skip_completed_submits_only_unfinished_jobs(aws: AwsServer, tmp_path: Path) -> None:
    put(aws, "results/mouse-0/run_g0/run.json", b'{"status": "succeeded"}')
    put(aws, "results/mouse-1/run_g0/run.json", b'{"status": "failed"}')
    arguments = ("--csv", str(table_of(tmp_path, 3)), "--skip-completed", "--yes")
    done = submit(aws, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 have succeeded already" in done.stderr
    [call] = aws.named("submitjob")
    assert call.body["arrayProperties"]["size"] == 2
    first = select_line(manifest_of(aws, call.body), {"AWS_BATCH_JOB_ARRAY_INDEX": "0"})
    assert first["RUN_IDENTIFIER"] == "mouse-1/run_g0"


def test_success_with_other_settings_is_submitted_again(aws: AwsServer, tmp_path: Path) -> None:
    same = {
        "SORTERS": "kilosort4",
        "SORTERS_KWARGS": '{"kilosort4":{"Th_learned":8,"Th_universal":9}}',
    }
    recorded = [
        {**same, "PREPROCESSING": "default", "RUN_IDENTIFIER": "other"},
        {"SORTERS": "kilosort4"},
        {**same, "TEST_WITH_SUB_RECORDING": "true"},
        {**same, "EXPORTS": "an export of a later version"},
    ]
    for index, settings in enumerate(recorded):
        content = json.dumps({"status": "succeeded", "settings": settings}).encode()
        put(aws, f"results/mouse-{index}/run_g0/run.json", content)
    kwargs = '{"kilosort4": {"Th_universal": 9, "Th_learned": 8}}'
    arguments = ("--csv", str(table_of(tmp_path, 4)), "--skip-completed", "--yes")
    done = submit(aws, tmp_path, *arguments, "--sorters-kwargs", kwargs)
    assert done.returncode == 0, done.stderr
    assert "1 of 4 have succeeded already" in done.stderr
    assert (
        "submitted although they have succeeded, with other EXPORTS, SORTERS_KWARGS, "
        "TEST_WITH_SUB_RECORDING: 3; what is the same is used again" in done.stderr
    )
    [call] = aws.named("submitjob")
    assert call.body["arrayProperties"]["size"] == 3


def test_added_sorter_is_submitted(aws: AwsServer, tmp_path: Path) -> None:
    put(
        aws,
        "results/mouse-0/run_g0/run.json",
        b'{"status": "succeeded", "settings": {"SORTERS": "kilosort4"}}',
    )
    arguments = ("--csv", str(table_of(tmp_path, 1)), "--skip-completed", "--yes")
    done = submit(aws, tmp_path, *arguments, "--sorters", "kilosort4,spykingcircus2")
    assert done.returncode == 0, done.stderr
    assert "although they have succeeded, with other SORTERS: 1; " in done.stderr
    [call] = aws.named("submitjob")
    assert environment_of(call.body)["SORTERS"] == "kilosort4,spykingcircus2"


def test_nothing_is_submitted_if_all_have_succeeded(aws: AwsServer, tmp_path: Path) -> None:
    for index in range(2):
        put(aws, f"results/mouse-{index}/run_g0/run.json", b'{"status": "succeeded"}')
    done = submit(aws, tmp_path, "--csv", str(table_of(tmp_path, 2)), "--skip-completed")
    assert (done.returncode, done.stdout) == (0, "")
    assert "there is nothing to submit" in done.stderr
    assert aws.named("submitjob") == []


def test_yes_is_required_without_terminal(aws: AwsServer, tmp_path: Path) -> None:
    done = submit(aws, tmp_path, "--csv", str(table_of(tmp_path, 2)))
    assert (done.returncode, done.stdout) == (2, "")
    assert "2 jobs wait for a yes, and there is no terminal to ask on; add --yes" in done.stderr
    assert aws.named("submitjob") == []
    assert "2 recordings, size unknown" in done.stderr


@pytest.mark.parametrize(("typed", "n_submitted"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_confirmation_is_requested_on_a_terminal(
    aws: AwsServer, tmp_path: Path, typed: str, n_submitted: int
) -> None:
    done = submit(aws, tmp_path, "--csv", str(table_of(tmp_path, 2)), terminal=typed)
    assert "Submit them in account 123456789012, us-east-1? [y/N]" in done.stderr
    assert done.returncode == 1 - n_submitted, done.stderr
    assert len(aws.named("submitjob")) == n_submitted
    assert len(done.stdout.split()) == n_submitted


def test_dry_run_of_list_prints_requests_and_sends_nothing(aws: AwsServer, tmp_path: Path) -> None:
    table = str(table_of(tmp_path, 3))
    shown = submit(aws, tmp_path, "--csv", table, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert aws.calls == []
    sent = submit(aws, tmp_path, "--csv", table, "--yes")
    assert sent.returncode == 0, sent.stderr
    assert [call.body for call in aws.named("submitjob")] == [json.loads(shown.stdout)]


def test_the_same_list_is_not_submitted_twice(aws: AwsServer, tmp_path: Path) -> None:
    arguments = ("--csv", str(table_of(tmp_path, 4)), "--yes", "--skip-existing")
    first = submit(aws, tmp_path, *arguments)
    again = submit(aws, tmp_path, *arguments)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert len(aws.named("submitjob")) == 1


def test_all_bad_rows_are_reported_before_submission(aws: AwsServer, tmp_path: Path) -> None:
    table = table_of(tmp_path, 2)
    table.write_text(f"{table.read_text()}raw-data,a,\nraw-data,,,b\n")
    done = submit(aws, tmp_path, "--csv", str(table), "--yes")
    assert done.returncode == 78
    assert "line 5 has 4 cells for 3 columns" in done.stderr
    table.write_text(table.read_text().replace("raw-data,,,b\n", "Raw Data,b,nwb\n"))
    done = submit(aws, tmp_path, "--csv", str(table), "--yes")
    assert done.returncode == 78
    assert "Error: line 4: DATA_TYPE: missing" in done.stderr
    assert "Error: line 5: AWS_S3_BUCKET: 'Raw Data' is not" in done.stderr
    assert aws.calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--glob", "*.nwb", "--source", "s3://lab/raw"), "--glob goes with --dandiset"),
        (("--match", "*/", "--source", "s3://lab/raw"), "--match goes with --source-prefix"),
        (("--skip-completed", "--source", "s3://lab/raw"), "--skip-completed goes with a list"),
        (("--dandiset", "000003", "--source-prefix", "s3://lab"), "give one list of recordings"),
        (("--dandiset", "000003", "--source", "s3://lab"), "lists the sources; leave --source out"),
    ],
)
def test_conflicting_options_are_refused(
    aws: AwsServer, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = submit(aws, tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert aws.calls == []


def test_arrays_submitted_before_a_failure_are_not_submitted_again(
    aws: AwsServer, tmp_path: Path
) -> None:
    def refuse_the_second(call: Call) -> None:
        if call.action == "listjobs" and len(aws.named("submitjob")) == 1:
            aws.on_call = lambda _: None
            aws.refuse("submitjob", "AccessDeniedException", "not now", status=403)

    arguments = (
        *("--csv", str(table_of(tmp_path, 10_001)), "--yes", "--skip-existing"),
        *("--env", "N_JOBS=7"),  # so that these are no arrays of an earlier test
    )
    aws.on_call = refuse_the_second
    broken = submit(aws, tmp_path, *arguments)
    assert broken.returncode == 1
    assert "access denied" in broken.stderr
    [first] = broken.stdout.split()
    rest = submit(aws, tmp_path, *arguments)
    assert rest.returncode == 0, rest.stderr
    assert rest.stdout.split()[0] == first
    assert len(rest.stdout.split()) == 2
    assert len(aws.named("submitjob")) == 3


def test_follow_is_refused_for_several_arrays(aws: AwsServer, tmp_path: Path) -> None:
    done = submit(aws, tmp_path, "--csv", str(table_of(tmp_path, 10_001)), "--yes", "--follow")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--follow is for one array, not 2; leave it out." in done.stderr
    assert all(map(is_look, aws.calls))
