"""No secret of a job is in anything that it writes, however it ends."""

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.job import ONE_WORKER, Job, run_job, sorter_processes, start_job, wait_for_log
from tests.support.planted_secrets import PLANTED, leaking_files, leaking_objects, leaks
from tests.support.recordings import write_spikeglx
from tests.support.servers import REGION, S3Server
from tests.support.sorted_results import upload_folder

pytestmark = [pytest.mark.integration, UNSAVED_PROVENANCE]

BUCKET = "secretive"
SOURCE = "raw"

#: one that only lets in who knows it, in a URL
PASSWORD = "planted-password-of-the-endpoint"


@pytest.fixture(scope="module")
def settings(
    tmp_path_factory: pytest.TempPathFactory, moto_s3: S3Server, simulated: Simulated
) -> Mapping[str, str]:
    """A job from S3 to S3 with a secret in every variable that takes one."""
    moto_s3.client.create_bucket(Bucket=BUCKET)
    source = write_spikeglx(tmp_path_factory.mktemp("source"), simulated.recording)
    upload_folder(moto_s3.client, source, BUCKET, SOURCE)
    return {
        **PLANTED,
        "AWS_ENDPOINT_URL": moto_s3.url,
        "AWS_REGION_NAME": REGION,
        "AWS_S3_BUCKET": BUCKET,
        "AWS_S3_BUCKET_FOLDER": SOURCE,
        "DATA_TYPE": "spikeglx",
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": BUCKET,
        "RUN_IDENTIFIER": "secretive",
    }


def assert_nothing_leaks(job: Job, moto_s3: S3Server) -> None:
    """Neither here nor at the target; and what was searched was really written."""
    assert leaks(job.output) == []
    assert leaks(job.log) == []
    assert leaking_files(job.folder) == {}
    assert leaking_objects(moto_s3.client, BUCKET) == {}
    shown = json.loads((job.results / "run.json").read_text())["settings"]
    assert {name: shown[name] for name in PLANTED} == dict.fromkeys(PLANTED, "***")
    assert (job.results / "run.log").is_file()
    assert (job.results / "report.html").is_file()


@pytest.mark.sorting
def test_successful_job_hides_secrets(
    tmp_path: Path, moto_s3: S3Server, settings: Mapping[str, str]
) -> None:
    job = run_job(
        tmp_path / "job",
        {**ONE_WORKER, **settings, "TARGET_AWS_S3_BUCKET_FOLDER": "right", "EXPORTS": "nwb,phy"},
    )
    assert job.exit_code == 0, job.log
    assert_nothing_leaks(job, moto_s3)
    published = moto_s3.client.list_objects_v2(Bucket=BUCKET, Prefix="right/")["Contents"]
    names = {entry["Key"].removeprefix("right/") for entry in published}
    assert {"run.json", "run.log", "report.html"} < names


def test_refused_job_hides_secrets(
    tmp_path: Path, moto_s3: S3Server, settings: Mapping[str, str]
) -> None:
    variables = {**settings, "AWS_S3_BUCKET_FOLDER": "no/such/folder"}
    job = run_job(tmp_path / "job", {**variables, "TARGET_AWS_S3_BUCKET_FOLDER": "refused"})
    assert job.exit_code == 66, job.log
    assert_nothing_leaks(job, moto_s3)


def test_job_with_a_bug_hides_secrets(
    tmp_path: Path, moto_s3: S3Server, settings: Mapping[str, str]
) -> None:
    """A file where a sorting goes is nothing that the program knows to expect: it stops with the
    traceback of a bug."""
    simple = tmp_path / "job" / "results" / "simple"
    simple.mkdir(parents=True)
    (simple / "raw_sorting").touch()
    variables = {**ONE_WORKER, **settings, "TARGET_AWS_S3_BUCKET_FOLDER": "bug"}
    job = run_job(tmp_path / "job", variables)
    assert job.exit_code == 1, job.log
    assert "Traceback (most recent call last)" in job.log
    assert_nothing_leaks(job, moto_s3)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
def test_refused_settings_hide_secrets(
    tmp_path: Path, settings: Mapping[str, str], name: str
) -> None:
    """A pair of credentials of which half is missing, and a variable that is misspelt."""
    variables = {**settings, f"{name}X": settings[name], "SORTERS_KWARGS": "{"}
    del variables[name]
    job = run_job(tmp_path / "job", variables)
    assert job.exit_code == 78, job.log
    assert leaks(job.output) + leaks(job.log) == []
    assert leaking_files(job.folder) == {}


def test_password_in_endpoint_url_is_hidden_in_job(
    tmp_path: Path, moto_s3: S3Server, settings: Mapping[str, str]
) -> None:
    address = moto_s3.url.replace("://", f"://somebody:{PASSWORD}@")
    job = run_job(tmp_path / "job", {**settings, "AWS_ENDPOINT_URL": address}, "--check")
    job_too = run_job(tmp_path / "job2", {**settings, "AWS_ENDPOINT_URL": address, "SORTERS": "no"})
    for ended in (job, job_too):
        assert PASSWORD not in ended.output + ended.log
        for file in ended.folder.rglob("*"):
            assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


@pytest.mark.sorting
def test_sorters_get_no_secret(tmp_path: Path, simulated: Simulated) -> None:
    """Neither those of this program nor those that others have put into the environment.

    Nor can they read the job's own in the environment of its process, or work where its `.env` is.
    """
    write_spikeglx(tmp_path / "source", simulated.recording)
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / ".env").write_text("N_JOBS=1\n")
    others = {
        "GITHUB_TOKEN": "planted-token",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/planted",
        "HTTPS_PROXY": f"http://user:{PASSWORD}@proxy:3128",
    }
    variables = {
        **PLANTED,
        **others,
        "SOURCE_FOLDER": "../source",
        "DATA_TYPE": "spikeglx",
        "SORTERS": "simple",
        "RUN_IDENTIFIER": str(uuid.uuid4()),
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
    }
    with start_job(tmp_path / "job", variables) as process:
        wait_for_log(process, "sort with simple ...")
        time.sleep(1.0)  # until it has started
        sorter = sorter_processes(variables["RUN_IDENTIFIER"])[0]
        environment = Path(f"/proc/{sorter}/environ").read_bytes()
        of_the_job = Path(f"/proc/{process.pid}/environ").read_bytes()
        working = [Path(f"/proc/{number}/cwd") for number in (process.pid, sorter)]
        assert [list(folder.iterdir()) for folder in working] == [[], []]
    assert leaks(environment) == []
    assert leaks(of_the_job) == []
    assert variables["RUN_IDENTIFIER"].encode() in of_the_job
    names = {entry.partition(b"=")[0].decode() for entry in environment.split(b"\0")}
    assert not names & {*PLANTED, *others}
    assert {"PATH", "HOME", "NUMBA_CACHE_DIR"} <= names
