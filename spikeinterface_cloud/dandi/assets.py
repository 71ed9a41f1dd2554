"""Find the file on DANDI that a name means, and describe it for a download."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from spikeinterface_cloud.config.dandi_urls import AssetName, parse_asset_name
from spikeinterface_cloud.dandi.client import (
    NWB_SUFFIX,
    asset_address,
    download_url,
    with_key_if_needed,
)
from spikeinterface_cloud.dandi.instances import ArchivePlace, locate
from spikeinterface_cloud.errors import RecordingError, SettingsError, SourceError
from spikeinterface_cloud.storage.digests import Digest, etag_digest

if TYPE_CHECKING:
    from dandi.consts import DandiInstance
    from dandi.dandiapi import BaseRemoteAsset, DandiAPIClient, RemoteDandiset
    from pydantic import SecretStr

    from spikeinterface_cloud.config.locations import DandiAsset
    from spikeinterface_cloud.config.settings import DandiAccess
    from spikeinterface_cloud.storage.remote_file import RemoteFile
    from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

#: how many of several candidates an error lists
LISTED = 10

ZARR_SUFFIXES = (".zarr", ".ngff")


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveFile:
    """One NWB file on DANDI, as the archive describes it."""

    #: the archive it is on, like `dandi` or `dandi-sandbox`; host and port of one without a name
    instance: str
    #: None when the asset was named by its identifier alone
    dandiset: str | None
    #: `draft`, or that of a publication
    version: str | None
    #: within the dandiset
    path: str
    #: of the asset, a UUID
    identifier: str
    #: a name that finds the file again
    address: str
    size_bytes: int
    dandi_etag: str
    #: of fresh assets the archive has none yet
    sha256: str | None
    #: readable only with a key, so that its URL has to be signed
    embargoed: bool
    #: gives a URL of the bytes that serves for some hours, a fresh one each time
    content_url: Callable[[], str] = field(repr=False)

    def __str__(self) -> str:
        return self.address


def resolve(asset: DandiAsset, access: DandiAccess) -> ArchiveFile:
    """Find the one NWB file that a name means; the key is sent only if it is needed."""
    name = parse_asset_name(asset.url)
    if any(part.endswith(ZARR_SUFFIXES) for part in PurePosixPath(name.pattern).parts):
        raise _zarr_refusal(asset.url)
    place = locate(name.url, access.instance_url)
    return with_key_if_needed(
        asset.url,
        place.instance,
        access.api_key,
        lambda client, key: _find(name, place, client, key),
    )


def remote_file(file: ArchiveFile, *, timeouts: NetworkTimeouts | None = None) -> RemoteFile:
    """Return the file as `storage.download` takes it, with its own name and digest."""
    from spikeinterface_cloud.storage.remote_file import http_file  # not on the laptop

    return http_file(
        PurePosixPath(file.path).name,
        file.content_url,
        size_bytes=file.size_bytes,
        digest=_digest(file),
        timeouts=timeouts,
    )


def streaming_url(file: ArchiveFile) -> str:
    """Return the URL of the bytes themselves, for readers that fetch parts of a file.

    That of an embargoed file is a secret, and serves for some hours only.
    """
    url = file.content_url()
    return url if file.embargoed else urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def _find(
    name: AssetName,
    place: ArchivePlace,
    client: DandiAPIClient,
    api_key: SecretStr | None,
) -> ArchiveFile:
    """Find the file by a client, which carries the key if there is one."""
    asset: BaseRemoteAsset
    if place.asset is None:
        asset = _choose(name, _candidates(name, place, client), place.instance)
    elif place.dandiset is None:
        asset = client.get_asset(place.asset)
    else:
        dandiset = client.get_dandiset(place.dandiset, place.version, lazy=False)
        asset = dandiset.get_asset(place.asset)
        _check_membership(asset, dandiset)
    _check_form(asset)
    return _describe(asset, place.instance, api_key)


def _check_membership(asset: BaseRemoteAsset, dandiset: RemoteDandiset) -> None:
    """Refuse an asset of another dandiset or version: the archive ignores both in its address."""
    from dandi.exceptions import NotFoundError

    with suppress(NotFoundError):
        if dandiset.get_asset_by_path(asset.path).identifier == asset.identifier:
            return
    raise SourceError(
        f"{dandiset.identifier}, version {dandiset.version_id}, does not hold the asset "
        f"{asset.identifier}; check the dandiset, its version, and the asset's identifier"
    )


def _candidates(
    name: AssetName, place: ArchivePlace, client: DandiAPIClient
) -> Iterable[BaseRemoteAsset]:
    """Return what the archive finds: for a path, all that begin like it."""
    assert place.dandiset is not None
    dandiset = client.get_dandiset(place.dandiset, place.version, lazy=False)
    found: Iterable[BaseRemoteAsset]
    match name.selects:
        case "whole":
            found = dandiset.get_assets()
        case "glob":
            found = dandiset.get_assets_by_glob(name.pattern)
        case "path" | "prefix":
            found = dandiset.get_assets_with_path_prefix(name.pattern)
    return found


def _choose(
    name: AssetName, candidates: Iterable[BaseRemoteAsset], instance: DandiInstance
) -> BaseRemoteAsset:
    """Return the one NWB file among the candidates, or else a file of another form."""
    files: list[BaseRemoteAsset] = []
    other: BaseRemoteAsset | None = None
    for asset in candidates:
        if not name.covers(asset.path):
            continue
        if asset.path.endswith(NWB_SUFFIX):
            files.append(asset)
        else:
            other = asset
        if len(files) > LISTED:
            break
    if len(files) > 1:
        raise _several(files, instance)
    if not files and other is None:
        raise SourceError(
            f"{name.url} holds no asset {name.pattern}; "
            "check the dandiset, its version, and the path"
        )
    return files[0] if files else other


def _several(files: Sequence[BaseRemoteAsset], instance: DandiInstance) -> SettingsError:
    number = f"more than {LISTED}" if len(files) > LISTED else str(len(files))
    paths = ", ".join(sorted(asset.path for asset in files[:LISTED]))
    return SettingsError(
        f"DANDISET_S3_FILE_URL means {number} NWB files ({paths}); name one of them, "
        f"like {asset_address(files[0], instance)}"
    )


def _check_form(asset: BaseRemoteAsset) -> None:
    """Raise RecordingError for an asset that is not one NWB file."""
    from dandi.dandiapi import AssetType

    if asset.asset_type is AssetType.ZARR:
        raise _zarr_refusal(asset.path)
    if not asset.path.endswith(NWB_SUFFIX):
        raise RecordingError(f"{asset.path} is not an NWB file; name an asset that ends in .nwb")


def _zarr_refusal(name: str) -> RecordingError:
    return RecordingError(
        f"{name} is a Zarr folder, which cannot be read from DANDI yet; fetch it with "
        "'dandi download' and give the folder as SOURCE_FOLDER"
    )


def _describe(
    asset: BaseRemoteAsset, instance: DandiInstance, api_key: SecretStr | None
) -> ArchiveFile:
    digests = asset.get_raw_metadata()["digest"]
    return ArchiveFile(
        instance=instance.name,
        dandiset=getattr(asset, "dandiset_id", None),
        version=getattr(asset, "version_id", None),
        path=asset.path,
        identifier=asset.identifier,
        address=asset_address(asset, instance),
        size_bytes=asset.size,
        dandi_etag=digests["dandi:dandi-etag"],
        sha256=digests.get("dandi:sha2-256"),
        embargoed=api_key is not None,
        content_url=partial(download_url, instance, api_key, asset.identifier),
    )


def _digest(file: ArchiveFile) -> Digest:
    """Return the digest of the file. Raises RecordingError when the archive contradicts itself."""
    from dandischema.digests.dandietag import PartGenerator

    part_size_bytes = PartGenerator.for_file_size(file.size_bytes).initial_part_size
    digest = etag_digest(
        file.dandi_etag, size_bytes=file.size_bytes, part_size_bytes=part_size_bytes
    )
    if digest is None:
        raise RecordingError(
            f"{file} cannot be verified: its digest {file.dandi_etag} is not one of a file of "
            f"{file.size_bytes} bytes; ask the dandiset's owner to upload it again"
        )
    return digest
