"""Results of another job, here and on S3: refused by name, or removed by OVERWRITE.

Results of this job are resumed.
"""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spikeinterface_cloud.errors import TargetError
from spikeinterface_cloud.results.other_jobs import check_other_jobs, remove_other_jobs
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.results.resume import Fingerprints
from tests.support.hosts import RUN, Host, analyze, sort, write
from tests.support.servers import S3Server

pytestmark = pytest.mark.integration

OTHER = Fingerprints(job="job a", sorters={"simple": "a"})
THIS = Fingerprints(job="job b", sorters={"simple": "b"})


def write_record(host: Host, job: Fingerprints | None, runs: list[SorterRun]) -> None:
    """Write and publish `run.json`; `job` is None for a run that was refused."""
    record = host.results.record
    record.fingerprint = job.job if job else None
    record.sorters = runs
    record.status, record.exit_code = ("succeeded", os.EX_OK) if runs else ("failed", os.EX_CONFIG)
    record.ended = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
    host.results.write_record()
    host.results.publish_record()


def run_job(host: Host, fingerprint: str, *, killed: bool = False) -> None:
    """Sort and analyze with one sorter, and write the record unless the job is killed."""
    host.results.clear_previous_run()
    folder = host.attempt(fingerprint)
    sort(folder, "units")
    analyze(folder, "units")
    if not killed:
        write_record(host, Fingerprints(job=f"job {fingerprint}", sorters={}), [RUN])


def everything(host: Host) -> Mapping[str, bytes]:
    """Every file of the place that counts."""
    return host.kept("")


def test_results_of_another_job_are_refused_by_name(host: Callable[[str], Host]) -> None:
    run_job(host("one"), "a")
    before = everything(host("one"))
    second = host("two")
    with pytest.raises(TargetError) as refused:
        check_other_jobs(second.results, THIS, overwrite=False)
    assert refused.value.exit_code == 73
    message = str(refused.value)
    assert f"{second.results} holds the results of another job (simple/; run.json: " in message
    assert "succeeded 2026-05-01 12:30:00Z, fingerprint job a)" in message
    variable = "TARGET_AWS_S3_BUCKET_FOLDER" if second.results.target else "RESULTS_FOLDER"
    assert f"another folder ({variable})" in message
    assert "OVERWRITE=true (spikeinterface-cloud --overwrite)" in message
    assert everything(host("one")) == before


def test_results_of_a_killed_job_are_refused(host: Callable[[str], Host]) -> None:
    run_job(host("one"), "a", killed=True)
    with pytest.raises(TargetError, match=r"no run\.json, so that job is running or was killed"):
        check_other_jobs(host("two").results, THIS, overwrite=False)


def test_results_of_a_sorter_that_this_job_does_not_run_are_refused(
    host: Callable[[str], Host],
) -> None:
    run_job(host("one"), "a")
    this = Fingerprints(job="job b", sorters={"lupin": "b"})
    with pytest.raises(TargetError, match="simple/"):
        check_other_jobs(host("two").results, this, overwrite=False)


def test_a_record_of_another_version_is_refused(host: Callable[[str], Host]) -> None:
    host("one").put("completed.json", b'{"schema_version": 99}')
    with pytest.raises(TargetError, match="simple/"):
        check_other_jobs(host("two").results, THIS, overwrite=False)


def test_files_that_run_json_of_another_job_lists_are_refused(host: Callable[[str], Host]) -> None:
    """As after somebody has removed `completed.json`."""
    host("one").put("sorting/spikes", b"units")
    check_other_jobs(host("one").results, THIS, overwrite=False)
    write_record(host("one"), OTHER, [RUN])
    with pytest.raises(TargetError, match="simple/"):
        check_other_jobs(host("two").results, THIS, overwrite=False)


@pytest.mark.parametrize("job", [None, OTHER])
def test_a_run_without_results_does_not_block(
    host: Callable[[str], Host], job: Fingerprints | None
) -> None:
    write_record(host("one"), job, [])
    host("one").put("output.log", b"it broke")
    found = check_other_jobs(host("two").results, THIS, overwrite=False)
    assert found == "none of another job"


def test_an_attempt_that_was_killed_while_sorting_does_not_block(
    host: Callable[[str], Host],
) -> None:
    killed = host("one").attempt("b")
    killed.clear()
    write(killed, raw_sorting__spikes="half of it")
    assert check_other_jobs(host("one").results, THIS, overwrite=False) == "none of another job"


def test_results_of_the_same_job_are_resumed_even_with_overwrite(
    host: Callable[[str], Host],
) -> None:
    run_job(host("one"), "b")
    before = everything(host("one"))
    more = Fingerprints(job="with one more sorter", sorters={"simple": "b", "lupin": "c"})
    for job in (THIS, more):
        check_other_jobs(host("two").results, job, overwrite=False)
        remove_other_jobs(host("two").results, job)
    assert everything(host("one")) == before
    assert host("two").attempt("b").earlier is not None


def test_overwrite_removes_the_files_of_this_program_only(host: Callable[[str], Host]) -> None:
    first = host("one")
    run_job(first, "a")
    for name, folder in (
        ("my_notes.txt", "simple"),
        ("figures/mine.png", "simple"),
        ("by_hand.csv", "comparison"),
        ("recording/raw.bin", ""),
    ):
        first.put(name, b"mine", folder=folder)
    first.put("consensus/spikes.npy", b"old", folder="comparison")
    first.put("completed.json", b"{}", folder="spykingcircus2")
    second = host("two").results
    found = check_other_jobs(second, THIS, overwrite=True)
    assert "simple/, spykingcircus2/; run.json: succeeded" in found
    assert found.endswith("will be removed")
    remove_other_jobs(second, THIS)
    assert everything(host("one")).keys() == {
        "simple/my_notes.txt",
        "simple/figures/mine.png",
        "comparison/by_hand.csv",
        "recording/raw.bin",
    }
    assert check_other_jobs(second, THIS, overwrite=False) == "none of another job"


def test_a_results_folder_with_another_job_is_refused_before_the_target_is_touched(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    run_job(Host(tmp_path, None, bucket), "a")
    host = Host(tmp_path, moto_s3, bucket)
    with pytest.raises(TargetError, match="RESULTS_FOLDER"):
        check_other_jobs(host.results, THIS, overwrite=False)
    assert host.results.storage is None
    assert (tmp_path / "simple" / "completed.json").exists()
