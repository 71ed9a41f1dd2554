"""The machine is taken back in the middle of a job: what was finished is kept, and soon."""

import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import spikeinterface as si

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.fault_proxy import Fault, FaultProxy, is_read, is_write
from tests.support.job import (
    Job,
    processes_with_variable,
    s3_access,
    start_job,
    wait_for_log,
)
from tests.support.recordings import write_binary_folder
from tests.support.servers import S3Server
from tests.support.sorted_results import download_folder, n_true_units_found, upload_folder

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

BUCKET = "interrupted"

#: what Docker and Batch allow between SIGTERM and SIGKILL
GRACE_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Interrupted:
    """A job that was stopped, and what remains of it."""

    job: Job
    #: from the signal to the end
    seconds: float
    #: the job's own processes when the signal came, and once it had ended
    running: list[int]
    left: list[int]


@pytest.fixture(scope="module")
def source(
    tmp_path_factory: pytest.TempPathFactory, moto_s3: S3Server, simulated: Simulated
) -> Path:
    """The recording in a folder, and the same on S3 below `source`."""
    folder = write_binary_folder(tmp_path_factory.mktemp("source") / "source", simulated.recording)
    moto_s3.client.create_bucket(Bucket=BUCKET)
    upload_folder(moto_s3.client, folder, BUCKET, "source")
    return folder


def interrupt(
    folder: Path,
    variables: dict[str, str],
    text: str,
    patience_s: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> Interrupted:
    """Start a job, and stop it `patience_s` after the line with `text` in its log; `meanwhile` is
    called just before."""
    identifier = str(uuid.uuid4())
    with start_job(folder, variables | {"RUN_IDENTIFIER": identifier}) as process:
        log = wait_for_log(process, text)
        time.sleep(patience_s)
        meanwhile()
        running = processes_with_variable("RUN_IDENTIFIER", identifier)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output, rest = process.communicate(timeout=120)
        seconds = time.monotonic() - started
        left = processes_with_variable("RUN_IDENTIFIER", identifier)
    job = Job(folder=folder, exit_code=process.returncode, output=output, log=log + rest)
    return Interrupted(job=job, seconds=seconds, running=running, left=left)


def assert_left_in_time(interrupted: Interrupted) -> None:
    assert interrupted.job.exit_code == 75, interrupted.job.log
    assert interrupted.seconds < GRACE_S
    assert interrupted.left == []
    [kept] = interrupted.job.scratch.iterdir()  # for the next attempt
    assert kept.name.startswith("spikeinterface-cloud-job-")
    assert "Traceback" not in interrupted.job.log
    [message] = interrupted.job.errors
    assert message == (
        "stopped by SIGTERM; finished results are published, run the job again for the rest"
    )


@pytest.fixture(scope="module")
def while_sorting(
    tmp_path_factory: pytest.TempPathFactory, s3_proxy: FaultProxy, source: Path
) -> Interrupted:
    s3_proxy.clear()
    variables = s3_access(s3_proxy.url) | {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": "binary",
        "SORTERS": "simple,kilosort4",
        "SORTERS_KWARGS": '{"kilosort4": {"torch_device": "cpu"}}',
        "TARGET_AWS_S3_BUCKET": BUCKET,
        "TARGET_AWS_S3_BUCKET_FOLDER": "while-sorting",
    }
    folder = tmp_path_factory.mktemp("while_sorting")
    # the second sorter, which takes longest, has run since the analysis of the first one began
    return interrupt(folder, variables, "publish simple done", patience_s=1.0)


def test_a_sorter_is_stopped_in_time(while_sorting: Interrupted) -> None:
    assert len(while_sorting.running) >= 2, "the job had no sorter running when it was stopped"
    assert_left_in_time(while_sorting)


def test_results_of_the_first_sorter_are_at_the_target(
    while_sorting: Interrupted,
    moto_s3: S3Server,
    s3_proxy: FaultProxy,
    simulated: Simulated,
    tmp_path: Path,
) -> None:
    results = download_folder(moto_s3.client, BUCKET, "while-sorting", tmp_path)
    assert n_true_units_found(results, "simple", simulated.truth) == 3
    si.load_sorting_analyzer(results / "simple" / "analyzer.zarr")
    assert "stopped by SIGTERM" in while_sorting.job.record["error"]
    assert (results / "run.json").read_text() == (
        while_sorting.job.results / "run.json"
    ).read_text()
    assert "sort with kilosort4 stopped after" in (results / "run.log").read_text()
    assert "The job was stopped before its units could" in (results / "report.html").read_text()
    written = [
        request.path
        for request in s3_proxy.counts.requests
        if is_write(request) and "/claim.json" not in request.path  # renewed until all is over
    ]
    assert written[-1].partition("?")[0] == f"/{BUCKET}/while-sorting/run.json"


def test_record_is_marked_interrupted(while_sorting: Interrupted) -> None:
    record = while_sorting.job.record
    assert (record["status"], record["exit_code"]) == ("interrupted", 75)
    assert while_sorting.job.outcomes() == {"simple": "sorted"}


def test_the_analysis_is_stopped_in_time(tmp_path: Path, moto_s3: S3Server, source: Path) -> None:
    variables = s3_access(moto_s3.url) | {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": "binary",
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": BUCKET,
        "TARGET_AWS_S3_BUCKET_FOLDER": "while-analyzing",
    }
    interrupted = interrupt(tmp_path / "job", variables, "analyze simple ...", patience_s=0.3)
    assert_left_in_time(interrupted)
    results = download_folder(moto_s3.client, BUCKET, "while-analyzing", tmp_path / "published")
    assert interrupted.job.record["status"] == "interrupted"
    assert (results / "run.json").is_file()
    assert (results / "run.log").is_file()


def test_a_stalled_download_is_stopped_in_time(
    tmp_path: Path, moto_s3: S3Server, s3_proxy: FaultProxy, source: Path
) -> None:
    s3_proxy.clear()
    s3_proxy.inject(
        Fault(
            kind="stall",
            after_bytes=1000,
            times=1000,
            matches=lambda request: is_read(request) and ".raw" in request.path,
        )
    )
    variables = s3_access(s3_proxy.url) | {
        "AWS_S3_BUCKET": BUCKET,
        "AWS_S3_BUCKET_FOLDER": "source",
        "DATA_TYPE": "binary",
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": BUCKET,
        "TARGET_AWS_S3_BUCKET_FOLDER": "while-fetching",
    }
    interrupted = interrupt(tmp_path / "job", variables, "fetching ", patience_s=2.0)
    s3_proxy.clear()
    assert_left_in_time(interrupted)
    results = download_folder(moto_s3.client, BUCKET, "while-fetching", tmp_path / "published")
    assert "fetch stopped after" in (results / "run.log").read_text()
    assert interrupted.job.record["status"] == "interrupted"


def test_unreachable_server_does_not_delay_the_exit(
    tmp_path: Path, s3_proxy: FaultProxy, source: Path
) -> None:
    s3_proxy.clear()
    variables = s3_access(s3_proxy.url) | {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": "binary",
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": BUCKET,
        "TARGET_AWS_S3_BUCKET_FOLDER": "gone",
    }
    gone = Fault(kind="status", status=503, times=100_000, matches=lambda _: True)
    interrupted = interrupt(
        tmp_path / "job", variables, "sort with simple ...", 1.0, lambda: s3_proxy.inject(gone)
    )
    s3_proxy.clear()
    assert interrupted.job.exit_code == 75, interrupted.job.log
    assert interrupted.seconds < GRACE_S
    assert interrupted.job.record["status"] == "interrupted"
    assert "publishing failed as well" in interrupted.job.log


def test_job_that_is_stopped_while_it_writes_the_archive_leaves_none_of_it(tmp_path: Path) -> None:
    variables = {
        "TEST_WITH_TOY_RECORDING": "true",
        "READ_RECORDING_KWARGS": '{"durations": [60.0], "num_channels": 32}',
        "SORTERS": "simple",
        "ARCHIVE": "zarr",
    }
    interrupted = interrupt(tmp_path, variables, "archive ...", patience_s=0.0)
    assert_left_in_time(interrupted)
    assert sorted(file.name for file in interrupted.job.results.iterdir()) == [
        "report.html",
        "run.json",
        "run.log",
    ]
    assert interrupted.job.record["archive"] is None
