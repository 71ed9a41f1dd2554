"""A whole job whose network breaks, drips, lies and stands still, and which ends right."""

from pathlib import Path

import pytest

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.fault_proxy import Fault, FaultProxy, Kind, Request, is_read
from tests.support.job import ONE_WORKER, assert_succeeded, run_job, s3_access
from tests.support.recordings import write_spikeglx
from tests.support.servers import S3Server
from tests.support.sorted_results import (
    assert_complete,
    download_folder,
    n_true_units_found,
    upload_folder,
)
from tests.support.transfers import tree
from tests.support.weather import KINDS, SEED_VARIABLE, Climate, Weather, weather_seed

pytestmark = [pytest.mark.integration, UNSAVED_PROVENANCE]

BUCKET = "weathered"

#: A stall lasts as long as the job's own patience, half a minute: there is one, and no more.
WITHOUT_STALLS: dict[Kind, int] = {
    kind: weight for kind, weight in KINDS.items() if kind != "stall"
}


def reads_traces(request: Request) -> bool:
    return is_read(request) and ".ap.bin" in request.path


@pytest.mark.sorting
def test_job_on_an_unreliable_network_ends_right(
    tmp_path: Path, moto_s3: S3Server, simulated: Simulated
) -> None:
    seed = weather_seed()
    moto_s3.client.create_bucket(Bucket=BUCKET)
    source = write_spikeglx(tmp_path / "source", simulated.recording)
    upload_folder(moto_s3.client, source, BUCKET, "raw")
    with FaultProxy(moto_s3.url) as proxy:
        climate = Climate(chance=0.3, clears_after=3)
        proxy.weather = Weather(f"{seed} job", climate, WITHOUT_STALLS)
        proxy.inject(Fault(kind="stall", after_bytes=100_000, matches=reads_traces))
        job = run_job(
            tmp_path / "job",
            ONE_WORKER
            | s3_access(proxy.url)
            | {
                "AWS_S3_BUCKET": BUCKET,
                "AWS_S3_BUCKET_FOLDER": "raw",
                "DATA_TYPE": "spikeglx",
                "SORTERS": "simple",
                "TARGET_AWS_S3_BUCKET": BUCKET,
                "TARGET_AWS_S3_BUCKET_FOLDER": "results",
            },
        )
        faults = proxy.counts.faults
    print(f"one job met {faults.total()} faults ({dict(faults)}); {SEED_VARIABLE}={seed}")
    assert_succeeded(job)
    assert faults["stall"] == 1, (seed, faults)
    assert faults.total() >= 10, (seed, faults)
    assert len(faults) >= 4, (seed, faults)
    published = download_folder(moto_s3.client, BUCKET, "results", tmp_path / "published")
    assert_complete(published, ["simple"])
    assert n_true_units_found(published, "simple", simulated.truth) == 3
    here, there = tree(job.results), tree(published)
    # the log goes on for the few lines that tell of its own upload
    assert here.pop("run.log").startswith(there.pop("run.log"))
    assert here == there
