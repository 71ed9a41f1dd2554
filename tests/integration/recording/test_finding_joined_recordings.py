"""Recordings that are joined: found, and compared by their headers, before they are fetched."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikeinterface_cloud.config.locations import (
    JoinedRecordings,
    LocalFolder,
    Location,
    S3Location,
)
from spikeinterface_cloud.config.settings import DandiAccess
from spikeinterface_cloud.errors import CloudJobError, RecordingError, SourceError
from spikeinterface_cloud.recording.source import (
    FoundSource,
    SourceRequest,
    fetch_source,
    find_source,
)
from tests.support.fault_proxy import FaultProxy
from tests.support.servers import S3Server, access_to
from tests.support.sorted_results import upload_folder
from tests.support.sources import refusal
from tests.support.spikeglx_headers import read_header, samples, write_with_header

pytestmark = pytest.mark.integration

HEADER = read_header("NP2_4_shanks.imec0.ap.meta")
TRACES = samples(HEADER, 3000)


def find(url: str, locations: tuple[Location, ...], data_type: str = "spikeglx") -> FoundSource:
    request = SourceRequest(
        location=JoinedRecordings(locations=locations),
        data_type=data_type,
        read_recording_kwargs={},
        probe_file=None,
    )
    return find_source(request, access_to(url), DandiAccess())


def on_s3(
    server: S3Server, bucket: str, folder: Path, changes: Mapping[str, Mapping[str, str | None]]
) -> tuple[S3Location, ...]:
    """Upload a run for each name, with changes of its header."""
    for number, (name, changed) in enumerate(changes.items()):
        write_with_header(folder / name, HEADER, TRACES + np.int16(number), changes=changed)
        upload_folder(server.client, folder / name, bucket, name)
    return tuple(S3Location(bucket=bucket, key=name) for name in changes)


def test_recordings_are_found_and_fetched_in_order(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    rate = {"imSampRate": "30000.9"}  # calibrated again
    locations = on_s3(moto_s3, bucket, tmp_path / "lab", {"b": {}, "a": rate, "c": {}})
    found = find(moto_s3.url, locations)
    assert [each.location for each in found.recordings] == list(locations)
    described = found.provenance["joined"]
    assert [each["location"] for each in described] == [f"s3://{bucket}/{k}" for k in "bac"]
    assert found.size_bytes == sum(each["size_bytes"] for each in described) > 3 * TRACES.nbytes
    fetched = fetch_source(found, tmp_path / "fetched")
    assert fetched.size_bytes == found.size_bytes
    for name, each in zip("bac", fetched.joined, strict=True):
        assert each.path is not None
        copy = next(each.path.rglob("*.bin")).read_bytes()
        assert copy == next((tmp_path / "lab" / name).rglob("*.bin")).read_bytes()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"imSampRate": "25000"}, "sampling rate in Hz 25000 instead of 30000"),
        ({"nSavedChans": "193"}, "number of saved channels 193 instead of 385"),
        ({"imDatPrb_sn": "7"}, "serial number of the probe 7 instead of 1"),
        ({"~imroTbl": "(24,384)(0 1 0 0 0)"}, r"another table of electrodes, gains and references"),
    ],
)
def test_other_header_is_refused_before_the_download(
    changes: dict[str, str], difference: str, tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    locations = on_s3(moto_s3, bucket, tmp_path, {"a": {}, "b": {}, "c": changes})
    with FaultProxy(moto_s3.url) as proxy:
        message = refusal(RecordingError, lambda: find(proxy.url, locations))
        assert not [each for each in proxy.reads() if each.path.endswith(".bin")]
    assert message.startswith(f"recording 3 (s3://{bucket}/c) cannot be joined with the first")
    assert difference in message


def test_nwb_files_are_compared_by_their_headers(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    for name, n_channels in (("a.nwb", 16), ("b.nwb", 12)):
        with h5py.File(tmp_path / name, "w") as file:
            file["acquisition/AP/data"] = np.zeros((100_000, n_channels), dtype="int16")
        moto_s3.client.upload_file(str(tmp_path / name), bucket, name)
    locations = tuple(S3Location(bucket=bucket, key=name) for name in ("a.nwb", "b.nwb"))
    message = refusal(RecordingError, lambda: find(moto_s3.url, locations, "nwb"))
    assert "number of channels 12 instead of 16" in message


def test_a_copy_of_a_recording_is_refused(tmp_path: Path, moto_s3: S3Server, bucket: str) -> None:
    (first,) = on_s3(moto_s3, bucket, tmp_path, {"a": {}})
    for file in sorted((tmp_path / "a").iterdir()):
        moto_s3.client.upload_file(str(file), bucket, f"copy/{file.name}")
    copy = S3Location(bucket=bucket, key="copy")
    message = refusal(RecordingError, lambda: find(moto_s3.url, (first, copy)))
    assert message.startswith(f"recording 2 (s3://{bucket}/copy) is the same as recording 1")


def test_a_link_to_the_same_folder_is_refused(tmp_path: Path) -> None:
    write_with_header(tmp_path / "a", HEADER, TRACES)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    folders = tuple(LocalFolder(path=tmp_path / name) for name in "ab")
    message = refusal(RecordingError, lambda: find("", folders))
    assert "is the same as recording 1" in message


def test_missing_recording_is_named(tmp_path: Path, moto_s3: S3Server, bucket: str) -> None:
    (first,) = on_s3(moto_s3, bucket, tmp_path, {"a": {}})
    missing = S3Location(bucket=bucket, key="b")
    message = refusal(SourceError, lambda: find(moto_s3.url, (first, missing)))
    assert message.startswith("recording 2")
    assert f"s3://{bucket}/b" in message


def test_error_keeps_its_exit_code(tmp_path: Path) -> None:
    write_with_header(tmp_path / "a", HEADER, TRACES)
    folders = tuple(LocalFolder(path=tmp_path / name) for name in "ab")
    with pytest.raises(CloudJobError) as raised:
        find("", folders)
    assert raised.value.exit_code == 66
    assert "recording 2" in str(raised.value)
