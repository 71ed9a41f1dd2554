"""Zarr assets on DANDI: found by any name, listed, verified as a whole, and fetched."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import zarr

from spikeinterface_cloud.config.locations import DandiAsset, parse_dandi
from spikeinterface_cloud.config.settings import AwsSettings
from spikeinterface_cloud.dandi.archive_assets import ArchiveZarr
from spikeinterface_cloud.dandi.assets import resolve
from spikeinterface_cloud.dandi.instances import locate
from spikeinterface_cloud.dandi.zarr_entries import checksum, list_entries, remote_files
from spikeinterface_cloud.errors import (
    CloudJobError,
    KeyNeeded,
    RecordingError,
    SettingsError,
    SourceError,
)
from spikeinterface_cloud.recording.source import FoundSource, SourceRequest, find_source
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.small_objects import read_files
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from tests.support.dandi_stand_in import (
    BUCKET,
    OWNER_KEY,
    STRANGER_KEY,
    Asset,
    DandiStandIn,
    Fault,
)

pytestmark = pytest.mark.integration

OPEN = "000123"
EMBARGOED = "000124"
PATH = "sub-1/sub-1_ecephys.nwb.zarr"
SHORT_TIMEOUTS = NetworkTimeouts(connect_s=5, stall_s=5, give_up_s=2, longest_wait_s=0.1)
ALWAYS = 10**6


@pytest.fixture
def archive() -> Iterator[DandiStandIn]:
    with DandiStandIn() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A series in 40 chunks, in groups whose names have characters that URLs do not."""
    path = tmp_path / "original"
    root = zarr.open_group(str(path), mode="w")
    samples = np.arange(4000, dtype="int16").reshape(400, 10)
    series = root.create_group("acquisition/probe #1+2 50% é")
    series.attrs["neurodata_type"] = "ElectricalSeries"
    series.create_dataset("data", data=samples, chunks=(10, 10))
    series.create_dataset("starting_time", data=[0.0]).attrs["rate"] = 30000.0
    root.attrs["neurodata_type"] = "NWBFile"
    zarr.consolidate_metadata(str(path))
    return path


def find(archive: DandiStandIn, url: str, key: str | None = None) -> ArchiveZarr:
    location = parse_dandi(url)
    assert isinstance(location, DandiAsset)
    found = resolve(location, archive.access(key))
    assert isinstance(found, ArchiveZarr)
    return found


def find_job_source(archive: DandiStandIn, url: str, key: str | None = None) -> FoundSource:
    request = SourceRequest(
        location=parse_dandi(url),
        data_type="nwb",
        read_recording_kwargs={},
        probe_file=None,
    )
    return find_source(request, AwsSettings(), archive.access(key))


def refusal(action: Callable[[], object]) -> CloudJobError:
    with pytest.raises(CloudJobError) as refused:
        action()
    assert "\n" not in str(refused.value)
    return refused.value


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def stored_url(asset: Asset) -> str:
    return f"s3://{BUCKET}/zarr/{asset.content}/"


NAMES: dict[str, Callable[[DandiStandIn, Asset], str]] = {
    "identifier": lambda archive, asset: archive.asset_url(asset),
    "download": lambda archive, asset: f"{archive.asset_url(asset)}download/",
    "in its dandiset": lambda archive, asset: archive.nested_asset_url(asset),
    "exact path": lambda archive, asset: f"{archive.assets_url(asset.dandiset)}?path={asset.path}",
    "prefix": lambda archive, asset: f"{archive.assets_url(asset.dandiset)}?path=sub-1/",
    "glob": lambda archive, asset: f"{archive.assets_url(asset.dandiset)}?glob=*.nwb.zarr",
    "web page": lambda archive, asset: archive.web_url(asset.dandiset, asset.path),
    "web page of its folder": lambda archive, asset: archive.web_url(asset.dandiset, "sub-1"),
    "Zarr": lambda archive, asset: f"{archive.api_url}/zarr/{asset.content}/",
    "its files": lambda archive, asset: f"{archive.api_url}/zarr/{asset.content}/files/",
    "S3": lambda _, asset: stored_url(asset),
    "S3 without a slash": lambda _, asset: stored_url(asset).rstrip("/"),
    "web address of S3": lambda _, asset: (
        f"https://{BUCKET}.s3.amazonaws.com/zarr/{asset.content}/"
    ),
}


@pytest.mark.parametrize("form", NAMES)
@pytest.mark.parametrize("dandiset", [OPEN, EMBARGOED])
def test_zarr_asset_is_found_by_any_name(
    form: str, dandiset: str, archive: DandiStandIn, folder: Path
) -> None:
    archive.add_zarr(dandiset, "sub-1/image.ome.zarr")
    asset = archive.add_zarr(dandiset, PATH, folder, embargoed=dandiset == EMBARGOED)
    key = OWNER_KEY if dandiset == EMBARGOED else None

    found = find(archive, NAMES[form](archive, asset), key)

    assert (found.identifier, found.path, found.store.identifier) == (
        asset.identifier,
        PATH,
        asset.content,
    )
    assert found.size_bytes == sum(map(len, contents(folder).values()))
    assert found.embargoed == (key is not None)
    assert OWNER_KEY not in repr(found)


def test_renamed_asset_is_found_by_its_zarr(archive: DandiStandIn, folder: Path) -> None:
    original = archive.add_zarr(OPEN, "sub-0/before.nwb.zarr", folder)
    archive.assets.clear()
    archive.replaced.append(original)
    moved = archive.add_zarr(OPEN, PATH, folder)
    object.__setattr__(moved, "content", original.content)

    assert find(archive, stored_url(original)).path == PATH


def test_zarr_of_a_publication_is_found(archive: DandiStandIn, folder: Path) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder, version="0.240101.1200")
    url = f"{archive.api_url}/dandisets/{OPEN}/versions/0.240101.1200/assets/?path={PATH}"
    assert find(archive, url).version == asset.version


def test_bucket_of_dandi_means_its_archive() -> None:
    zarr_id = "057f84d5-a88b-490a-bedf-06f3f50e9e62"
    place = locate(f"s3://dandiarchive/zarr/{zarr_id}", None)
    assert (place.instance.name, place.zarr) == ("dandi", zarr_id)
    error = refusal(lambda: locate(f"s3://another/zarr/{zarr_id}", None))
    assert isinstance(error, SettingsError)
    assert "DANDI_INSTANCE_URL" in str(error)


@pytest.mark.parametrize("place", ["acquisition", "acquisition/a/.zarray"])
def test_path_inside_a_zarr_is_refused_with_the_asset_to_name(
    place: str, archive: DandiStandIn, folder: Path
) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder)
    error = refusal(lambda: find(archive, archive.web_url(OPEN, f"{PATH}/{place}")))
    assert isinstance(error, SettingsError)
    assert f"name {PATH} instead" in str(error)
    with pytest.raises(ValueError, match=f"name the asset: {stored_url(asset)}"):
        parse_dandi(f"{stored_url(asset)}{place}")


def test_zarr_that_is_not_nwb_is_refused(archive: DandiStandIn, folder: Path) -> None:
    image = archive.add_zarr(OPEN, "sub-1/image.ome.zarr", folder)
    error = refusal(lambda: find(archive, archive.asset_url(image)))
    assert isinstance(error, RecordingError)
    assert ".nwb.zarr" in str(error)


def test_two_forms_of_a_recording_are_told_apart(archive: DandiStandIn, folder: Path) -> None:
    archive.add_zarr(OPEN, PATH, folder)
    archive.add_zarr(OPEN, "sub-1/other.nwb.zarr", folder)
    error = refusal(lambda: find(archive, archive.web_url(OPEN, "sub-1")))
    assert isinstance(error, SettingsError)
    assert "means 2 NWB" in str(error)


@pytest.mark.parametrize("embargoed", [False, True])
def test_zarr_is_fetched_byte_for_byte(
    embargoed: bool, archive: DandiStandIn, folder: Path, tmp_path: Path
) -> None:
    asset = archive.add_zarr(EMBARGOED, PATH, folder, embargoed=embargoed)
    found = find(archive, archive.asset_url(asset), OWNER_KEY if embargoed else None)

    download(remote_files(found, timeouts=SHORT_TIMEOUTS), tmp_path / "copy")

    assert contents(tmp_path / "copy") == contents(folder)
    signed = [r.authorised for r in archive.requests if r.server == "store"]
    assert signed == [embargoed] * len(contents(folder))


def test_expired_signature_is_renewed(archive: DandiStandIn, folder: Path, tmp_path: Path) -> None:
    asset = archive.add_zarr(EMBARGOED, PATH, folder, embargoed=True)
    files = remote_files(find(archive, archive.asset_url(asset), OWNER_KEY))
    archive.inject("store", Fault.EXPIRED_SIGNATURE, times=5)

    download(files, tmp_path / "copy", timeouts=SHORT_TIMEOUTS)

    assert contents(tmp_path / "copy") == contents(folder)


def test_interrupted_fetch_moves_only_what_is_missing(
    archive: DandiStandIn, folder: Path, tmp_path: Path
) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder)
    files = remote_files(find(archive, archive.asset_url(asset)))
    download(files[:20], tmp_path / "copy")
    before = archive.count("store")

    moved = download(files, tmp_path / "copy").moved_bytes

    assert archive.count("store") - before == len(files) - 20
    assert moved == sum(file.size_bytes for file in files[20:])
    assert contents(tmp_path / "copy") == contents(folder)


def test_thousands_of_entries_are_listed_in_pages(archive: DandiStandIn, tmp_path: Path) -> None:
    folder = tmp_path / "large"
    data = zarr.open_array(str(folder / "data"), mode="w", shape=2100, chunks=1, dtype="int8")
    data[:] = 1
    asset = archive.add_zarr(OPEN, PATH, folder)
    found = find(archive, archive.asset_url(asset))

    entries = list_entries(found)

    assert {entry.path for entry in entries} == set(contents(folder))
    listings = [r for r in archive.requests if r.path.endswith("/files/")]
    assert len(listings) == 3
    assert checksum(entries) == asset.digests["dandi:dandi-zarr-checksum"]


def test_key_stays_with_the_archive_when_a_page_is_said_to_be_elsewhere(
    archive: DandiStandIn, tmp_path: Path
) -> None:
    folder = tmp_path / "large"
    zarr.open_array(str(folder / "data"), mode="w", shape=1100, chunks=1, dtype="int8")[:] = 1
    asset = archive.add_zarr(EMBARGOED, PATH, folder, embargoed=True)
    with DandiStandIn() as thief:
        archive.next_pages_at = thief.url
        found = find(archive, archive.asset_url(asset), OWNER_KEY)
        refusal(lambda: list_entries(found))
        assert thief.requests
        assert not any(request.authorised for request in thief.requests)


def test_checksum_that_is_not_computed_yet_is_waited_for(
    archive: DandiStandIn, folder: Path
) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder, ingested=False)
    error = refusal(lambda: find(archive, archive.asset_url(asset)))
    assert isinstance(error, SourceError)
    assert "has not computed the checksum" in str(error)


@pytest.mark.parametrize("change", ["removed", "added", "altered"])
def test_listing_with_another_checksum_is_refused_before_anything_is_fetched(
    change: str, archive: DandiStandIn, folder: Path
) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder)
    chunk = next(folder.rglob("3.0"))
    if change == "removed":
        chunk.unlink()
    elif change == "added":
        chunk.with_name("41.0").write_bytes(b"more")
    else:
        chunk.write_bytes(chunk.read_bytes()[:-1] + b"\0")
    error = refusal(lambda: find_job_source(archive, archive.asset_url(asset)))
    assert isinstance(error, RecordingError)
    assert "cannot be verified" in str(error)
    assert archive.count("store") == 0


def test_zarr_that_is_being_changed_is_not_read(archive: DandiStandIn, folder: Path) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder)
    found = find(archive, archive.asset_url(asset))
    next(folder.rglob("3.0")).write_bytes(b"new")
    asset.digests["dandi:dandi-zarr-checksum"] = None
    error = refusal(lambda: list_entries(found))
    assert isinstance(error, SourceError)
    assert "run the job again when its upload is finished" in str(error)


def test_entry_that_changes_after_the_listing_is_not_taken(
    archive: DandiStandIn, folder: Path, tmp_path: Path
) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder)
    files = remote_files(find(archive, archive.asset_url(asset)))
    chunk = next(folder.rglob("3.0"))
    chunk.write_bytes(bytes(reversed(chunk.read_bytes())))
    error = refusal(lambda: download(files, tmp_path / "copy", timeouts=SHORT_TIMEOUTS))
    assert isinstance(error, SourceError)
    assert "changed while the job was fetching" in str(error)


def test_missing_entry_is_named(archive: DandiStandIn, folder: Path, tmp_path: Path) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder)
    files = remote_files(find(archive, archive.asset_url(asset)))
    next(folder.rglob("3.0")).unlink()
    error = refusal(lambda: download(files, tmp_path / "copy", timeouts=SHORT_TIMEOUTS))
    assert isinstance(error, SourceError)
    assert "data/3.0 is missing" in str(error)


def test_wrong_bytes_are_refused(archive: DandiStandIn, folder: Path, tmp_path: Path) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder)
    files = remote_files(find(archive, archive.asset_url(asset)))
    archive.inject("store", Fault.WRONG_BYTES, times=ALWAYS)
    for action in (
        lambda: download(files, tmp_path / "copy", timeouts=SHORT_TIMEOUTS),
        lambda: read_files(files[:1]),
    ):
        error = refusal(action)
        assert isinstance(error, RecordingError)
        assert "checksum" in str(error)
    assert not any(path.is_file() for path in (tmp_path / "copy").rglob("*"))


def test_empty_zarr_is_refused(archive: DandiStandIn, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    asset = archive.add_zarr(OPEN, PATH, empty)
    error = refusal(lambda: find_job_source(archive, archive.asset_url(asset)))
    assert isinstance(error, SourceError)
    assert "without files" in str(error)


@pytest.mark.parametrize("form", ["identifier", "web page", "Zarr"])
@pytest.mark.parametrize("key", [None, STRANGER_KEY, "wrong"])
def test_embargoed_zarr_needs_the_right_key(
    form: str, key: str | None, archive: DandiStandIn, folder: Path
) -> None:
    asset = archive.add_zarr(EMBARGOED, PATH, folder, embargoed=True)
    error = refusal(lambda: find(archive, NAMES[form](archive, asset), key))
    assert isinstance(error, SourceError)
    assert isinstance(error, KeyNeeded) == (key is None)
    if key is None:
        assert "set DANDI_API_KEY" in str(error)


def test_missing_chunk_is_refused_before_samples_are_fetched(
    archive: DandiStandIn, folder: Path
) -> None:
    next(folder.rglob("3.0")).unlink()  # before its upload, so that the checksum holds
    asset = archive.add_zarr(OPEN, PATH, folder)
    error = refusal(lambda: find_job_source(archive, archive.asset_url(asset)))
    assert isinstance(error, RecordingError)
    assert "chunks of data are missing" in str(error)


def test_record_names_the_zarr_and_its_checksum(archive: DandiStandIn, folder: Path) -> None:
    asset = archive.add_zarr(OPEN, PATH, folder)
    found = find_job_source(archive, archive.asset_url(asset))
    assert found.provenance["path"] == PATH
    assert found.provenance["n_files"] == len(contents(folder))
    assert found.provenance["dandi_zarr_checksum"] == asset.digests["dandi:dandi-zarr-checksum"]
    assert found.size_bytes == asset.size_bytes


def test_stand_in_refuses_what_the_archive_refuses(
    archive: DandiStandIn, folder: Path, tmp_path: Path
) -> None:
    asset = archive.add_zarr(EMBARGOED, PATH, folder, embargoed=True)
    owner = {"Authorization": f"token {OWNER_KEY}"}
    zarr_url = f"{archive.api_url}/zarr/{asset.content}/"

    def status(url: str, method: str = "GET", **options: object) -> int:
        return requests.request(method, url, timeout=10, **options).status_code  # type: ignore[arg-type]

    assert status(zarr_url) == status(f"{zarr_url}files/") == 404
    assert status(f"{archive.asset_url(asset)}download/", headers=owner) == 400
    assert status(f"{zarr_url}files/?limit=1001", headers=owner) == 400
    assert status(f"{archive.content_url(asset)}.zgroup") == 403
    reply = requests.get(
        f"{zarr_url}files/?prefix=.zgroup&download=true",
        headers=owner,
        timeout=10,
        allow_redirects=False,
    )
    assert status(reply.headers["Location"]) == 200
    assert status(reply.headers["Location"], "HEAD") == 403
    assert status(reply.headers["Location"].replace(".zgroup", ".zattrs")) == 403
    with pytest.raises(ValueError, match="contain zarrs"):
        archive.publish(EMBARGOED, "0.240101.1200")
    shutil.rmtree(folder)
    assert status(reply.headers["Location"]) == 404
