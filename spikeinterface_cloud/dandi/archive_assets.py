"""Assets as the archive describes them: one file, or a Zarr of many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
class ArchiveZarr(ArchiveAsset):
    """An asset that is a Zarr."""

    #: of the Zarr, a UUID
    zarr: str
    #: of the paths, MD5s and sizes of all its entries
    checksum: str
    #: of its entries without their paths, unsigned and without a closing slash
    content_url: str
    archive: DandiInstance = field(repr=False)
    #: None unless it is embargoed
    api_key: SecretStr | None = field(repr=False)


def is_zarr(asset: BaseRemoteAsset) -> bool:
    """Return whether an asset is a Zarr, whatever its name is."""
    from dandi.dandiapi import BaseRemoteZarrAsset

    return isinstance(asset, BaseRemoteZarrAsset)


def is_nwb(asset: BaseRemoteAsset) -> bool:
    """Return whether an asset is NWB, by its name."""
    path: str = asset.path
    return path.endswith(NWB_ZARR_SUFFIX if is_zarr(asset) else NWB_SUFFIX)


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
