"""NWB files go from DANDI through sorters to S3: embargoed by its API, and public by its blob."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Simulated
from tests.support.dandi_stand_in import OWNER_KEY, Asset, DandiStandIn
from tests.support.job import ONE_WORKER, Job, assert_refused, assert_succeeded, run_job, s3_access
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.servers import SECRET_KEY, S3Server
from tests.support.sorted_results import (
    assert_complete,
    download_folder,
    files_with,
    keys_below,
    n_true_units_found,
)

pytestmark = [pytest.mark.integration, pytest.mark.sorting]

EMBARGOED = "000124"
PATH = "sub-1/sub-1_ecephys.nwb"
SORTERS = ["simple", "spykingcircus2"]
BUCKET = "dandi-results"
TARGET = "lab/session"


@pytest.fixture(scope="module")
def nwb_file(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> Path:
    """Write the AP band, compressed by gzip, and an LFP."""
    file = tmp_path_factory.mktemp("nwb") / "recording.nwb"
    return write_nwb(file, simulated.recording, NwbLayout(compression="gzip", with_lfp=True))


@pytest.fixture(scope="module")
def embargoed(archive: DandiStandIn, nwb_file: Path) -> Asset:
    return archive.add_asset(EMBARGOED, PATH, nwb_file, embargoed=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The job, and its results as fetched from the target."""

    job: Job
    results: Path


@pytest.fixture(scope="module")
def published(
    tmp_path_factory: pytest.TempPathFactory,
    rclone_s3: S3Server,
    archive: DandiStandIn,
    embargoed: Asset,
) -> Published:
    folder = tmp_path_factory.mktemp("dandi")
    rclone_s3.client.create_bucket(Bucket=BUCKET)
    job = run_job(
        folder / "job",
        ONE_WORKER
        | s3_access(rclone_s3.url)
        | {
            "DANDISET_S3_FILE_URL": f"{archive.nested_asset_url(embargoed)}download/",
            "DANDI_API_KEY": OWNER_KEY,
            "DANDI_INSTANCE_URL": archive.api_url,
            "SORTERS": '["simple", "spykingcircus2"]',
            "TARGET_AWS_S3_BUCKET": BUCKET,
            "TARGET_AWS_S3_BUCKET_FOLDER": TARGET,
        },
    )
    results = download_folder(rclone_s3.client, BUCKET, TARGET, folder / "published")
    return Published(job=job, results=results)


def test_an_embargoed_asset_goes_through_two_sorters_to_s3(published: Published) -> None:
    assert_succeeded(published.job)
    assert published.job.outcomes() == dict.fromkeys(SORTERS, "sorted")
    assert_complete(published.results, SORTERS)


@pytest.mark.parametrize("sorter", SORTERS)
def test_the_true_units_are_found(published: Published, simulated: Simulated, sorter: str) -> None:
    assert n_true_units_found(published.results, sorter, simulated.truth) == 3


def test_the_record_names_the_asset(
    published: Published, archive: DandiStandIn, embargoed: Asset
) -> None:
    source = published.job.record["source"]
    assert source["dandiset"] == EMBARGOED
    assert source["version"] == "draft"
    assert source["path"] == PATH
    assert source["asset"] == embargoed.identifier
    assert source["dandi_etag"] == embargoed.etag
    assert source["size_bytes"] == embargoed.size_bytes
    assert published.job.step("fetch")["size_bytes"] == embargoed.size_bytes


def test_the_ap_band_is_sorted_and_not_the_lfp(published: Published) -> None:
    facts = published.job.record["recording"]
    assert facts["sampling_frequency_hz"] == 30000.0
    assert facts["n_channels"] == 16


def test_neither_key_nor_signature_leaves_the_job(
    published: Published, archive: DandiStandIn
) -> None:
    assert archive.signatures, "the archive gave out no signed URL, so nothing was shown here"
    output = published.job.log + published.job.output
    for secret in (OWNER_KEY, SECRET_KEY, *archive.signatures):
        assert files_with(published.results, secret) == []
        assert files_with(published.job.results, secret) == []
        assert secret not in output


def test_an_embargoed_asset_without_its_key_is_refused(
    tmp_path: Path, archive: DandiStandIn, embargoed: Asset
) -> None:
    variables = {"SORTERS": "simple", **archive.variables(embargoed)}
    assert_refused(run_job(tmp_path, variables), 66, "embargo.*DANDI_API_KEY")


BLOB_URL = (
    "https://dandiarchive.s3.amazonaws.com/blobs/{0}e/c89/{0}ec8933-1456-4942-922b-94e5878bb991"
)


@pytest.fixture
def dandi_bucket(moto_s3: S3Server, nwb_file: Path) -> Iterator[str]:
    """Create the archive's bucket with a public blob 11 and an embargoed blob 22."""
    moto_s3.client.create_bucket(Bucket="dandiarchive")
    for blob, access in (("11", "public-read"), ("22", "private")):
        key = BLOB_URL.format(blob).partition(".com/")[2]
        moto_s3.client.upload_file(str(nwb_file), "dandiarchive", key, ExtraArgs={"ACL": access})
    yield "dandiarchive"
    for key in keys_below(moto_s3.client, "dandiarchive", "blobs"):
        moto_s3.client.delete_object(Bucket="dandiarchive", Key=key)
    moto_s3.client.delete_bucket(Bucket="dandiarchive")


def test_a_public_blob_is_named_by_its_s3_url(
    tmp_path: Path, moto_s3: S3Server, dandi_bucket: str, simulated: Simulated, nwb_file: Path
) -> None:
    job = run_job(
        tmp_path,
        {
            **ONE_WORKER,
            "DANDISET_S3_FILE_URL": BLOB_URL.format("11"),
            "AWS_ENDPOINT_URL": moto_s3.url,
            "SORTERS": "simple",
        },
    )
    assert_succeeded(job)
    assert job.record["source"]["location"].startswith(f"s3://{dandi_bucket}/blobs/11e/")
    assert job.step("fetch")["size_bytes"] == nwb_file.stat().st_size
    assert n_true_units_found(job.results, "simple", simulated.truth) == 3


@pytest.mark.parametrize("blob", ["22", "33"], ids=["embargoed", "missing"])
def test_a_blob_that_is_not_public_is_refused(
    tmp_path: Path, moto_s3: S3Server, dandi_bucket: str, blob: str
) -> None:
    job = run_job(
        tmp_path,
        {
            "DANDISET_S3_FILE_URL": BLOB_URL.format(blob),
            "AWS_ENDPOINT_URL": moto_s3.url,
            "SORTERS": "simple",
        },
    )
    assert_refused(job, 66, "does not exist or is not public; .*API.*DANDI_API_KEY")
