"""The first frames of a remote NWB file are streamed; the rest of it is never fetched."""

from pathlib import Path

import pytest
import spikeinterface as si

from tests.support.dandi_stand_in import OWNER_KEY, DandiStandIn
from tests.support.fault_proxy import FaultProxy
from tests.support.job import ONE_WORKER, Job, assert_succeeded, run_job, s3_access
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import simulate
from tests.support.servers import S3Server

pytestmark = [pytest.mark.integration, pytest.mark.sorting]

N_FRAMES = 90_000
BUCKET = "streamed"

FIRST_FRAMES = {
    "TEST_WITH_SUB_RECORDING": "true",
    "TEST_SUB_RECORDING_N_FRAMES": str(N_FRAMES),
    "SORTERS": "simple",
    "DATA_TYPE": "nwb",
}


@pytest.fixture(scope="module")
def nwb_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of eight channels, of which three seconds are wanted."""
    recording, _ = simulate(duration_s=120.0, n_channels=8, n_units=3, seed=1)
    file = tmp_path_factory.mktemp("long") / "recording.nwb"
    return write_nwb(file, recording, NwbLayout(with_lfp=True))


def assert_streamed(job: Job) -> None:
    """Check that the first frames were sorted, and nothing was downloaded."""
    assert_succeeded(job)
    assert job.step("fetch")["size_bytes"] == 0
    assert "is streamed" in job.log
    assert job.record["recording"]["duration_s"] == N_FRAMES / 30000.0
    analyzer = si.load_sorting_analyzer(job.results / "simple" / "analyzer.zarr")
    assert analyzer.get_total_samples() == N_FRAMES
    assert job.record["sorters"][0]["n_units"] >= 2


def assert_only_parts_were_requested(ranges: list[str | None], file: Path) -> None:
    """Check that ranges cover less than a quarter of the file, with a few requests for its size.

    A presigned URL allows only GET, so the size is requested with a GET whose body is not read.
    """
    assert ranges.count(None) <= 4
    assert 0 < sum(range_bytes(requested) for requested in ranges) < file.stat().st_size / 4


def test_first_frames_are_streamed_from_s3(
    tmp_path: Path, moto_s3: S3Server, nwb_file: Path
) -> None:
    moto_s3.client.create_bucket(Bucket=BUCKET)
    moto_s3.client.upload_file(str(nwb_file), BUCKET, "raw/recording.nwb")
    with FaultProxy(moto_s3.url) as proxy:
        variables = s3_access(proxy.url) | {
            "AWS_S3_BUCKET": BUCKET,
            "AWS_S3_BUCKET_FOLDER": "raw",
        }
        job = run_job(tmp_path, {**ONE_WORKER, **FIRST_FRAMES, **variables})
        requested = [request.range for request in proxy.reads() if ".nwb" in request.path]
    assert_streamed(job)
    assert_only_parts_were_requested(requested, nwb_file)
    assert "X-Amz-Signature" not in job.log
    assert "X-Amz-Signature" not in (job.results / "run.json").read_text()


def test_first_frames_are_streamed_from_dandi(
    tmp_path: Path, archive: DandiStandIn, nwb_file: Path
) -> None:
    asset = archive.add_asset("000126", "sub-1/long.nwb", nwb_file, embargoed=True)
    variables = {"DANDI_API_KEY": OWNER_KEY, **archive.variables(asset)}
    job = run_job(tmp_path, {**ONE_WORKER, **FIRST_FRAMES, **variables})
    assert_streamed(job)
    served = [
        request
        for request in archive.requests
        if (request.server, request.method) == ("store", "GET")
    ]
    assert_only_parts_were_requested([request.range for request in served], nwb_file)
    for signature in archive.signatures:
        assert signature not in job.log + (job.results / "run.json").read_text()


def range_bytes(requested: str | None) -> int:
    """Return the number of bytes in a Range header; 0 without one, which requests only the size."""
    if requested is None:
        return 0
    first, _, last = requested.removeprefix("bytes=").partition("-")
    return int(last) - int(first) + 1
