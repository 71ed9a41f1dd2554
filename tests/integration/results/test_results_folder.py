"""What sums up a job, from run to run: only what this program wrote is removed or replaced, and a
record lies beside the results that it is about."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from spikeinterface_cloud.errors import Interrupted, TransferError
from spikeinterface_cloud.results.other_jobs import remove_other_jobs
from spikeinterface_cloud.results.publish import publishing
from spikeinterface_cloud.results.resume import Fingerprints, find_previous
from spikeinterface_cloud.results.target_lock import exclusive_target
from tests.support.fault_proxy import Fault, FaultProxy, Request, is_write
from tests.support.hosts import Host, analyze, sort
from tests.support.servers import S3Server
from tests.support.transfers import STEADY

pytestmark = pytest.mark.integration

#: what a run of the job `a` is known by
JOB = Fingerprints(job="job a", sorters={"simple": "a"})


def write_comparison(host: Host, **files: str) -> None:
    for name, content in files.items():
        file = host.results.folder / "comparison" / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def test_comparison_of_an_earlier_run_is_replaced(host: Callable[[str], Host]) -> None:
    first = host("one")
    write_comparison(first, **{"agreement.csv": "old", "consensus__spikes.npy": "old"})
    first.results.publish_comparison()
    second = host("two")
    second.results.clear_previous_run()
    write_comparison(second, **{"simple_accuracy.csv": "new"})
    second.results.publish_comparison()
    assert host("three").kept("comparison") == {"simple_accuracy.csv": b"new"}


def test_files_of_the_user_in_the_comparison_folder_stay(host: Callable[[str], Host]) -> None:
    first = host("one")
    write_comparison(first, **{"agreement.csv": "old"})
    first.results.publish_comparison()
    first.put("by_hand.csv", b"mine", folder="comparison")
    first.put("mine/agreement.csv", b"mine too", folder="comparison")
    again = host("one")
    again.results.clear_previous_run()
    again.results.publish_comparison()
    assert again.kept("comparison") == {
        "by_hand.csv": b"mine",
        "mine/agreement.csv": b"mine too",
    }


def complete(host: Host, fingerprint: str, found: str) -> None:
    """Run a job to its end."""
    host.results.clear_previous_run()
    record = host.results.record
    record.fingerprint = f"job {fingerprint}"
    folder = host.attempt(fingerprint)
    sort(folder, found)
    analyze(folder, found)
    record.status, record.exit_code, record.ended = "succeeded", os.EX_OK, datetime.now(UTC)
    (host.results.folder / "report.html").write_text("<html>")
    host.results.publish_files("report.html", [host.results.folder / "report.html"])
    host.results.write_record()
    host.results.publish_record()


@pytest.fixture
def complete_host(tmp_path: Path, moto_s3: S3Server, bucket: str) -> Host:
    """A machine on which the job `a` has succeeded."""
    host = Host(tmp_path / "first", moto_s3, bucket)
    complete(host, "a", "units")
    return host


def look(folder: Path, server: S3Server | None, bucket: str) -> bool:
    """Whether the job `a`, run again with this results folder, is complete."""
    host = Host(folder, server, bucket)
    host.results.record.fingerprint = JOB.job
    return find_previous(host.results, JOB).record is not None


@pytest.mark.usefixtures("complete_host")
def test_complete_job_is_found_from_another_host(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    assert look(tmp_path / "second", moto_s3, bucket)
    assert look(tmp_path / "first", moto_s3, bucket), "nor are its own results in the way"


@pytest.mark.usefixtures("complete_host")
def test_refused_run_does_not_hide_a_complete_job(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    refused = Host(tmp_path / "second", None, bucket).results
    refused.record.status, refused.record.exit_code = "failed", os.EX_CONFIG
    refused.write_record()
    assert look(tmp_path / "second", moto_s3, bucket)


def test_sorting_whose_upload_failed_is_published_when_the_job_ends(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    host = Host(tmp_path, replace(moto_s3, url=proxied_s3.url), bucket, timeouts=STEADY)
    sortings = partial(_writes, "raw_sorting")
    proxied_s3.inject(Fault(kind="status", status=503, times=1000, matches=sortings))

    host.results.clear_previous_run()

    def write_report() -> None:
        proxied_s3.clear()  # by then the network is back

    with pytest.raises(TransferError), publishing(host.results, write_report):
        sort(host.attempt(), "a unit")
    kept = Host(tmp_path / "later", moto_s3, bucket).kept()
    assert kept["raw_sorting/spikes"] == b"a unit"
    assert "completed.json" in kept


def test_sorting_that_another_thread_publishes_is_waited_for_as_the_job_ends(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    """After the log and the record, for which there may be just enough time."""
    host = Host(tmp_path, replace(moto_s3, url=proxied_s3.url), bucket)
    host.results.clear_previous_run()
    begun, stopped = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if _writes("raw_sorting", request):
            begun.set()
            assert stopped.wait(30)
        elif _writes("run.json", request):
            stopped.set()

    def stop() -> None:
        with publishing(host.results, lambda: None):
            thread.start()
            assert begun.wait(30)
            raise Interrupted("stopped")

    proxied_s3.on_request = hold
    thread = threading.Thread(target=sort, args=(host.attempt(), "a unit"), daemon=True)
    with pytest.raises(Interrupted):
        stop()
    kept = Host(tmp_path / "later", moto_s3, bucket).kept()
    assert kept["raw_sorting/spikes"] == b"a unit"
    assert "completed.json" in kept
    sent = [request.path for request in proxied_s3.counts.requests if is_write(request)]
    assert len([path for path in sent if "raw_sorting/spikes" in path]) == 1
    assert sent[-1].partition("?")[0].endswith("/run.json")


def test_unfinished_uploads_of_a_killed_job_are_aborted(
    moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    """Only those of this program's own files."""
    own = [f"results/{name}" for name in ("simple/phy/recording.dat", "run.log")]
    others = ["results/day-2/run.log", "results/mine/x.log", "results/a.dat", "simple/units.nwb"]
    for key in (*own, *others):
        moto_s3.client.create_multipart_upload(Bucket=bucket, Key=key)
    with exclusive_target(Host(tmp_path, moto_s3, bucket).results, {}):
        left = moto_s3.client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert sorted(upload["Key"] for upload in left) == sorted(others)


@pytest.mark.parametrize("content", ["units", None])
def test_sorter_folder_on_another_file_system_is_replaced(
    tmp_path: Path, small_disk: Path, content: str | None
) -> None:
    """Like a volume that is mounted at `/results/kilosort4`, or a link to one."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "simple").symlink_to(small_disk)
    first = Host(tmp_path / "results", None, "")
    sort(first.attempt("a"), "old")
    analyze(first.attempt("a"), "old")
    results = Host(tmp_path / "results", None, "").results
    remove_other_jobs(results, Fingerprints(job="job b", sorters={"simple": "b"}))
    second = Host(tmp_path / "results", None, "").attempt("b")
    assert second.earlier is None
    if content is not None:
        sort(second, content)
        analyze(second, content)
        assert (small_disk / "sorting" / "spikes").read_text() == f"curated {content}"
        assert Host(tmp_path / "results", None, "").attempt("b").earlier is not None
    else:
        assert list(small_disk.iterdir()) == []


def _writes(name: str, request: Request) -> bool:
    return is_write(request) and name in request.path
