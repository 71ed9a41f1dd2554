"""A SpikeGLX folder goes from S3 through two sorters to S3."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Simulated
from tests.support.fault_proxy import FaultProxy, Request, is_read, is_write
from tests.support.job import ONE_WORKER, Job, assert_succeeded, run_job, s3_access
from tests.support.recordings import SpikeGlxRun, write_spikeglx
from tests.support.servers import SECRET_KEY, S3Server
from tests.support.sorted_results import (
    assert_complete,
    download_folder,
    files_with,
    n_true_units_found,
    upload_folder,
)

pytestmark = [pytest.mark.integration, pytest.mark.sorting]

BUCKET = "spikeglx"
SOURCE = "raw/mouse_g0"
TARGET = "results/mouse_g0"
SORTERS = ["simple", "spykingcircus2"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The job, its requests to the server, and its results as fetched from the target."""

    job: Job
    requests: list[Request]
    results: Path


@pytest.fixture(scope="module")
def published(
    tmp_path_factory: pytest.TempPathFactory,
    moto_s3: S3Server,
    s3_proxy: FaultProxy,
    simulated: Simulated,
) -> Published:
    folder = tmp_path_factory.mktemp("spikeglx")
    layout = SpikeGlxRun(with_lf=True, with_nidq=True)
    moto_s3.client.create_bucket(Bucket=BUCKET)
    run_folder = write_spikeglx(folder / "source", simulated.recording, layout)
    upload_folder(moto_s3.client, run_folder, BUCKET, SOURCE)
    job = run_job(
        folder / "job",
        ONE_WORKER
        | s3_access(s3_proxy.url)
        | {
            "AWS_S3_BUCKET": BUCKET,
            "AWS_S3_BUCKET_FOLDER": f"{SOURCE}/",
            "DATA_TYPE": "spikeglx",
            "SORTERS": ",".join(SORTERS),
            "TARGET_AWS_S3_BUCKET": BUCKET,
            "TARGET_AWS_S3_BUCKET_FOLDER": TARGET,
            "RUN_IDENTIFIER": "mouse, gate 0",
        },
    )
    results = download_folder(moto_s3.client, BUCKET, TARGET, folder / "published")
    return Published(job=job, requests=list(s3_proxy.counts.requests), results=results)


def test_the_job_succeeds(published: Published) -> None:
    assert_succeeded(published.job)
    assert published.job.outcomes() == dict.fromkeys(SORTERS, "sorted")


def test_the_target_has_the_tree_of_the_contract(published: Published) -> None:
    assert_complete(published.results, SORTERS)


def test_the_target_and_the_results_folder_are_the_same(published: Published) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        files = [file for file in folder.rglob("*") if file.is_file()]
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}

    here, there = contents(published.job.results), contents(published.results)
    assert here.keys() == there.keys()
    # the log goes on for the few lines that tell of its own upload
    assert here.pop("run.log").startswith(there.pop("run.log"))
    assert [name for name in here if here[name] != there[name]] == []


@pytest.mark.parametrize("sorter", SORTERS)
def test_the_true_units_are_found(published: Published, simulated: Simulated, sorter: str) -> None:
    assert n_true_units_found(published.results, sorter, simulated.truth) == 3


def test_only_the_files_of_the_stream_are_fetched(published: Published) -> None:
    reads = [request.path for request in published.requests if is_read(request)]
    fetched = {
        found.group() for path in reads if (found := re.search(r"(ap|lf|nidq)\.(bin|meta)", path))
    }
    assert fetched == {"ap.bin", "ap.meta"}


def test_the_record_is_the_last_object_written(published: Published) -> None:
    written = [
        request.path.partition("?")[0]
        for request in published.requests
        if is_write(request) and "/claim.json" not in request.path  # renewed until all is over
    ]
    assert written[-1] == f"/{BUCKET}/{TARGET}/run.json"
    assert [path for path in written if path.endswith("/run.json")] == written[-1:]


def test_a_sorting_is_published_before_the_next_sorter_runs(published: Published) -> None:
    """And its analysis before the next one begins."""
    lines = published.job.log.splitlines()

    def line_with(text: str) -> int:
        return next(number for number, line in enumerate(lines) if text in line)

    published_first = line_with("publish simple/raw_sorting done")
    assert published_first < line_with("sort with spykingcircus2 ...")
    assert line_with("publish simple done") < line_with("analyze spykingcircus2 ...")


def test_the_record_describes_the_recording(published: Published, simulated: Simulated) -> None:
    record = published.job.record
    assert record["run_identifier"] == "mouse, gate 0"
    assert record["source"]["location"] == f"s3://{BUCKET}/{SOURCE}"
    assert record["source"]["n_files"] == 2
    facts = record["recording"]
    assert facts["n_channels"] == 16
    assert facts["sampling_frequency_hz"] == 30000.0
    assert facts["duration_s"] == 10.0
    steps = [step["name"] for step in record["preprocessing"]["steps"]]
    assert steps[0] == "phase_shift"


def test_the_record_has_time_and_memory(published: Published, simulated: Simulated) -> None:
    job = published.job
    n_bytes = 300_000 * 17 * 2  # 16 channels and the sync channel
    assert job.step("fetch")["size_bytes"] == pytest.approx(n_bytes, rel=0.01)
    assert job.step("preprocess")["size_bytes"] == 300_000 * 16 * 2
    assert job.step("publish simple")["size_bytes"] > 10_000
    assert all(step["seconds"] >= 0 for step in job.record["steps"])
    assert {"spikeinterface", "python", "numpy"} <= job.record["versions"].keys()
    for run in job.record["sorters"]:
        assert run["n_units"] >= 3
        assert run["seconds"] > 0
        assert run["peak_memory_bytes"] > 100 * 1024**2


def test_no_secret_leaves_the_job(published: Published) -> None:
    assert published.job.record["settings"]["AWS_SECRET_ACCESS_KEY"] == "***"
    assert files_with(published.results, SECRET_KEY) == []
    assert SECRET_KEY not in published.job.log + published.job.output
