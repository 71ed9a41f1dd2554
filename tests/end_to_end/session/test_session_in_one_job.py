"""STREAMS: the streams of a session are sorted one after the other, and gathered."""

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.session.record import SessionJson, parse_session
from tests.end_to_end.conftest import Simulated
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.job import ONE_WORKER, Job, run_job, s3_access, start_job, wait_for_log
from tests.support.recordings import SpikeGlxRun, write_spikeglx
from tests.support.servers import S3Server
from tests.support.sorted_results import keys_below

pytestmark = [pytest.mark.integration, pytest.mark.sorting]

TARGET = "results/mouse_g0"


def session_record(results: Path) -> SessionJson:
    return parse_session((results / "session" / "session.json").read_bytes())


def variables(source: Path, **others: str) -> dict[str, str]:
    return ONE_WORKER | {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": "spikeglx",
        "SORTERS": "simple",
        "STREAMS": "all",
        "EXPORTS": "nwb",
        "RUN_IDENTIFIER": "mouse",
        **others,
    }


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> Path:
    """A run of two probes, of which the second one was copied in part."""
    folder = tmp_path_factory.mktemp("session")
    layout = SpikeGlxRun(with_lf=False, with_nidq=True)
    run = write_spikeglx(folder, [simulated.recording, simulated.recording], layout)
    [samples] = run.glob("*/*imec1.ap.bin")
    os.truncate(samples, samples.stat().st_size // 2)
    return run


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorted:
    """A session that was sorted, and what is at its target."""

    job: Job
    variables: dict[str, str]
    target: dict[str, Any]
    keys: list[str]


@pytest.fixture(scope="module")
def sorted_session(
    tmp_path_factory: pytest.TempPathFactory, run_folder: Path, moto_s3: S3Server
) -> Sorted:
    bucket = "sessions"
    moto_s3.client.create_bucket(Bucket=bucket)
    given = variables(
        run_folder,
        **s3_access(moto_s3.url),
        TARGET_AWS_S3_BUCKET=bucket,
        TARGET_AWS_S3_BUCKET_FOLDER=TARGET,
    )
    job = run_job(tmp_path_factory.mktemp("job"), given)
    key = f"{TARGET}/session/session.json"
    content = moto_s3.client.get_object(Bucket=bucket, Key=key)["Body"].read()
    below = keys_below(moto_s3.client, bucket, TARGET)
    keys = [key.removeprefix(f"{TARGET}/") for key in below]
    return Sorted(job=job, variables=given, target=json.loads(content), keys=keys)


def test_a_broken_probe_costs_its_own_stream_alone(sorted_session: Sorted) -> None:
    job = sorted_session.job
    assert job.exit_code == 70, job.log
    record = session_record(job.results)
    good, broken = record.streams
    assert (good.folder, good.status, good.exit_code) == ("imec0.ap", "succeeded", 0)
    assert [run.outcome for run in good.sorters] == ["sorted"]
    assert good.sorters[0].n_units > 0
    assert (broken.folder, broken.status, broken.exit_code) == ("imec1.ap", "failed", 65)
    assert record.status == "failed"
    assert (job.results / "imec0.ap" / "simple" / "sorting").is_dir()
    assert json.loads((job.results / "imec1.ap" / "run.json").read_text())["exit_code"] == 65


def test_one_line_names_the_stream_that_failed(sorted_session: Sorted) -> None:
    last = sorted_session.job.errors[-1]
    assert last.startswith("1 of 2 streams failed (imec1.ap: ")
    assert last == session_record(sorted_session.job.results).error


def test_results_are_at_the_target_by_stream(sorted_session: Sorted) -> None:
    keys = sorted_session.keys
    assert "imec0.ap/run.json" in keys
    assert "imec1.ap/run.json" in keys
    gathered = {key.removeprefix("session/") for key in keys if key.startswith("session/")}
    assert gathered == {"session.json", "session.html", "clock.json", "events.csv", "units.nwb"}
    assert not [key for key in keys if key.endswith("claim.json")]
    assert sorted_session.target == json.loads(
        session_record(sorted_session.job.results).model_dump_json()
    )


def test_gathering_again_reads_the_target(sorted_session: Sorted, tmp_path: Path) -> None:
    given = {**sorted_session.variables, "STREAMS": "imec0.ap"}
    job = run_job(tmp_path, given, "--gather")
    assert job.exit_code == 0, job.log
    assert [stream.status for stream in session_record(job.results).streams] == ["succeeded"]
    assert not (job.results / "imec0.ap").exists()


def test_results_of_other_settings_are_not_gathered(sorted_session: Sorted, tmp_path: Path) -> None:
    given = {**sorted_session.variables, "STREAMS": "imec0.ap", "PREPROCESSING": "none"}
    job = run_job(tmp_path, given, "--gather")
    assert job.exit_code == 70
    [stream] = session_record(job.results).streams
    assert stream.status == "missing"
    assert stream.error is not None
    assert "another PREPROCESSING" in stream.error


def test_another_session_at_the_target_is_refused(
    sorted_session: Sorted, run_folder: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(run_folder, tmp_path / "other")
    given = {**sorted_session.variables, "STREAMS": "imec0.ap", "SOURCE_FOLDER": str(other)}
    job = run_job(tmp_path / "job", given, "--gather")
    assert job.exit_code == 73
    assert "holds another session" in job.errors[-1]


def test_another_session_is_not_replaced_by_a_role_that_may_not_delete_its_files(
    sorted_session: Sorted, run_folder: Path, moto_s3: S3Server, tmp_path: Path
) -> None:
    other = shutil.copytree(run_folder, tmp_path / "other")
    record = {"Bucket": "sessions", "Key": f"{TARGET}/session/session.json"}
    before = moto_s3.client.get_object(**record)["Body"].read()
    with FaultProxy(moto_s3.url) as proxy:
        proxy.inject(
            Fault(
                kind="status",
                status=403,
                code="AccessDenied",
                times=1000,
                matches=lambda each: each.method == "DELETE",
            )
        )
        given = sorted_session.variables | {
            "STREAMS": "imec0.ap",
            "SOURCE_FOLDER": str(other),
            "OVERWRITE": "true",
            "AWS_ENDPOINT_URL": proxy.url,
        }
        job = run_job(tmp_path / "job", given, "--gather")
    assert job.exit_code == 73, job.log
    assert moto_s3.client.get_object(**record)["Body"].read() == before


def test_stream_that_was_not_recorded_is_refused_before_any_runs(
    run_folder: Path, tmp_path: Path
) -> None:
    job = run_job(tmp_path, variables(run_folder, STREAMS="imec0.ap,imec7.ap"))
    assert job.exit_code == 78
    assert "'imec7.ap' is not a stream of the session" in job.errors[-1]
    assert not (job.results / "imec0.ap").exists()


def test_every_stream_is_checked_without_sorting_any(run_folder: Path, tmp_path: Path) -> None:
    job = run_job(tmp_path, variables(run_folder), "--check")
    assert job.exit_code == 0, job.output
    first, second = job.output.strip().split("\n\n")
    assert first.startswith("imec0.ap\n")
    assert second.startswith("imec1.ap\n")
    assert not (job.results / "session").exists()


def test_stopped_session_ends_with_75(run_folder: Path, tmp_path: Path) -> None:
    with start_job(tmp_path, variables(run_folder)) as process:
        wait_for_log(process, "fetch")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 75
    stopped = json.loads((tmp_path / "results" / "imec0.ap" / "run.json").read_text())
    assert stopped["status"] == "interrupted"
    assert not (tmp_path / "results" / "imec1.ap").exists()
    assert not (tmp_path / "results" / "session").exists()
