"""The archives that requests and keys go to: DANDI's own over https, and the one that is set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from spikeinterface_cloud.config.dandi_urls import ASSET_ID, VERSION
from spikeinterface_cloud.config.locations import DANDI_BUCKET
from spikeinterface_cloud.errors import SettingsError

if TYPE_CHECKING:
    from dandi.consts import DandiInstance

#: every form of `AssetName.url`
PLACE = re.compile(
    r"(?:dandi://(?P<instance>[^/]+)|https?://(?P<host>[^/]+)(?:/api)?|s3://(?P<bucket>[^/]+))"
    r"(?:/(?:dandisets?/)?(?P<dandiset>\d{6})"
    rf"(?:(?:@|/|/versions/)(?P<version>{VERSION}))?)?"
    rf"(?:/assets/(?P<asset>{ASSET_ID})|/zarr/(?P<zarr>{ASSET_ID}))?/?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivePlace:
    """A dandiset, a version of it, one asset, or one Zarr, in an archive."""

    instance: DandiInstance
    #: None when an asset or a Zarr is named by its identifier alone
    dandiset: str | None
    #: None: the latest publication, or else the draft
    version: str | None
    asset: str | None
    zarr: str | None


def locate(url: str, instance_url: str | None) -> ArchivePlace:
    """Find the archive and the place in it that `AssetName.url` means, without any request.

    No request goes to other servers than DANDI's own and `DANDI_INSTANCE_URL`: a list of somebody
    else's may name any server, and one that is no archive can claim to be one.
    """
    found = PLACE.fullmatch(url)
    assert found is not None
    if found["bucket"] is not None:
        instance = _instance_of_bucket(url, found["bucket"], instance_url)
    else:
        instance = _instance(url, found["instance"], found["host"], instance_url)
    return ArchivePlace(
        instance=instance,
        dandiset=found["dandiset"],
        version=found["version"],
        asset=found["asset"],
        zarr=found["zarr"],
    )


def _instance_of_bucket(url: str, bucket: str, instance_url: str | None) -> DandiInstance:
    """Return the archive that is set, or else DANDI's own if it is its bucket."""
    from dandi.consts import DandiInstance, known_instances

    if instance_url is not None:
        return DandiInstance(urlsplit(instance_url).netloc, None, instance_url.rstrip("/"))
    if bucket == DANDI_BUCKET:
        return known_instances["dandi"]
    raise SettingsError(
        f"{url}: {bucket} is not the bucket of DANDI's archive; name the asset by its path, like "
        "dandi://dandi-sandbox/000123@draft/sub-1/a.nwb.zarr, or set DANDI_INSTANCE_URL to the "
        "archive that it belongs to"
    )


def _instance(
    url: str, name: str | None, host: str | None, instance_url: str | None
) -> DandiInstance:
    from dandi.consts import DandiInstance, known_instances

    if instance_url is not None:
        own_host = urlsplit(instance_url).netloc
        named = known_instances.get(name or "")
        if host == own_host or (named and urlsplit(named.api).netloc == own_host):
            return DandiInstance(name or own_host, None, instance_url.rstrip("/"))
    archives = _archives()
    if name is not None:
        for instance in archives.values():
            if instance.name == name:
                return instance
        known = ", ".join(sorted({each.name for each in archives.values()}))
        raise SettingsError(f"{url} names an archive that is not known; the known ones are {known}")
    if host is None or host.lower() not in archives:
        raise SettingsError(
            f"{url} is not on a known DANDI archive; if {host} is an archive that you trust with "
            f"DANDI_API_KEY, set DANDI_INSTANCE_URL to the URL of its API, like https://{host}/api"
        )
    return archives[host.lower()]


@cache
def _archives() -> dict[str, DandiInstance]:
    """Return DANDI's own archives that are reached over https, by the hosts of their addresses."""
    from dandi.consts import known_instances

    return {
        urlsplit(address).netloc: instance
        for instance in known_instances.values()
        if instance.api.startswith("https://")
        for address in instance.urls()
    }
