"""A recording compressed by WavPack in Zarr, as the Allen Institute publishes, to true units."""

from pathlib import Path

import numpy as np
import pytest
from wavpack_numcodecs import WavPack

from spikeinterface_cloud.recording.load import open_recording
from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.job import assert_refused, assert_succeeded, run_job, s3_access
from tests.support.servers import S3Server
from tests.support.sorted_results import n_true_units_found, upload_folder

pytestmark = [
    pytest.mark.integration,
    pytest.mark.sorting,
    UNSAVED_PROVENANCE,
    pytest.mark.filterwarnings("ignore:Multi-threading is supported for wavpack"),
]

#: as the Allen Institute names them
SOURCE = "ecephys/ecephys_compressed/experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-AP.zarr"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> Path:
    folder = tmp_path_factory.mktemp("wavpack") / "source" / "recording.zarr"
    simulated.recording.save(
        folder=folder, format="zarr", compressor=WavPack(level=3), filters=None, progress_bar=False
    )
    saved = open_recording(folder, "zarr", {})
    np.testing.assert_array_equal(saved.get_traces(), simulated.recording.get_traces())
    return folder


def test_wavpack_on_s3_is_sorted_into_the_true_units_and_a_damaged_chunk_is_refused(
    tmp_path: Path, moto_s3: S3Server, bucket: str, folder: Path, simulated: Simulated
) -> None:
    upload_folder(moto_s3.client, folder, bucket, SOURCE)
    variables = s3_access(moto_s3.url) | {
        "AWS_S3_BUCKET": bucket,
        "AWS_S3_BUCKET_FOLDER": SOURCE,
        "DATA_TYPE": "zarr",
        "SORTERS": "simple",
    }
    job = run_job(tmp_path / "whole", variables)
    assert_succeeded(job)
    n_found = n_true_units_found(job.results, "simple", simulated.truth)
    assert n_found == simulated.truth.get_num_units()
    chunk = f"{SOURCE}/traces_seg0/3.0"
    other = moto_s3.client.get_object(Bucket=bucket, Key=chunk)["Body"].read()
    moto_s3.client.put_object(Bucket=bucket, Key=chunk, Body=other[:-100] + bytes(100))
    job = run_job(tmp_path / "damaged", variables)
    assert_refused(job, 65, r"the chunk 3\.0 of traces_seg0 is damaged: .*copy it again")


def test_wavpack_in_a_folder_is_sorted_into_the_true_units(
    tmp_path: Path, folder: Path, simulated: Simulated
) -> None:
    variables = {"SOURCE_FOLDER": str(folder), "DATA_TYPE": "zarr", "SORTERS": "simple"}
    job = run_job(tmp_path, variables)
    assert_succeeded(job)
    n_found = n_true_units_found(job.results, "simple", simulated.truth)
    assert n_found == simulated.truth.get_num_units()
