"""A network that breaks in the middle, and a disk that fills up."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import spikeinterface as si
from spikeinterface.core import BaseRecording

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.fault_proxy import Fault, FaultProxy, Request, is_read, is_write
from tests.support.job import ONE_WORKER, assert_refused, assert_succeeded, run_job, s3_access
from tests.support.nwb_files import write_nwb
from tests.support.recordings import AP_GAIN_UV, write_spikeglx
from tests.support.servers import S3Server

pytestmark = [pytest.mark.integration, UNSAVED_PROVENANCE]

BUCKET = "broken"


def reads_traces(request: Request) -> bool:
    return is_read(request) and request.path.partition("?")[0].endswith(".bin")


@pytest.mark.sorting
def test_job_succeeds_despite_broken_connections_and_a_busy_server(
    tmp_path: Path, moto_s3: S3Server, noise: BaseRecording
) -> None:
    client = moto_s3.client
    client.create_bucket(Bucket=BUCKET)
    for file in write_spikeglx(tmp_path / "source", noise).rglob("*.ap.*"):
        client.upload_file(str(file), BUCKET, f"raw/{file.name}")
    with FaultProxy(moto_s3.url) as proxy:
        proxy.inject(Fault(kind="status", status=503, times=4, matches=lambda _: True))
        proxy.inject(Fault(kind="reset", after_bytes=1_000_000, times=2, matches=reads_traces))
        job = run_job(
            tmp_path / "job",
            ONE_WORKER
            | s3_access(proxy.url)
            | {
                "AWS_S3_BUCKET": BUCKET,
                "AWS_S3_BUCKET_FOLDER": "raw",
                "DATA_TYPE": "spikeglx",
                "SORTERS": "simple",
            },
        )
        reads = [request for request in proxy.reads() if reads_traces(request)]
    assert_succeeded(job)
    assert job.outcomes() == {"simple": "no_units"}
    assert job.step("fetch")["size_bytes"] >= 300_000 * 17 * 2
    assert len(reads) >= 3, "no connection was broken"


@pytest.mark.sorting
def test_job_that_loses_its_target_keeps_the_results_folder(
    tmp_path: Path, moto_s3: S3Server, noise: BaseRecording
) -> None:
    def writes_results(request: Request) -> bool:
        return is_write(request) and "/simple/" in request.path

    moto_s3.client.create_bucket(Bucket="lost-target")
    source = write_spikeglx(tmp_path / "source", noise)
    with FaultProxy(moto_s3.url) as proxy:
        proxy.inject(Fault(kind="status", status=403, times=1000, matches=writes_results))
        job = run_job(
            tmp_path / "job",
            ONE_WORKER
            | s3_access(proxy.url)
            | {
                "SOURCE_FOLDER": str(source),
                "DATA_TYPE": "spikeglx",
                "SORTERS": "simple",
                "TARGET_AWS_S3_BUCKET": "lost-target",
            },
        )
    assert job.exit_code == 73, job.log
    assert "Traceback" not in job.log
    assert re.search("cannot .*s3://lost-target/simple/.*: access denied .*allow", job.errors[-1])
    assert job.outcomes() == {"simple": "no_units"}
    assert (job.results / "simple" / "output.log").is_file()
    stored = moto_s3.client.get_object(Bucket="lost-target", Key="run.json")["Body"].read()
    assert json.loads(stored)["status"] == "failed"


#: starts a command with 8 MiB of memory in place of the disk of SCRATCH_FOLDER
SMALL_DISK = [
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
    'mkdir -p "$SCRATCH_FOLDER" && mount -t tmpfs -o size=8m none "$SCRATCH_FOLDER" && exec "$@"',
    "sh",
]


def coarse(recording: BaseRecording) -> BaseRecording:
    """The same spikes in steps so coarse that a file of them compresses to a few per cent."""
    traces = recording.get_traces() // 32
    coarse = si.NumpyRecording([traces], recording.sampling_frequency)
    coarse.set_channel_gains(32 * AP_GAIN_UV)
    coarse.set_channel_offsets(0.0)
    coarse.set_probegroup(recording.get_probegroup())
    return coarse


def test_full_scratch_disk_ends_with_the_remedy(tmp_path: Path, simulated: Simulated) -> None:
    scratch = {"SCRATCH_FOLDER": str(tmp_path / "trial")}
    if subprocess.run([*SMALL_DISK, "true"], env=os.environ | scratch).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system in a namespace of its own")
    file = write_nwb(tmp_path / "source" / "recording.nwb", coarse(simulated.recording))
    assert file.stat().st_size < 3 * 1024**2
    job = run_job(
        tmp_path / "job",
        {"SOURCE_FOLDER": str(file.parent), "DATA_TYPE": "nwb", "SORTERS": "simple"},
        launcher=SMALL_DISK,
    )
    assert_refused(
        job,
        69,
        r"the preprocessed recording takes 9\.2 MiB and only 8\.0 MiB are free; "
        "give the job more scratch space",
    )
    assert job.record["status"] == "failed"


def test_header_of_a_compressed_file_says_that_its_samples_exceed_the_disk(
    tmp_path: Path, simulated: Simulated, moto_s3: S3Server
) -> None:
    scratch = {"SCRATCH_FOLDER": str(tmp_path / "trial")}
    if subprocess.run([*SMALL_DISK, "true"], env=os.environ | scratch).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system in a namespace of its own")
    file = write_nwb(tmp_path / "recording.nwb", coarse(simulated.recording))
    moto_s3.client.create_bucket(Bucket="compressed-nwb")
    moto_s3.client.upload_file(str(file), "compressed-nwb", "recording.nwb")
    source = {"AWS_S3_BUCKET": "compressed-nwb", "AWS_S3_BUCKET_FOLDER": "recording.nwb"}
    job = run_job(
        tmp_path / "job",
        {**source, **s3_access(moto_s3.url), "DATA_TYPE": "nwb", "SORTERS": "simple"},
        launcher=SMALL_DISK,
    )
    needed = file.stat().st_size + 1.3 * 300_000 * 16 * 2
    assert_refused(
        job,
        69,
        rf"8\.0 MiB free, the job needs about {needed / 1024**2:.1f} MiB; give it more scratch",
    )
    assert "fetch ..." not in job.log
