"""`--check` tells of every problem at once, and leaves everything as it was."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.fault_proxy import FaultProxy
from tests.support.job import Job, run_job, s3_access
from tests.support.recordings import simulate, write_spikeglx
from tests.support.servers import S3Server
from tests.support.sorted_results import keys_below, upload_folder

pytestmark = [pytest.mark.integration, UNSAVED_PROVENANCE]

BUCKET = "checks"

VARIABLES = {
    "AWS_S3_BUCKET": BUCKET,
    "AWS_S3_BUCKET_FOLDER": "raw",
    "DATA_TYPE": "spikeglx",
    "SORTERS": "simple,spykingcircus2",
    "TARGET_AWS_S3_BUCKET": BUCKET,
    "TARGET_AWS_S3_BUCKET_FOLDER": "results",
    "CUDA_VISIBLE_DEVICES": "",
}


@pytest.fixture(scope="module")
def checked_s3(tmp_path_factory: pytest.TempPathFactory, moto_s3: S3Server) -> S3Server:
    """moto's server with a SpikeGLX run below `raw`, and the record of an earlier run."""
    recording, _ = simulate(duration_s=1.0, n_channels=8, n_units=2)
    moto_s3.client.create_bucket(Bucket=BUCKET)
    run_folder = write_spikeglx(tmp_path_factory.mktemp("check"), recording)
    upload_folder(moto_s3.client, run_folder, BUCKET, "raw")
    moto_s3.client.put_object(Bucket=BUCKET, Key="results/run.json", Body=b"earlier")
    return moto_s3


def check(folder: Path, url: str, **changes: str) -> Job:
    return run_job(folder, s3_access(url) | VARIABLES | changes, "--check")


def refused(folder: Path, url: str, **changes: str) -> Job:
    """The job itself, with a step of preprocessing that does not exist."""
    unknown = {"PREPROCESSING": '[{"name": "highpass_filte"}]'}
    job = run_job(folder, s3_access(url) | VARIABLES | unknown | changes)
    assert job.exit_code == os.EX_CONFIG
    return job


def rows(job: Job) -> dict[str, tuple[str, str]]:
    """The table: how each check ended and what was said, by name."""
    matches = [re.match(r"(.+?)  +(ok|failed) +(.*)", line) for line in job.output.splitlines()]
    assert all(matches), job.output
    return {match[1]: (match[2], match[3]) for match in matches if match}


def test_a_sound_job_is_ok_in_every_row(tmp_path: Path, checked_s3: S3Server) -> None:
    job = check(tmp_path, checked_s3.url)
    assert job.exit_code == 0, job.log
    assert job.errors == []
    table = rows(job)
    assert {state for state, _ in table.values()} == {"ok"}
    assert {
        "results",
        "scratch",
        "sorters",
        "parameters",
        "reader",
        "preprocessing",
        "target",
        "GPU",
        "source",
        "disk",
        "memory",
        "shared memory",
        "earlier results",
    } <= table.keys()
    assert table["sorters"][1] == "simple, spykingcircus2"
    assert table["target"][1] == f"s3://{BUCKET}/results"
    assert table["source"][1].startswith(f"s3://{BUCKET}/raw, ")
    assert table["GPU"][1] == "none needed"
    assert table["earlier results"][1] == "none of another job"


def test_nothing_is_fetched_and_nothing_is_left(tmp_path: Path, checked_s3: S3Server) -> None:
    with FaultProxy(checked_s3.url) as proxy:
        job = check(tmp_path, proxy.url)
        reads = [request.path for request in proxy.reads()]
    assert job.exit_code == 0, job.log
    assert [path for path in reads if ".bin" in path] == []
    assert keys_below(checked_s3.client, BUCKET, "results") == ["results/run.json"]
    record = checked_s3.client.get_object(Bucket=BUCKET, Key="results/run.json")
    assert record["Body"].read() == b"earlier"
    assert list(job.scratch.iterdir()) == []
    assert list(job.results.iterdir()) == []


def test_every_problem_has_its_row_and_its_remedy(tmp_path: Path, checked_s3: S3Server) -> None:
    job = check(
        tmp_path,
        checked_s3.url,
        SORTERS="simple,kilosort4",
        SORTERS_KWARGS='{"simple": {"detect_treshold": 5}}',
        AWS_S3_BUCKET_FOLDER="rw",
        TARGET_AWS_S3_BUCKET="no-such-bucket",
        PREPROCESSING='[{"name": "highpass_filte"}]',
    )
    table = rows(job)
    failed = {name: said for name, (state, said) in table.items() if state == "failed"}
    assert failed.keys() == {"parameters", "preprocessing", "target", "GPU", "source"}
    assert "did you mean detect_threshold?" in failed["parameters"]
    assert "did you mean highpass_filter?" in failed["preprocessing"]
    assert "there is no bucket no-such-bucket" in failed["target"]
    assert '"torch_device": "cpu"' in failed["GPU"]
    assert f"s3://{BUCKET}/rw holds no objects" in failed["source"]
    assert table["sorters"] == ("ok", "simple, kilosort4")
    assert job.exit_code == os.EX_CONFIG
    assert "Traceback" not in job.log


def test_archived_source_has_its_storage_class_and_the_command(
    tmp_path: Path, checked_s3: S3Server
) -> None:
    checked_s3.client.put_object(
        Bucket=BUCKET, Key="archived/a.nwb", Body=b"x", StorageClass="DEEP_ARCHIVE"
    )
    changes = {"AWS_S3_BUCKET_FOLDER": "archived", "DATA_TYPE": "nwb"}
    job = check(tmp_path, checked_s3.url, **changes)
    state, said = rows(job)["source"]
    assert state == "failed"
    assert "in the storage class DEEP_ARCHIVE" in said
    assert f"aws s3api restore-object --bucket {BUCKET} --key archived/a.nwb" in said
    assert job.exit_code == os.EX_NOINPUT


def test_folders_that_cannot_be_used_are_rows_as_well(tmp_path: Path, checked_s3: S3Server) -> None:
    (tmp_path / "results" / "run.log").mkdir(parents=True)
    (tmp_path / "file").touch()
    job = check(
        tmp_path,
        checked_s3.url,
        SCRATCH_FOLDER=str(tmp_path / "file" / "scratch"),
        AWS_S3_BUCKET_FOLDER="rw",
    )
    failed = {name: said for name, (state, said) in rows(job).items() if state == "failed"}
    assert failed.keys() == {"results", "scratch", "source"}
    assert "run.log is a folder, where the job has to write a file" in failed["results"]
    assert f"{tmp_path}/file/scratch cannot be written" in failed["scratch"]
    assert job.exit_code == 73
    assert "Traceback" not in job.log


def test_a_name_that_is_no_sorter_is_looked_for_nowhere(
    tmp_path: Path, checked_s3: S3Server
) -> None:
    job = refused(tmp_path, checked_s3.url, SORTERS=f'["/etc/passwd", "{"a" * 300}"]')
    assert "SORTERS: /etc/passwd is not a sorter" in job.log
    assert "Traceback" not in job.log


def test_settings_are_a_row_as_well(tmp_path: Path, checked_s3: S3Server) -> None:
    job = check(tmp_path, checked_s3.url, N_JOBS="many", EXPORT="nwb")
    assert job.exit_code == os.EX_CONFIG
    [*lines] = job.output.splitlines()
    assert len(lines) == 2
    assert all(re.match(r"settings +failed +(N_JOBS|EXPORT): ", line) for line in lines)
    assert "did you mean EXPORTS?" in job.output


def test_a_run_that_is_refused_leaves_the_results_of_an_earlier_one(
    tmp_path: Path, checked_s3: S3Server
) -> None:
    earlier = tmp_path / "results" / "simple" / "sorting" / "spikes.npy"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"earlier")
    job = refused(tmp_path, checked_s3.url)
    assert earlier.read_bytes() == b"earlier"
    assert keys_below(checked_s3.client, BUCKET, "results") == ["results/run.json"]
    record = checked_s3.client.get_object(Bucket=BUCKET, Key="results/run.json")
    assert record["Body"].read() == b"earlier"
    assert "the results of an earlier run" in job.log


def test_a_run_that_is_refused_leaves_the_record_and_the_report_here_as_well(
    tmp_path: Path, checked_s3: S3Server
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "run.json").write_text('{"sorters": [{"sorter": "simple"}]}')
    (tmp_path / "results" / "report.html").write_text("earlier")
    job = refused(tmp_path, checked_s3.url, TARGET_AWS_S3_BUCKET_FOLDER="spared")
    assert json.loads((tmp_path / "results" / "run.json").read_text())["sorters"]
    assert (tmp_path / "results" / "report.html").read_text() == "earlier"
    assert f"the results of an earlier run in {tmp_path}/results stay as they are" in job.log
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "report.html",
        "run.json",
    ]
    body = checked_s3.client.get_object(Bucket=BUCKET, Key="spared/run.json")["Body"].read()
    assert json.loads(body)["exit_code"] == 78, "at the target there was nothing to spare"
    assert "spared/report.html" not in keys_below(checked_s3.client, BUCKET, "spared")


def test_results_of_another_job_are_a_row(tmp_path: Path, checked_s3: S3Server) -> None:
    key = "another/simple/completed.json"
    checked_s3.client.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    job = check(tmp_path, checked_s3.url, TARGET_AWS_S3_BUCKET_FOLDER="another")
    assert job.exit_code == 73
    state, message = rows(job)["earlier results"]
    assert state == "failed"
    assert message.startswith(f"s3://{BUCKET}/another holds the results of another job (simple/; ")
    job = check(tmp_path, checked_s3.url, TARGET_AWS_S3_BUCKET_FOLDER="another", OVERWRITE="true")
    assert job.exit_code == 0, job.log
    assert rows(job)["earlier results"][1].endswith("will be removed")
    assert keys_below(checked_s3.client, BUCKET, "another") == [key]


def test_a_run_that_is_refused_says_so_where_nothing_was(
    tmp_path: Path, checked_s3: S3Server
) -> None:
    refused(tmp_path, checked_s3.url, TARGET_AWS_S3_BUCKET_FOLDER="refused")
    keys = keys_below(checked_s3.client, BUCKET, "refused")
    assert {"refused/run.json", "refused/run.log"} <= set(keys)
