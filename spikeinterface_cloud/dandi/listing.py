"""The NWB assets of a dandiset, each by a name that the container finds it by."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikeinterface_cloud.config.dandi_urls import AssetName, parse_asset_name
from spikeinterface_cloud.dandi.archive_assets import ZarrStore, is_nwb, is_zarr, zarr_store
from spikeinterface_cloud.dandi.client import asset_address, with_key_if_needed
from spikeinterface_cloud.dandi.instances import ArchivePlace, locate
from spikeinterface_cloud.errors import SettingsError

if TYPE_CHECKING:
    from dandi.dandiapi import DandiAPIClient
    from pydantic import SecretStr

    from spikeinterface_cloud.config.settings import DandiAccess

#: the most assets that the archive puts on a page
PAGE_SIZE = 1000

#: what the archive calls the type of a recording's samples in NWB
RAW_DATA = "ElectricalSeries"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedAsset:
    """One NWB asset of a dandiset, a file or a Zarr."""

    #: within the dandiset
    path: str
    #: a name that finds the file again, in the version that was listed
    address: str
    size_bytes: int
    #: None for a file, and where the archive does not say
    zarr: ZarrStore | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DandisetFiles:
    """What a pattern finds in one version of a dandiset."""

    #: its number, like `000003`
    dandiset: str
    #: in the order of their paths
    assets: tuple[ListedAsset, ...]
    #: paths that the pattern matched, and that are no NWB file
    others: tuple[str, ...]
    #: NWB files without raw data, such as the units of an earlier job
    without_recording: tuple[str, ...]
    #: readable only with a key
    embargoed: bool


def list_dandiset(dandiset: str, pattern: str, access: DandiAccess) -> DandisetFiles:
    """List the files whose path matches; the key is sent only if it is needed.

    Without a version, `dandiset` is the latest publication, or else the draft. In the pattern, `*`
    stands for any characters, `/` among them.
    """
    name = _parse(dandiset)
    if name.selects != "whole" or name.is_identifier:
        raise SettingsError(
            f"{dandiset!r} names a file, not a dandiset; give it as --source, or name the "
            "dandiset alone, like 000003@0.230629.1955"
        )
    place = locate(name.url, access.instance_url)
    if place.dandiset is None:
        raise SettingsError(f"{dandiset!r} names no dandiset; write one like 000003")
    return with_key_if_needed(
        dandiset,
        place.instance,
        access.api_key,
        lambda client, key: _list(place, pattern, client, key),
    )


def _parse(dandiset: str) -> AssetName:
    try:
        return parse_asset_name(dandiset)
    except SettingsError as error:
        raise SettingsError(
            f"{dandiset!r} does not name a dandiset; write 000003, 000003@0.230629.1955, "
            "dandi://dandi-sandbox/000003@draft, or the address of its page"
        ) from error


def _list(
    place: ArchivePlace, pattern: str, client: DandiAPIClient, api_key: SecretStr | None
) -> DandisetFiles:
    from dandi.dandiapi import RemoteAsset

    assert place.dandiset is not None
    client.page_size = PAGE_SIZE
    dandiset = client.get_dandiset(place.dandiset, place.version, lazy=False)
    assets, others, without_recording = [], [], []
    found = {"glob": pattern, "metadata": "true"}
    for row in client.paginate(f"{dandiset.version_api_path}assets/", params=found):
        metadata = row.pop("metadata", None) or {}
        asset = RemoteAsset.from_data(dandiset, row, metadata)
        if not is_nwb(asset):
            others.append(asset.path)
            continue
        measured = metadata.get("variableMeasured") or [RAW_DATA]  # of old assets it is unknown
        if RAW_DATA not in measured:
            without_recording.append(asset.path)
            continue
        store = None
        if is_zarr(asset):
            with suppress(ValueError):
                store = zarr_store(asset, metadata, place.instance, api_key)
        listed = ListedAsset(
            path=asset.path,
            address=asset_address(asset, place.instance),
            size_bytes=asset.size,
            zarr=store,
        )
        assets.append(listed)
    return DandisetFiles(
        dandiset=place.dandiset,
        assets=tuple(sorted(assets, key=lambda asset: asset.path)),
        others=tuple(sorted(others)),
        without_recording=tuple(sorted(without_recording)),
        embargoed=api_key is not None,
    )
