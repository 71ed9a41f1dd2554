"""Missing, forbidden and invalid sources are refused."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.dandi_stand_in import DandiStandIn
from tests.support.fault_proxy import Fault, FaultProxy, Request, is_read
from tests.support.job import Job, assert_refused, run_job, s3_access
from tests.support.nwb_files import write_nwb
from tests.support.recordings import SpikeGlxRun, simulate, write_binary_folder, write_spikeglx
from tests.support.servers import (
    S3Server,
    check_permissions,
    client_of,
    free_port,
    guarded_moto_server,
)
from tests.support.sorted_results import upload_folder

pytestmark = [pytest.mark.integration, UNSAVED_PROVENANCE]

BUCKET = "refusals"


@pytest.fixture(scope="module")
def recording() -> Any:
    """Simulate a second of eight channels."""
    return simulate(duration_s=1.0, n_channels=8, n_units=2)[0]


@pytest.fixture(scope="module")
def spikeglx_folder(tmp_path_factory: pytest.TempPathFactory, recording: Any) -> Path:
    return write_spikeglx(tmp_path_factory.mktemp("spikeglx"), recording, SpikeGlxRun())


@pytest.fixture(scope="module")
def nwb_file(tmp_path_factory: pytest.TempPathFactory, recording: Any) -> Path:
    return write_nwb(tmp_path_factory.mktemp("nwb") / "recording.nwb", recording)


@pytest.fixture(scope="module")
def s3(
    tmp_path_factory: pytest.TempPathFactory, moto_s3: S3Server, recording: Any, nwb_file: Path
) -> S3Server:
    """Start moto with a saved recording below `source`."""
    folder = write_binary_folder(tmp_path_factory.mktemp("s3") / "source", recording)
    moto_s3.client.create_bucket(Bucket=BUCKET)
    upload_folder(moto_s3.client, folder, BUCKET, "source")
    return moto_s3


def run_on_s3(folder: Path, access: dict[str, str], **variables: str) -> Job:
    """Run a job with its source on S3."""
    sound = {"AWS_S3_BUCKET": BUCKET, "DATA_TYPE": "binary", "SORTERS": "simple"}
    return run_job(folder, sound | access | variables)


def run_on_folder(folder: Path, source: Path, data_type: str) -> Job:
    """Run a job with a mounted source."""
    variables = {"SOURCE_FOLDER": str(source), "DATA_TYPE": data_type, "SORTERS": "simple"}
    return run_job(folder, variables)


def assert_recorded(job: Job) -> None:
    """`run.json` says that the job failed, and why."""
    record = job.record
    assert (record["status"], record["exit_code"]) == ("failed", job.exit_code)
    assert record["error"] == job.errors[-1]
    assert record["sorters"] == []
    assert list(job.scratch.iterdir()) == []


# ----- not there, or not for this user -----------------------------------------------------------


def test_a_missing_bucket_is_refused(tmp_path: Path, s3: S3Server) -> None:
    job = run_on_s3(tmp_path, s3_access(s3.url), AWS_S3_BUCKET="no-such-bucket")
    assert_refused(
        job, 66, "cannot list s3://no-such-bucket/: there is no bucket no-such-bucket; check its"
    )
    assert_recorded(job)


def test_an_empty_prefix_is_refused(tmp_path: Path, s3: S3Server) -> None:
    job = run_on_s3(tmp_path, s3_access(s3.url), AWS_S3_BUCKET_FOLDER="sourc")
    assert_refused(job, 66, f"s3://{BUCKET}/sourc holds no objects; .*source")
    assert_recorded(job)


def test_an_unreachable_server_exits_with_75(tmp_path: Path) -> None:
    job = run_on_s3(tmp_path, s3_access(f"http://127.0.0.1:{free_port()}"))
    assert_refused(job, 75, "Could not connect to the endpoint URL.*run the job again")
    assert_recorded(job)


@pytest.fixture(scope="module")
def users(
    tmp_path_factory: pytest.TempPathFactory, recording: Any
) -> Iterator[dict[str, dict[str, str]]]:
    """Access to a server that checks it, by what each user may do in the bucket."""
    folder = write_binary_folder(tmp_path_factory.mktemp("guarded") / "source", recording)
    with guarded_moto_server() as server:
        server.client.create_bucket(Bucket=BUCKET)
        upload_folder(server.client, folder, BUCKET, "source")
        access = {
            "stranger": _add_user(server, "stranger", []),
            "lister": _add_user(server, "lister", ["s3:ListBucket"]),
            "reader": _add_user(server, "reader", ["s3:ListBucket", "s3:GetObject"]),
        }
        check_permissions(server)
        yield access


def _add_user(server: S3Server, name: str, actions: list[str]) -> dict[str, str]:
    iam = client_of(server.access, "iam")
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": actions or ["s3:ListAllMyBuckets"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return s3_access(server.url) | {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def test_a_forbidden_bucket_is_refused(tmp_path: Path, users: dict[str, dict[str, str]]) -> None:
    job = run_on_s3(tmp_path, users["stranger"], AWS_S3_BUCKET_FOLDER="source")
    assert_refused(
        job, 66, f"cannot list s3://{BUCKET}/source: access denied .*allow .* s3:ListBucket"
    )
    assert_recorded(job)


def test_a_forbidden_object_is_refused(tmp_path: Path, users: dict[str, dict[str, str]]) -> None:
    job = run_on_s3(tmp_path, users["lister"], AWS_S3_BUCKET_FOLDER="source")
    assert_refused(job, 66, "access denied.*s3:GetObject")
    assert_recorded(job)


def test_a_forbidden_target_is_refused(tmp_path: Path, users: dict[str, dict[str, str]]) -> None:
    variables = {"AWS_S3_BUCKET_FOLDER": "source", "TARGET_AWS_S3_BUCKET": BUCKET}
    job = run_on_s3(tmp_path, users["reader"], **variables, TARGET_AWS_S3_BUCKET_FOLDER="results")
    assert_refused(
        job, 73, f"cannot write s3://{BUCKET}/results: access denied .*allow .*s3:PutObject"
    )
    assert "fetch ..." not in job.log
    assert_recorded(job)


def test_a_missing_target_is_refused(tmp_path: Path, s3: S3Server) -> None:
    job = run_on_s3(
        tmp_path,
        s3_access(s3.url),
        AWS_S3_BUCKET_FOLDER="source",
        TARGET_AWS_S3_BUCKET="no-such-bucket",
    )
    assert_refused(job, 73, "cannot write s3://no-such-bucket/: there is no bucket no-such-bucket")
    assert "fetch ..." not in job.log


# ----- invalid ----------------------------------------------------------------------------------


def test_a_wrong_data_type_is_refused(tmp_path: Path, spikeglx_folder: Path) -> None:
    job = run_on_folder(tmp_path, spikeglx_folder, "openephys")
    assert_refused(
        job,
        65,
        "cannot be read with DATA_TYPE=openephys: .*if it is, set DATA_TYPE=spikeglx",
    )
    assert_recorded(job)


def test_a_file_of_another_reader_is_refused(
    tmp_path: Path, spikeglx_folder: Path, nwb_file: Path
) -> None:
    """The run beside it is not sorted in its stead."""
    shutil.copytree(spikeglx_folder, tmp_path / "source" / "run")
    source = Path(shutil.copy(nwb_file, tmp_path / "source"))
    job = run_on_folder(tmp_path / "job", source, "spikeglx")
    assert_refused(
        job, 65, r"recording\.nwb is not a file by which DATA_TYPE=spikeglx.* set DATA_TYPE=nwb"
    )
    assert "fetch ..." not in job.log
    assert_recorded(job)


def test_a_missing_stream_of_a_mounted_folder_is_refused(
    tmp_path: Path, spikeglx_folder: Path
) -> None:
    variables = {"SOURCE_FOLDER": str(spikeglx_folder), "DATA_TYPE": "spikeglx"}
    kwargs = {"READ_RECORDING_KWARGS": '{"stream_id": "imec7.ap"}', "SORTERS": "simple"}
    job = run_job(tmp_path, variables | kwargs, "--check")
    assert job.exit_code == 78
    assert "READ_RECORDING_KWARGS names the stream 'imec7.ap', which is not among" in job.output


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"durations": "ten"}, "READ_RECORDING_KWARGS: durations is 'ten'; it takes a list"),
        (
            {"durations": [1], "noise_kwargs": {"noise_levels": "loud"}},
            "READ_RECORDING_KWARGS: no recording can be simulated with these values of durations",
        ),
    ],
    ids=["a value", "what the generator finds"],
)
def test_invalid_simulation_parameters_are_refused(
    tmp_path: Path, kwargs: dict[str, Any], message: str
) -> None:
    job = run_job(
        tmp_path,
        {
            "TEST_WITH_TOY_RECORDING": "true",
            "READ_RECORDING_KWARGS": json.dumps(kwargs),
            "SORTERS": "simple",
        },
    )
    assert_refused(job, 78, message)
    assert_recorded(job)


def test_a_truncated_spikeglx_file_is_refused(tmp_path: Path, spikeglx_folder: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(spikeglx_folder, source)
    [file] = source.rglob("*.ap.bin")
    whole = file.read_bytes()
    file.write_bytes(whole[:200_000])
    job = run_on_folder(tmp_path / "job", source, "spikeglx")
    assert_refused(
        job,
        65,
        rf"{file.name} is truncated: it has .*\(200000 bytes\) where its meta file says "
        rf".*\({len(whole)} bytes.*copy it again",
    )
    assert_recorded(job)


@pytest.mark.parametrize("kept", [512, 100_000], ids=["its directory", "the second half"])
def test_corrupt_hdf5_is_refused(tmp_path: Path, nwb_file: Path, kept: int) -> None:
    content = nwb_file.read_bytes()
    source = tmp_path / "source"
    source.mkdir()
    (source / "recording.nwb").write_bytes(content[:kept] + bytes(len(content) - kept))
    job = run_on_folder(tmp_path / "job", source, "nwb")
    assert_refused(
        job, 65, "cannot be read with DATA_TYPE=nwb: .*check that the file is whole .*checksum"
    )
    assert_recorded(job)


def test_a_checksum_mismatch_is_refused(tmp_path: Path, s3: S3Server) -> None:
    def reads_traces(request: Request) -> bool:
        return is_read(request) and ".raw" in request.path

    with FaultProxy(s3.url) as proxy:
        proxy.inject(Fault(kind="corrupt", after_bytes=1000, times=1000, matches=reads_traces))
        job = run_on_s3(tmp_path, s3_access(proxy.url), AWS_S3_BUCKET_FOLDER="source")
    assert_refused(job, 65, r"checksum of s3://refusals/source/.*\.raw does not match.*, twice")
    assert_recorded(job)


# ----- larger than the disk ----------------------------------------------------------------------


def test_a_source_larger_than_the_disk_is_refused(
    tmp_path: Path, archive: DandiStandIn, nwb_file: Path
) -> None:
    asset = archive.add_asset("000125", "sub-1/huge.nwb", nwb_file)
    # 5 TiB, the largest that S3 holds, in its 10,000 parts
    digests = {"dandi:dandi-etag": f"{'0' * 32}-10000"}
    archive.assets[-1] = huge = replace(asset, size_bytes=5 * 1024**4, digests=digests)
    variables = {"SORTERS": "simple", **archive.variables(huge)}
    job = run_job(tmp_path, variables)
    assert_refused(
        job, 69, r"free, the job needs about 11.5 TiB; give it more scratch space \(SCRATCH_FOLDER"
    )
    assert "fetch ..." not in job.log
    assert_recorded(job)


def test_a_compressed_source_whose_samples_are_larger_than_the_disk_is_refused(
    tmp_path: Path, s3: S3Server
) -> None:
    """By its metadata: what would be fetched are a few bytes."""
    root = zarr.open_group(tmp_path / "huge.zarr", mode="w")
    root.attrs.update(sampling_frequency=30_000.0, num_segments=1)
    root.create_dataset("channel_ids", data=np.arange(384))
    shape = (5 * 2**30, 384)
    root.create_dataset("traces_seg0", shape=shape, chunks=shape, dtype="int16")
    (tmp_path / "huge.zarr" / "traces_seg0" / "0.0").write_bytes(b"one chunk")
    upload_folder(s3.client, tmp_path / "huge.zarr", BUCKET, "huge.zarr")
    job = run_on_s3(
        tmp_path / "job",
        s3_access(s3.url),
        AWS_S3_BUCKET_FOLDER="huge.zarr",
        DATA_TYPE="zarr",
        ARCHIVE="zarr",
    )
    assert_refused(
        job,
        69,
        r"free, the job needs about 4\.9 TiB; give it more scratch space \(SCRATCH_FOLDER",
        r"results: .* free, the archive needs up to 2\.6 TiB besides 4\.9 TiB of scratch; give RES",
    )
    assert "fetch ..." not in job.log
