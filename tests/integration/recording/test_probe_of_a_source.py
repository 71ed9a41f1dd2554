"""Where PROBE_FILE is looked for, before anything is fetched, for every kind of source."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.locations import DandiAsset, LocalFolder, S3Location, Source
from spikeinterface_cloud.config.settings import AwsSettings, DandiAccess
from spikeinterface_cloud.errors import RecordingError, SourceError
from spikeinterface_cloud.recording.source import (
    FoundSource,
    SourceRequest,
    fetch_source,
    find_source,
)
from tests.support.dandi_stand_in import DandiStandIn
from tests.support.nwb_files import write_nwb
from tests.support.recordings import simulate, write_probe
from tests.support.servers import S3Server

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def recording() -> BaseRecording:
    return simulate(duration_s=0.5, n_channels=8, n_units=2)[0]


@pytest.fixture
def folder(tmp_path: Path, recording: BaseRecording) -> Path:
    """Write an NWB file and a probe."""
    write_nwb(tmp_path / "source" / "a.nwb", recording)
    write_probe(tmp_path / "source" / "probe.json", recording)
    return tmp_path / "source"


@pytest.fixture
def stored(folder: Path, moto_s3: S3Server, bucket: str) -> S3Location:
    """Upload the same to S3."""
    for file in folder.iterdir():
        moto_s3.client.put_object(Bucket=bucket, Key=f"raw/{file.name}", Body=file.read_bytes())
    return S3Location(bucket=bucket, key="raw")


def find(
    location: Source,
    probe: str,
    aws: AwsSettings,
    only_first_frames: bool = False,
    dandi: DandiAccess | None = None,
) -> FoundSource:
    request = SourceRequest(
        location=location,
        data_type="nwb",
        read_recording_kwargs={},
        probe_file=probe,
        n_frames=100 if only_first_frames else None,
    )
    return find_source(request, aws, dandi or DandiAccess())


def fetched_probe(found: FoundSource, folder: Path) -> bytes:
    """Return the content of the fetched probe."""
    file = fetch_source(found, folder).probe_file
    assert file is not None
    return file.read_bytes()


@pytest.mark.parametrize("only_first_frames", [True, False])
def test_a_probe_in_a_folder_on_s3_is_fetched(
    tmp_path: Path, folder: Path, stored: S3Location, moto_s3: S3Server, only_first_frames: bool
) -> None:
    """The probe is no part of the recording: one NWB file is left, which may be streamed."""
    found = find(stored, "probe.json", moto_s3.access, only_first_frames)
    assert [file.name for file in found.files] == [PurePosixPath("a.nwb")]
    assert (found.stream is not None) is only_first_frames
    assert fetched_probe(found, tmp_path / "here") == (folder / "probe.json").read_bytes()


def test_an_invalid_probe_is_refused_before_the_recording_is_fetched(
    tmp_path: Path, stored: S3Location, moto_s3: S3Server
) -> None:
    """Two contacts on one channel are wrong whatever the recording."""
    probe = json.loads((tmp_path / "source" / "probe.json").read_text())
    probe["probes"][0]["device_channel_indices"] = [0, 0, 1, 2, 3, 4, 5, 6]
    place = {"Bucket": stored.bucket, "Key": "raw/probe.json"}
    moto_s3.client.put_object(**place, Body=json.dumps(probe).encode())
    found = find(stored, "probe.json", moto_s3.access)
    with pytest.raises(
        RecordingError, match=r"PROBE_FILE probe\.json wires channel 0 to 2 contacts"
    ):
        fetch_source(found, tmp_path / "here")
    assert not list((tmp_path / "here").rglob("*.nwb"))


def test_a_probe_beside_an_object_on_s3_is_fetched(
    tmp_path: Path, folder: Path, stored: S3Location, moto_s3: S3Server
) -> None:
    found = find(stored.child("a.nwb"), "probe.json", moto_s3.access)
    assert fetched_probe(found, tmp_path / "here") == (folder / "probe.json").read_bytes()


@pytest.mark.parametrize("name", ["", "a.nwb"])
def test_a_missing_probe_is_refused_at_once(
    stored: S3Location, moto_s3: S3Server, name: str
) -> None:
    with pytest.raises(SourceError, match=rf"PROBE_FILE: there is no none.json in {stored}; give"):
        find(stored.child(name), "none.json", moto_s3.access)


@pytest.mark.parametrize("name", [".", "a.nwb"])
def test_a_probe_in_a_mounted_folder_or_beside_a_file_is_found(
    tmp_path: Path, folder: Path, name: str
) -> None:
    found = find(LocalFolder(path=folder / name), "probe.json", AwsSettings())
    assert fetched_probe(found, tmp_path / "here") == (folder / "probe.json").read_bytes()
    with pytest.raises(SourceError, match=r"PROBE_FILE: there is no none\.json in"):
        find(LocalFolder(path=folder / name), "none.json", AwsSettings())


def test_a_probe_on_s3_for_a_mounted_folder_is_fetched(
    tmp_path: Path, folder: Path, stored: S3Location, moto_s3: S3Server
) -> None:
    found = find(LocalFolder(path=folder / "a.nwb"), f"{stored}/probe.json", moto_s3.access)
    assert fetched_probe(found, tmp_path / "here") == (folder / "probe.json").read_bytes()


def test_a_probe_on_s3_for_a_dandi_asset_is_fetched(
    tmp_path: Path, folder: Path, stored: S3Location, moto_s3: S3Server
) -> None:
    """The archive's own storage is read without credentials, the lab's with them."""
    with DandiStandIn() as archive:
        asset = archive.add_asset("000123", "sub-1/sub-1_ecephys.nwb", folder / "a.nwb")
        found = find(
            DandiAsset(url=archive.asset_url(asset)),
            f"{stored}/probe.json",
            moto_s3.access,
            dandi=archive.access(),
        )
        assert fetched_probe(found, tmp_path / "here") == (folder / "probe.json").read_bytes()
