"""The size of the samples of a remote NWB file, read from its header by a few requests."""

from pathlib import Path, PurePosixPath

import h5py
import numpy as np
import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import AwsSettings
from spikeinterface_cloud.recording.formats.hdf5_samples import find_hdf5_samples
from spikeinterface_cloud.recording.formats.uncompressed import Samples
from spikeinterface_cloud.storage.remote_file import RemoteFile, s3_file
from spikeinterface_cloud.storage.session import Storage
from tests.support.fault_proxy import FaultProxy
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY, S3Server

pytestmark = pytest.mark.integration


def remote(url: str, bucket: str, key: str) -> RemoteFile:
    settings = AwsSettings.model_validate(
        {
            "region_name": REGION,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "endpoint_url": url,
        }
    )
    storage = Storage(settings)
    return s3_file(storage, storage.head(S3Location(bucket=bucket, key=key)), PurePosixPath(key))


def test_shape_and_type_are_read_without_the_samples(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    samples = np.random.default_rng(0).integers(-30_000, 30_000, (400_000, 16), dtype="int16")
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.create_dataset("acquisition/LFP/data", data=samples[::100], compression="gzip")
        file.create_dataset("acquisition/AP/data", data=samples, chunks=(40_000, 16), compression=1)
        file["acquisition/elsewhere"] = h5py.ExternalLink(str(tmp_path / "b.nwb"), "/acquisition")
        file["acquisition/AP/data"].attrs["conversion"] = 1.0
    size_bytes = (tmp_path / "a.nwb").stat().st_size
    moto_s3.client.upload_file(str(tmp_path / "a.nwb"), bucket, "a.nwb")
    with FaultProxy(moto_s3.url) as proxy:
        file = remote(proxy.url, bucket, "a.nwb")
        assert find_hdf5_samples(file, None) == Samples(
            n_frames=400_000, n_channels=16, sample_bytes=2
        )
        n_reads = len([each for each in proxy.reads() if each.path.endswith("a.nwb")])
        assert find_hdf5_samples(file, "/acquisition/LFP") == Samples(
            n_frames=4_000, n_channels=16, sample_bytes=2
        )
        assert find_hdf5_samples(file, "acquisition/elsewhere/AP") is None
    assert n_reads <= 6
    assert size_bytes > 40 * 256 * 1024


def test_damaged_header_leaves_the_size_unknown(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    file = tmp_path / "a.nwb"
    with h5py.File(file, "w") as opened:
        opened.create_dataset("acquisition/AP/data", data=np.ones((9, 2), "int16"))
    content = bytearray(file.read_bytes())
    content[96:] = b"x" * len(content[96:])
    moto_s3.client.put_object(Bucket=bucket, Key="a.nwb", Body=bytes(content))
    assert find_hdf5_samples(remote(moto_s3.url, bucket, "a.nwb"), None) is None
