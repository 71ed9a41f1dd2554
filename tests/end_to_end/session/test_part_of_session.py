"""`--part-of-session`: the exit code of a stream's job, for the gathering job that waits for it."""

import json
from pathlib import Path

import pytest

from tests.support.job import ONE_WORKER, Job, run_job, s3_access
from tests.support.servers import S3Server, free_port

pytestmark = [pytest.mark.integration]

BUCKET = "parts"


@pytest.fixture(scope="module", autouse=True)
def _bucket(moto_s3: S3Server) -> None:
    moto_s3.client.create_bucket(Bucket=BUCKET)


def run_part(folder: Path, s3: S3Server, *arguments: str, **others: str) -> Job:
    source = folder / "source"
    source.mkdir()
    (source / "run_g0_t0.imec0.ap.bin").write_bytes(b"12" * 1000)
    (source / "run_g0_t0.imec0.ap.meta").write_text("what is left of it\n")
    given = {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": "spikeglx",
        "READ_RECORDING_KWARGS": '{"stream_id": "imec0.ap"}',
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": BUCKET,
        "TARGET_AWS_S3_BUCKET_FOLDER": folder.name,
    }
    return run_job(folder, ONE_WORKER | s3_access(s3.url) | given | others, *arguments)


def test_failure_that_was_published_is_left_to_the_gathering_job(
    moto_s3: S3Server, tmp_path: Path
) -> None:
    job = run_part(tmp_path, moto_s3, "--part-of-session")
    assert job.exit_code == 0, job.log
    assert job.errors
    assert "exit code 65 is in run.json" in job.log
    key = f"{tmp_path.name}/run.json"
    content = moto_s3.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert json.loads(content)["exit_code"] == 65


def test_failure_keeps_its_code_without_the_option(moto_s3: S3Server, tmp_path: Path) -> None:
    assert run_part(tmp_path, moto_s3).exit_code == 65


def test_failure_that_cannot_be_published_keeps_its_code(moto_s3: S3Server, tmp_path: Path) -> None:
    others = {"TARGET_AWS_S3_BUCKET": "there-is-none"}
    job = run_part(tmp_path, moto_s3, "--part-of-session", **others)
    assert job.exit_code == 73, job.log


def test_malformed_settings_keep_their_code(moto_s3: S3Server, tmp_path: Path) -> None:
    assert run_part(tmp_path, moto_s3, "--part-of-session", N_JOBS="many").exit_code == 78


def test_lost_network_keeps_the_code_that_batch_retries(moto_s3: S3Server, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    job = run_part(tmp_path, moto_s3, "--part-of-session", AWS_ENDPOINT_URL=nobody)
    assert job.exit_code == 75, job.log
