"""How sorters end: sorted, without units, or failed, and what the job makes of it."""

import os
import signal
import time
import uuid
from pathlib import Path

import pytest
import spikeinterface as si
from spikeinterface.core import BaseRecording

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.job import (
    ONE_WORKER,
    Job,
    assert_succeeded,
    run_job,
    s3_access,
    sorter_processes,
    start_job,
    wait_for_log,
)
from tests.support.recordings import write_binary_folder
from tests.support.servers import S3Server
from tests.support.sorted_results import (
    assert_complete,
    download_folder,
    keys_below,
    n_true_units_found,
)

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

BUCKET = "outcomes"
TARGET = "one-fails"

#: a type that lupin accepts, and a mode that it does not have
IMPOSSIBLE = '{"lupin": {"cache_preprocessing_mode": "nowhere"}}'


@pytest.fixture(scope="module")
def one_failed(
    tmp_path_factory: pytest.TempPathFactory, moto_s3: S3Server, simulated: Simulated
) -> Job:
    folder = tmp_path_factory.mktemp("one_failed")
    moto_s3.client.create_bucket(Bucket=BUCKET)
    return run_job(
        folder / "job",
        ONE_WORKER
        | s3_access(moto_s3.url)
        | {
            "SOURCE_FOLDER": str(write_binary_folder(folder / "source", simulated.recording)),
            "DATA_TYPE": "binary",
            "SORTERS": "lupin,simple,spykingcircus2",
            "SORTERS_KWARGS": IMPOSSIBLE,
            "TARGET_AWS_S3_BUCKET": BUCKET,
            "TARGET_AWS_S3_BUCKET_FOLDER": TARGET,
        },
    )


def test_job_with_a_failed_sorter_does_not_exit_with_0(one_failed: Job) -> None:
    assert one_failed.exit_code == 70
    assert "Traceback" not in one_failed.log
    assert one_failed.errors[-1].startswith("1 of 3 sorters failed (lupin: ")
    assert one_failed.errors[-1].endswith("what the others found is in the results")
    assert list(one_failed.scratch.iterdir()) == []


def test_record_has_the_reason_of_the_failure(one_failed: Job) -> None:
    record = one_failed.record
    assert (record["status"], record["exit_code"]) == ("failed", 70)
    assert one_failed.outcomes() == {
        "lupin": "failed",
        "simple": "sorted",
        "spykingcircus2": "sorted",
    }
    [failed, *_] = record["sorters"]
    assert "wrong mode=nowhere" in failed["reason"]
    assert failed["reason"].endswith("see lupin/output.log")
    assert failed["parameters"]["cache_preprocessing_mode"] == "nowhere"


def test_results_of_other_sorters_are_at_the_target(
    one_failed: Job, moto_s3: S3Server, simulated: Simulated, tmp_path: Path
) -> None:
    results = download_folder(moto_s3.client, BUCKET, TARGET, tmp_path)
    assert_complete(results, ["simple", "spykingcircus2"])
    for sorter in ("simple", "spykingcircus2"):
        assert n_true_units_found(results, sorter, simulated.truth) == 3
    assert (results / "run.json").read_text() == (one_failed.results / "run.json").read_text()


def test_log_of_the_failed_sorter_is_at_the_target(
    one_failed: Job, moto_s3: S3Server, tmp_path: Path
) -> None:
    keys = keys_below(moto_s3.client, BUCKET, f"{TARGET}/lupin")
    assert f"{TARGET}/lupin/output.log" in keys
    assert f"{TARGET}/lupin/sorter_log.json" in keys
    assert not [key for key in keys if "/sorting/" in key]


def test_successful_sorters_are_compared(one_failed: Job, simulated: Simulated) -> None:
    consensus = si.load(one_failed.results / "comparison" / "consensus")
    assert consensus.get_num_units() == one_failed.record["n_consensus_units"] == 3
    lines = (one_failed.results / "comparison" / "agreement.csv").read_text().splitlines()
    assert lines[0] == "sorter_1,unit_1,sorter_2,unit_2,agreement"
    agreements = [line.split(",") for line in lines[1:]]
    assert {(row[0], row[2]) for row in agreements} == {("simple", "spykingcircus2")}
    assert len(agreements) == 3
    assert all(float(row[4]) > 0.8 for row in agreements)


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory, noise: BaseRecording) -> Path:
    return write_binary_folder(tmp_path_factory.mktemp("silent") / "source", noise)


def test_recording_without_spikes_is_no_failure(tmp_path: Path, silent: Path) -> None:
    job = run_job(
        tmp_path,
        ONE_WORKER
        | {
            "SOURCE_FOLDER": str(silent),
            "DATA_TYPE": "binary",
            "SORTERS": "simple,tridesclous2",
        },
    )
    assert_succeeded(job)
    assert set(job.outcomes().values()) == {"no_units"}, job.record["sorters"]
    assert len(job.outcomes()) == 2
    for run in job.record["sorters"]:
        assert run["n_units"] == 0
        assert run["reason"]
        assert (job.results / run["sorter"] / "output.log").is_file()
        assert not (job.results / run["sorter"] / "sorting").exists()
    assert job.record["n_consensus_units"] is None


def test_killed_sorter_does_not_end_the_job(tmp_path: Path, silent: Path) -> None:
    """As the kernel kills one that needs more memory than there is."""
    variables = {
        "SOURCE_FOLDER": str(silent),
        "DATA_TYPE": "binary",
        "SORTERS": "tridesclous2,simple",
        "RUN_IDENTIFIER": str(uuid.uuid4()),
    }
    with start_job(tmp_path, variables) as process:
        log = wait_for_log(process, "sort with tridesclous2 ...")
        time.sleep(1.0)  # until it has started
        started = sorter_processes(variables["RUN_IDENTIFIER"])
        [sorter] = [number for number in started if os.getpgid(number) == number]
        os.kill(sorter, signal.SIGKILL)
        output, rest = process.communicate(timeout=120)
    job = Job(folder=tmp_path, exit_code=process.returncode, output=output, log=log + rest)
    assert job.exit_code == 70
    assert "Traceback" not in job.log
    assert job.outcomes() == {"tridesclous2": "failed", "simple": "no_units"}
    reason = job.record["sorters"][0]["reason"]
    assert reason == (
        "killed by SIGKILL, as the kernel does when memory runs out; ask for more memory"
    )
