"""Find the file on DANDI that a name means, and describe it for a download."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from spikeinterface_cloud.config.dandi_urls import AssetName, parse_asset_name
from spikeinterface_cloud.dandi.archive_assets import (
    NWB_SUFFIX,
    NWB_ZARR_SUFFIX,
    ArchiveFile,
    ArchiveZarr,
    is_nwb,
    is_zarr,
    stated_digest,
    zarr_store,
)
from spikeinterface_cloud.dandi.client import (
    asset_address,
    download_url,
    with_key_if_needed,
)
from spikeinterface_cloud.dandi.instances import ArchivePlace, locate
from spikeinterface_cloud.errors import RecordingError, SettingsError, SourceError

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

ZARR_CHECKSUM = "dandi:dandi-zarr-checksum"


def resolve(asset: DandiAsset, access: DandiAccess) -> ArchiveFile | ArchiveZarr:
    """Find the one NWB asset that a name means; the key is sent only if it is needed."""
    name = parse_asset_name(asset.url)
    _check_whole(name, asset.url)
    place = locate(name.url, access.instance_url)
    return with_key_if_needed(
        asset.url,
        place.instance,
        access.api_key,
        lambda client, key: _find(name, place, client, key),
        hides=place.zarr is not None,
    )


def remote_file(file: ArchiveFile, *, timeouts: NetworkTimeouts | None = None) -> RemoteFile:
    """Return the file as `storage.download` takes it, with its own name and digest."""
    from spikeinterface_cloud.storage.remote_file import http_file  # not on the laptop

    return http_file(
        PurePosixPath(file.path).name,
        file.content_url,
        size_bytes=file.size_bytes,
        digest=stated_digest(str(file), file.dandi_etag, file.size_bytes),
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
) -> ArchiveFile | ArchiveZarr:
    """Find the asset by a client, which carries the key if there is one."""
    asset: BaseRemoteAsset
    if place.zarr is not None:
        asset = _asset_of_zarr(place.zarr, client)
    elif place.asset is None:
        asset = _choose(name, _candidates(name, place, client), place.instance)
    elif place.dandiset is None:
        asset = client.get_asset(place.asset)
    else:
        dandiset = client.get_dandiset(place.dandiset, place.version, lazy=False)
        asset = dandiset.get_asset(place.asset)
        _check_membership(asset, dandiset)
    _check_form(asset)
    return _describe(asset, place.instance, api_key)


def _asset_of_zarr(zarr: str, client: DandiAPIClient) -> BaseRemoteAsset:
    """Return the asset that a Zarr is in the draft, by the name that it was made with, if it can.

    An asset keeps its Zarr where it is moved to another path.
    """
    described = client.get(f"/zarr/{zarr}/")
    draft = client.get_dandiset(described["dandiset"], "draft", lazy=False)
    named = draft.get_assets_with_path_prefix(described["name"])
    for asset in chain(named, draft.get_assets()):
        if getattr(asset, "zarr", None) == zarr:
            return asset
    raise SourceError(
        f"the Zarr {zarr} is no longer an asset of the draft of {described['dandiset']}; name an "
        "asset that is there, or that of a publication by its path"
    )


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
        if is_nwb(asset):
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
    """Raise RecordingError for an asset that is not NWB."""
    if is_nwb(asset):
        return
    if is_zarr(asset):
        raise RecordingError(
            f"{asset.path} is a Zarr that is not NWB by its name; name an asset that ends in "
            f"{NWB_SUFFIX} or {NWB_ZARR_SUFFIX}"
        )
    raise RecordingError(
        f"{asset.path} is not an NWB file; name an asset that ends in {NWB_SUFFIX} or "
        f"{NWB_ZARR_SUFFIX}"
    )


def _check_whole(name: AssetName, url: str) -> None:
    """Raise SettingsError for a path inside a Zarr."""
    path = PurePosixPath(name.pattern)
    for folder in path.parents:
        if folder.name.endswith(ZARR_SUFFIXES):
            raise SettingsError(
                f"{url} is inside the Zarr asset {folder}, which is read as a whole; "
                f"name {folder} instead"
            )


def _describe(
    asset: BaseRemoteAsset, instance: DandiInstance, api_key: SecretStr | None
) -> ArchiveFile | ArchiveZarr:
    metadata = asset.get_raw_metadata()
    digests = metadata["digest"]
    described: dict[str, Any] = {
        "instance": instance.name,
        "dandiset": getattr(asset, "dandiset_id", None),
        "version": getattr(asset, "version_id", None),
        "path": asset.path,
        "identifier": asset.identifier,
        "address": asset_address(asset, instance),
        "size_bytes": asset.size,
        "embargoed": api_key is not None,
    }
    if not is_zarr(asset):
        return ArchiveFile(
            **described,
            dandi_etag=digests["dandi:dandi-etag"],
            sha256=digests.get("dandi:sha2-256"),
            content_url=partial(download_url, instance, api_key, asset.identifier),
        )
    if not digests.get(ZARR_CHECKSUM):
        raise SourceError(
            f"the archive has not computed the checksum of {asset.path} yet, which its files are "
            "verified by; run the job some minutes after the asset's upload is finished"
        )
    return ArchiveZarr(
        **described,
        checksum=digests[ZARR_CHECKSUM],
        store=zarr_store(asset, metadata, instance, api_key),
    )
