"""What happens to a job at a bad moment: its Spot instance is taken back, it is stopped while it
publishes, or the disk of its results fills."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.fault_proxy import FaultProxy, Request, is_write
from tests.support.job import ONE_WORKER, Job, s3_access, start_job, wait_for_log
from tests.support.metadata_stand_in import metadata_stand_in
from tests.support.recordings import write_binary_folder
from tests.support.servers import S3Server

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

#: between the notice and the end of a Spot instance
NOTICE_S = 120.0

#: a job that takes longer than this hangs
PATIENCE_S = 800.0

NOTICE = "/latest/meta-data/spot/instance-action"

#: starts a command with 20 MiB of memory in place of the disk of RESULTS_FOLDER
SMALL_DISK = [
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
    'mkdir -p "$RESULTS_FOLDER" && mount -t tmpfs -o size=20m none "$RESULTS_FOLDER" && exec "$@"',
    "sh",
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> Path:
    return write_binary_folder(tmp_path_factory.mktemp("source") / "source", simulated.recording)


def variables(source: Path, url: str, bucket: str, sorters: str) -> dict[str, str]:
    return (
        ONE_WORKER
        | s3_access(url)
        | {
            "SOURCE_FOLDER": str(source),
            "DATA_TYPE": "binary",
            "SORTERS": sorters,
            "TARGET_AWS_S3_BUCKET": bucket,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    )


def record_at(server: S3Server, bucket: str) -> dict[str, Any]:
    body = server.client.get_object(Bucket=bucket, Key="run.json")["Body"].read()
    content: dict[str, Any] = json.loads(body)
    return content


def ended(folder: Path, process: "subprocess.Popen[str]", log: str, timeout_s: float) -> Job:
    output, rest = process.communicate(timeout=timeout_s)
    return Job(folder=folder, exit_code=process.returncode, output=output, log=log + rest)


def stopped_at(
    folder: Path, server: S3Server, bucket: str, source: Path, moment: Callable[[str], bool]
) -> Job:
    """A job that is told to stop when it first writes to such a path at the target."""
    with FaultProxy(server.url) as proxy:
        job_variables = variables(source, proxy.url, bucket, "simple")
        with start_job(folder, job_variables) as process:
            sent = threading.Event()

            def stop(request: Request) -> None:
                if is_write(request) and moment(request.path) and not sent.is_set():
                    sent.set()
                    process.send_signal(signal.SIGTERM)

            proxy.on_request = stop
            job = ended(folder, process, "", PATIENCE_S)
    assert sent.is_set()
    return job


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"\0" * 4096)


def test_recording_that_changes_while_it_is_sorted_is_refused(
    tmp_path: Path, simulated: Simulated
) -> None:
    """Nothing is copied: the sorter and the analysis read the file itself."""
    folder = write_binary_folder(tmp_path / "source", simulated.recording)
    settings = {
        "SOURCE_FOLDER": str(folder),
        "DATA_TYPE": "binary",
        "PREPROCESSING": "none",
        "SORTERS": "simple",
    }
    with start_job(tmp_path / "job", ONE_WORKER | settings) as process:
        log = wait_for_log(process, "analyze simple ...", timeout_s=PATIENCE_S)
        [samples] = folder.glob("*.raw")
        with samples.open("r+b") as file:
            file.write(bytes(1000))
        job = ended(tmp_path / "job", process, log, PATIENCE_S)
    assert job.exit_code == 66, job.log
    [message] = job.errors
    assert message.startswith(f"{samples} changed while the job read it; run the job again when")


def test_reclaimed_spot_instance_publishes_the_log_and_the_record(
    tmp_path: Path, moto_s3: S3Server, bucket: str, source: Path
) -> None:
    with metadata_stand_in() as metadata:
        spot = variables(source, moto_s3.url, bucket, "simple,spykingcircus2") | metadata.environ
        spot["AWS_EC2_METADATA_DISABLED"] = ""
        with start_job(tmp_path, spot) as process:
            log = wait_for_log(process, "analyze simple ...", timeout_s=PATIENCE_S)
            notice = {"action": "terminate", "time": "2026-01-01T10:02:00Z"}
            metadata.documents[NOTICE] = json.dumps(notice).encode()
            job = ended(tmp_path, process, log, NOTICE_S)
    assert job.exit_code == 75, job.log
    [message] = job.errors
    assert message == (
        "the Spot instance is reclaimed (terminate at 2026-01-01T10:02:00Z); finished results are "
        "published, run the job again for the rest"
    )
    record = record_at(moto_s3, bucket)
    assert (record["status"], record["exit_code"]) == ("interrupted", 75)
    assert record["instance"]["life_cycle"] == "spot"
    keys = {entry["Key"] for entry in moto_s3.client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert {"run.log", "report.html", "simple/completed.json"} <= keys
    assert "claim.json" not in keys
    log_at_target = moto_s3.client.get_object(Bucket=bucket, Key="run.log")["Body"].read()
    assert b"stopped after" in log_at_target
    asked = [path for method, path in metadata.requests if method == "GET"]
    assert asked.count(NOTICE) >= 1
    tokens = [path for method, path in metadata.requests if method == "PUT"]
    assert len(tokens) > asked.count(NOTICE), "each question needs a token of its own"


def test_job_stopped_during_the_last_upload_has_one_exit_code_everywhere(
    tmp_path: Path, moto_s3: S3Server, bucket: str, source: Path
) -> None:
    """Exit code, `run.json` here and `run.json` at the target tell the same."""
    job = stopped_at(tmp_path, moto_s3, bucket, source, lambda path: path.endswith("/run.json"))
    assert job.exit_code in (0, 75), job.log
    expected = (0, "succeeded") if job.exit_code == 0 else (75, "interrupted")
    assert (job.record["exit_code"], job.record["status"]) == expected
    assert record_at(moto_s3, bucket) == job.record
    assert job.outcomes() == {"simple": "sorted"}


def test_job_stopped_during_an_upload_publishes_finished_results(
    tmp_path: Path, moto_s3: S3Server, bucket: str, source: Path
) -> None:
    """What was finished and had not left yet leaves on the way out."""
    job = stopped_at(tmp_path, moto_s3, bucket, source, lambda path: "/analyzer.zarr/" in path)
    assert job.exit_code == 75, job.log
    assert record_at(moto_s3, bucket) == job.record
    body = moto_s3.client.get_object(Bucket=bucket, Key="simple/completed.json")["Body"].read()
    completed = json.loads(body)
    assert completed["analyzed"] is True
    assert any(file["path"].startswith("analyzer.zarr/") for file in completed["files"])


def test_full_results_disk_ends_with_the_remedy(
    tmp_path: Path, moto_s3: S3Server, bucket: str, source: Path
) -> None:
    """While the second sorter still runs: neither its log can be kept, nor the job's, nor
    `run.json`."""
    small = {"RESULTS_FOLDER": str(tmp_path / "trial")}
    if subprocess.run([*SMALL_DISK, "true"], env=os.environ | small).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system in a namespace of its own")
    folder = tmp_path / "job"
    job_variables = variables(source, moto_s3.url, bucket, "simple,tridesclous2")
    with start_job(folder, job_variables, launcher=SMALL_DISK) as process:
        log = wait_for_log(process, "publish simple done", timeout_s=PATIENCE_S)
        seen_by_it = Path(f"/proc/{process.pid}/root") / (folder / "results").relative_to("/")
        fill(seen_by_it / "filler")
        job = ended(folder, process, log, PATIENCE_S)
    assert job.exit_code == 69, job.log
    assert "Traceback" not in job.log
    [message] = job.errors
    assert message.startswith("the disk of the results is full: ")
    assert message.endswith("give RESULTS_FOLDER a disk with more space")
    record = record_at(moto_s3, bucket)
    assert (record["status"], record["exit_code"]) == ("failed", 69)
    assert [run["outcome"] for run in record["sorters"]] == ["sorted"]
    keys = {entry["Key"] for entry in moto_s3.client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert {"simple/completed.json", "simple/unit_labels.csv", "run.log"} <= keys
