"""What `run.json` says of a source: where it is, and which bytes it has."""

import hashlib
from collections.abc import Sequence
from typing import Any

from spikeinterface_cloud.config.locations import DandiAsset, Source
from spikeinterface_cloud.dandi.archive_assets import ArchiveAsset
from spikeinterface_cloud.storage.remote_file import RemoteFile


def describe(location: Source, files: Sequence[RemoteFile]) -> dict[str, Any]:
    """Identify the bytes of a source by a digest of the names, sizes and ETags of its files."""
    contents = "\n".join(f"{file.name} {file.size_bytes} {_identity(file)}" for file in files)
    return {
        "location": str(location),
        "n_files": len(files),
        "size_bytes": sum(file.size_bytes for file in files),
        "etag": _identity(files[0]) if len(files) == 1 else None,
        "sha256_of_listing": hashlib.sha256(contents.encode()).hexdigest(),
    }


def _identity(file: RemoteFile) -> str | None:
    return file.etag or (file.digest.value if file.digest else None)


def describe_asset(
    location: DandiAsset, asset: ArchiveAsset, files: Sequence[RemoteFile]
) -> dict[str, Any]:
    """Identify the bytes of an asset, and the asset."""
    return {
        **describe(location, files),
        "instance": asset.instance,
        "dandiset": asset.dandiset,
        "version": asset.version,
        "path": asset.path,
        "asset": asset.identifier,
    }
