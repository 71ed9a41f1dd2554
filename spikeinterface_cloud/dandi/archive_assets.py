"""Assets as the archive describes them: one file, or a Zarr of many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.storage.digests import Digest, etag_digest

if TYPE_CHECKING:
    from dandi.consts import DandiInstance
    from dandi.dandiapi import BaseRemoteAsset
    from pydantic import SecretStr

NWB_SUFFIX = ".nwb"

#: of NWB in the form of a Zarr; other Zarrs are images and the like
NWB_ZARR_SUFFIX = ".nwb.zarr"


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveAsset:
    """One asset that is NWB."""

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
    #: a name that finds the asset again
    address: str
    size_bytes: int
    #: readable only with a key, so that its URLs have to be signed
    embargoed: bool

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveFile(ArchiveAsset):
    """An asset that is one file in HDF5."""

    dandi_etag: str
    #: of fresh assets the archive has none yet
    sha256: str | None
    #: gives a URL of the bytes that serves for some hours, a fresh one each time
    content_url: Callable[[], str] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ZarrStore:
    """The entries of a Zarr, in the archive's bucket."""

    #: of the Zarr, a UUID
    identifier: str
    #: of its entries without their paths, unsigned and without a closing slash
    url: str
    archive: DandiInstance = field(repr=False)
    #: None unless it is embargoed
    api_key: SecretStr | None = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveZarr(ArchiveAsset):
    """An asset that is a Zarr."""

    #: of the paths, MD5s and sizes of all its entries
    checksum: str
    store: ZarrStore


def is_zarr(asset: BaseRemoteAsset) -> bool:
    """Return whether an asset is a Zarr, whatever its name is."""
    from dandi.dandiapi import BaseRemoteZarrAsset

    return isinstance(asset, BaseRemoteZarrAsset)


def is_nwb(asset: BaseRemoteAsset) -> bool:
    """Return whether an asset is NWB, by its name."""
    path: str = asset.path
    return path.endswith(NWB_ZARR_SUFFIX if is_zarr(asset) else NWB_SUFFIX)


def zarr_store(
    asset: BaseRemoteAsset,
    metadata: Mapping[str, Any],
    archive: DandiInstance,
    api_key: SecretStr | None,
) -> ZarrStore:
    """Return where the entries of a Zarr asset are; ValueError if its metadata do not say."""
    identifier = str(asset.zarr)
    url = next((url for url in metadata.get("contentUrl") or () if identifier in url), None)
    if url is None:
        raise ValueError("no URL of the Zarr among the asset's")
    return ZarrStore(
        identifier=identifier,
        url=urlunsplit(urlsplit(url)._replace(query="", fragment="")).rstrip("/"),
        archive=archive,
        api_key=api_key,
    )


def stated_digest(subject: str, etag: str, size_bytes: int) -> Digest:
    """Return the digest that an ETag of the archive stands for; RecordingError if it is none."""
    from dandischema.digests.dandietag import PartGenerator

    part_size_bytes = None
    if size_bytes:
        part_size_bytes = PartGenerator.for_file_size(size_bytes).initial_part_size
    digest = etag_digest(etag, size_bytes=size_bytes, part_size_bytes=part_size_bytes)
    if digest is None:
        raise RecordingError(
            f"{subject} cannot be verified: its digest {etag} is not one of a file of "
            f"{size_bytes} bytes; ask the dandiset's owner to upload it again"
        )
    return digest
