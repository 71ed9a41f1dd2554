"""A job that is killed at any moment, and the attempts that follow it: nothing that was finished is
done again, and nothing of another job is taken for it."""

import json
import os
import signal
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import spikeinterface as si

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.job import (
    LOG_PREFIX,
    ONE_WORKER,
    Job,
    assert_refused,
    assert_succeeded,
    processes_with_variable,
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
    upload_folder,
)

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

BUCKET = "resumed"
TARGET = "results"

#: makes the job write a file of its own to scratch
FILTER = '[{"name": "highpass_filter", "params": {"freq_min": 250.0}}]'

#: a machine that is slow takes its time to end a process
END_TIMEOUT_S = 30


class Attempts:
    """One Batch job and its attempts, which share a host."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.identifier = str(uuid.uuid4())
        self.variables = {
            **ONE_WORKER,
            **variables,
            "RUN_IDENTIFIER": self.identifier,
            "AWS_BATCH_JOB_ID": self.identifier,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.number = 0

    def killed_at(self, text: str, patience_s: float = 0.0) -> str:
        """Run the next attempt until its log has the text, and kill it so long after; its log."""
        with start_job(self.folder, self._next()) as process:
            log = wait_for_log(process, text, timeout_s=800)
            time.sleep(patience_s)
            process.send_signal(signal.SIGKILL)
            self._end_workers()
            _, rest = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        return log + rest

    def _end_workers(self) -> None:
        """Kill the job's own workers, as the end of a container does; the sorter sees to itself."""
        sorters = sorter_processes(self.identifier)
        for number in processes_with_variable("RUN_IDENTIFIER", self.identifier):
            with suppress(ProcessLookupError):
                if number not in sorters:
                    os.kill(number, signal.SIGKILL)

    def ended(self, **changed: str) -> Job:
        """Run the next attempt to its end."""
        return run_job(self.folder, self._next() | changed)

    def _next(self) -> dict[str, str]:
        self.number += 1
        return self.variables | {"AWS_BATCH_JOB_ATTEMPT": str(self.number)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> Path:
    return write_binary_folder(tmp_path_factory.mktemp("source") / "source", simulated.recording)


@pytest.fixture(scope="module", params=["moto_s3", "rgw_s3"])
def killed(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    moto_s3: S3Server,
    source: Path,
) -> tuple[Attempts, list[str]]:
    """A job that is killed in the first sorter's analysis, in the second sorter, and while it
    publishes the last results, having done what was left; the logs of these attempts."""
    server: S3Server = request.getfixturevalue(request.param)
    moto_s3.client.create_bucket(Bucket=BUCKET)
    for key in keys_below(moto_s3.client, BUCKET, TARGET):  # of the series on the other server
        moto_s3.client.delete_object(Bucket=BUCKET, Key=key)
    upload_folder(moto_s3.client, source, BUCKET, "source")
    variables = s3_access(server.url) | {
        "AWS_S3_BUCKET": BUCKET,
        "AWS_S3_BUCKET_FOLDER": "source",
        "DATA_TYPE": "binary",
        "PREPROCESSING": FILTER,
        "SORTERS": "simple,spykingcircus2",
        "TARGET_AWS_S3_BUCKET": BUCKET,
        "TARGET_AWS_S3_BUCKET_FOLDER": TARGET,
    }
    attempts = Attempts(tmp_path_factory.mktemp("killed"), variables)
    logs = [attempts.killed_at("analyze simple ...", patience_s=1.0)]
    moto_s3.client.put_object(Bucket=BUCKET, Key=f"{TARGET}/simple/my_notes.txt", Body=b"mine")
    logs.append(attempts.killed_at("sort with spykingcircus2 ...", patience_s=2.0))
    deadline = time.monotonic() + END_TIMEOUT_S
    while (
        processes_with_variable("RUN_IDENTIFIER", attempts.identifier)
        and time.monotonic() < deadline
    ):
        time.sleep(0.2)
    logs.append(attempts.killed_at("publish report.html ..."))
    return attempts, logs


@pytest.fixture(scope="module")
def resumed(killed: tuple[Attempts, list[str]], moto_s3: S3Server) -> Job:
    """The attempt after those that were killed."""
    assert f"{TARGET}/run.json" not in keys_below(moto_s3.client, BUCKET, TARGET)
    return killed[0].ended()


def steps_of(log: str) -> set[str]:
    """The steps that a log tells the start of."""
    lines = LOG_PREFIX.sub("", log).splitlines()
    return {line.removesuffix(" ...") for line in lines if line.endswith(" ...")}


def test_sorting_survives_a_killed_analysis(killed: tuple[Attempts, list[str]]) -> None:
    _, [first, second, third] = killed
    assert {"sort with simple", "analyze simple"} <= steps_of(first)
    for log in (second, third):
        assert "sort with simple" not in steps_of(log)
        assert "simple has its sorting, without an analysis from 20" in log
    assert {"resume simple", "analyze simple"} <= steps_of(third)


def test_sorters_run_before_an_analysis_that_ended_an_attempt(
    killed: tuple[Attempts, list[str]], resumed: Job
) -> None:
    _, [_, second, third] = killed
    assert "sort with spykingcircus2" in steps_of(second)
    assert "analyze simple" not in steps_of(second)
    assert third.index("analyze spykingcircus2 ...") < third.index("analyze simple ...")
    assert list(resumed.outcomes()) == ["simple", "spykingcircus2"]


def test_files_on_scratch_are_reused(killed: tuple[Attempts, list[str]]) -> None:
    _, [_, second, third] = killed
    for log in (second, third):
        assert "fetch done in" in log
        [moved] = [line for line in log.splitlines() if "fetch done in" in line]
        assert moved.endswith(", 0 Bytes")
        assert "the preprocessed recording of an earlier attempt is reused" in log


def test_only_the_interrupted_sorter_runs_again(killed: tuple[Attempts, list[str]]) -> None:
    _, [_, _, third] = killed
    assert "sort with spykingcircus2" in steps_of(third)
    assert "sort with simple" not in steps_of(third)


def test_no_sorter_outlives_its_job(killed: tuple[Attempts, list[str]]) -> None:
    """It would write into the folder that the next attempt sorts in."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while time.monotonic() < deadline:
        left = sorter_processes(killed[0].identifier)
        if not left:
            return
        time.sleep(0.2)
    raise AssertionError(left)


def test_job_that_only_lacks_its_report_sorts_nothing_again(
    resumed: Job, moto_s3: S3Server, simulated: Simulated, tmp_path: Path
) -> None:
    assert_succeeded(resumed)
    assert resumed.outcomes() == {"simple": "resumed", "spykingcircus2": "resumed"}
    assert not [name for name in steps_of(resumed.log) if name.startswith(("sort", "analyze"))]
    results = download_folder(moto_s3.client, BUCKET, TARGET, tmp_path)
    assert_complete(results, ["simple", "spykingcircus2"])
    assert_complete(resumed.results, ["simple", "spykingcircus2"])
    for sorter in ("simple", "spykingcircus2"):
        assert n_true_units_found(results, sorter, simulated.truth) == 3
        assert not (results / sorter / "raw_sorting").exists()
    assert resumed.record["n_consensus_units"] == 3
    assert not (results / "claim.json").exists()


def test_figures_of_the_first_attempt_are_kept(resumed: Job) -> None:
    for run in resumed.record["sorters"]:
        assert run["seconds"] > 0.5
        assert run["labels"]
        assert run["n_units"] == sum(run["labels"].values()) == 3
        assert run["peak_memory_bytes"] > 0


def test_complete_job_ends_at_once(
    resumed: Job, killed: tuple[Attempts, list[str]], moto_s3: S3Server
) -> None:
    before = stored(moto_s3.client, TARGET)
    again = killed[0].ended()
    assert_succeeded(again)
    assert steps_of(again.log) <= {"check", "publish run.log", "publish run.json"}
    assert "there is nothing to do" in again.log
    kept = ("recording", "preprocessing", "source", "sorters", "n_consensus_units", "fingerprint")
    assert {name: again.record[name] for name in kept} == {
        name: resumed.record[name] for name in kept
    }
    after = stored(moto_s3.client, TARGET)
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert changed == {f"{TARGET}/run.json", f"{TARGET}/run.log"}
    body = moto_s3.client.get_object(Bucket=BUCKET, Key=f"{TARGET}/run.json")["Body"].read()
    assert json.loads(body) == again.record


def test_results_of_another_job_at_the_target_are_refused(
    resumed: Job, killed: tuple[Attempts, list[str]], moto_s3: S3Server, tmp_path: Path
) -> None:
    before = stored(moto_s3.client, TARGET)
    other = killed[0].variables | {"AWS_BATCH_JOB_ID": "another", "PREPROCESSING": "none"}
    job = run_job(tmp_path, other)
    assert_refused(
        job,
        73,
        rf"s3://{BUCKET}/{TARGET} holds the results of another job "
        rf"\(simple/, spykingcircus2/; run.json: succeeded {killed[0].identifier} 20.*, "
        rf"fingerprint {resumed.record['fingerprint'][:16]}\); give this job another folder "
        r"\(TARGET_AWS_S3_BUCKET_FOLDER\), or .*OVERWRITE=true "
        r"\(spikeinterface-cloud --overwrite\)",
    )
    assert "fetch" not in steps_of(job.log)
    assert stored(moto_s3.client, TARGET) == before


def test_job_without_a_target_resumes_from_the_results_folder(tmp_path: Path, source: Path) -> None:
    attempts = Attempts(
        tmp_path, {"SOURCE_FOLDER": str(source), "DATA_TYPE": "binary", "SORTERS": "simple"}
    )
    attempts.killed_at("analyze simple ...", patience_s=1.0)
    folder = tmp_path / "results" / "simple"
    assert si.load(folder / "raw_sorting").get_num_units() == 3
    again = attempts.ended()
    assert_succeeded(again)
    assert again.outcomes() == {"simple": "resumed"}
    assert "sort with simple" not in steps_of(again.log)
    assert_complete(again.results, ["simple"])
    assert not (folder / "raw_sorting").exists()
    assert not list((tmp_path / "results").glob(".*"))


def test_another_job_replaces_the_results_with_overwrite_only(tmp_path: Path, source: Path) -> None:
    first = ONE_WORKER | {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": "binary",
        "SORTERS": "simple",
    }
    assert_succeeded(run_job(tmp_path, first))
    (tmp_path / "results" / "simple" / "my_notes.txt").write_text("mine")
    before = contents(tmp_path / "results")
    other = first | {"PREPROCESSING": "none"}
    job = run_job(tmp_path, other)
    assert_refused(job, 73, r"results holds the results of another job \(simple/; .*RESULTS_FOLDER")
    assert contents(tmp_path / "results") == before
    refused = run_job(
        tmp_path, other | {"OVERWRITE": "true", "SORTERS_KWARGS": '{"simple": {"x": 1}}'}
    )
    assert refused.exit_code == os.EX_CONFIG
    assert contents(tmp_path / "results") == before, "a check failed, so that nothing is removed"
    overwritten = run_job(tmp_path, other | {"OVERWRITE": "true"})
    assert_succeeded(overwritten)
    assert "removing the results of another job" in overwritten.log
    assert overwritten.outcomes() == {"simple": "sorted"}
    assert_complete(overwritten.results, ["simple"])
    assert (tmp_path / "results" / "simple" / "my_notes.txt").read_text() == "mine"
    again = run_job(tmp_path, other | {"OVERWRITE": "true"})
    assert_succeeded(again)
    assert again.outcomes() == {"simple": "resumed"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_second_job_at_a_locked_target_is_refused(
    tmp_path: Path, moto_s3: S3Server, source: Path
) -> None:
    """The second one leaves everything to the first."""
    bucket = f"shared-{uuid.uuid4()}"
    moto_s3.client.create_bucket(Bucket=bucket)
    variables = (
        ONE_WORKER
        | s3_access(moto_s3.url)
        | {
            "SOURCE_FOLDER": str(source),
            "DATA_TYPE": "binary",
            "SORTERS": "simple",
            "TARGET_AWS_S3_BUCKET": bucket,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    )
    first = variables | {"AWS_BATCH_JOB_ID": "job-1", "AWS_BATCH_JOB_ATTEMPT": "1"}
    with start_job(tmp_path / "first", first) as process:
        log = wait_for_log(process, "preprocess ...", timeout_s=400)
        second = run_job(
            tmp_path / "second", variables | {"AWS_BATCH_JOB_ID": "job-2"}, timeout_s=400
        )
        output, rest = process.communicate(timeout=800)
    job = Job(
        folder=tmp_path / "first", exit_code=process.returncode, output=output, log=log + rest
    )
    assert second.exit_code == 73, second.log
    assert second.errors == [
        "the target is being written by attempt 1 of Batch job job-1 "
        f"(s3://{bucket}/claim.json); wait until that has ended, or give this job a target of its "
        "own (TARGET_AWS_S3_BUCKET_FOLDER)"
    ]
    assert "sort with" not in second.log
    assert_succeeded(job)
    body = moto_s3.client.get_object(Bucket=bucket, Key="run.json")["Body"].read()
    assert json.loads(body) == job.record


def test_second_job_in_a_results_folder_is_refused(tmp_path: Path, source: Path) -> None:
    variables = {"SOURCE_FOLDER": str(source), "DATA_TYPE": "binary", "SORTERS": "simple"}
    with start_job(tmp_path, variables) as process:
        wait_for_log(process, "check ...", timeout_s=400)
        second = run_job(tmp_path, variables, timeout_s=400)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert second.exit_code == 73, second.log
    assert "another job is writing to" in second.errors[-1]
    assert json.loads((tmp_path / "results" / "run.json").read_text())["status"] == "interrupted"


def stored(client: Any, prefix: str) -> dict[str, str]:
    """The ETag of every object below a prefix."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])}
