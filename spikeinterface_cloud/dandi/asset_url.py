"""Names by which an asset is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from dandi.consts import DandiInstance
    from dandi.dandiapi import BaseRemoteAsset


def asset_address(asset: BaseRemoteAsset, instance: DandiInstance) -> str:
    """Return the shortest name that finds an asset again."""
    from dandi.consts import known_instances

    api = instance.api.rstrip("/")
    dandiset = getattr(asset, "dandiset_id", None)
    if dandiset is None:
        return f"{api}/assets/{asset.identifier}/"
    version = asset.version_id
    if instance.name in known_instances:
        return f"dandi://{instance.name}/{dandiset}@{version}/{asset.path}"
    return f"{api}/dandisets/{dandiset}/versions/{version}/assets/?path={quote(asset.path)}"
