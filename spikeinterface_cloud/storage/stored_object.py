"""Objects of S3, as its replies describe them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.storage.digests import plain_etag

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ListObjectsV2OutputTypeDef

#: the storage classes that nobody can read at once
ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """One object as S3 lists it."""

    location: S3Location
    size_bytes: int
    #: without quotes
    etag: str | None
    modified: datetime
    storage_class: str = "STANDARD"
    #: of an archived object that was looked up by itself: how far its restore is
    restore: str = ""

    @property
    def is_archived(self) -> bool:
        """Whether it has to be restored before it can be read, if it has not been yet."""
        return self.storage_class in ARCHIVES


def as_stored(location: S3Location, head: HeadObjectOutputTypeDef) -> StoredObject:
    """Return an object as S3 states it in the reply to HEAD."""
    return StoredObject(
        location=location,
        size_bytes=int(head["ContentLength"]),
        etag=plain_etag(head.get("ETag")),
        modified=head["LastModified"],
        storage_class=head.get("StorageClass", "STANDARD"),
        restore=head.get("Restore", ""),
    )


def objects_in(bucket: str, page: ListObjectsV2OutputTypeDef) -> Iterator[StoredObject]:
    """Yield the objects of one page of a listing."""
    for entry in page.get("Contents", []):
        if entry["Key"].endswith("/") and entry["Size"] == 0:
            continue  # what consoles leave behind to show a folder
        yield StoredObject(
            location=S3Location(bucket=bucket, key=entry["Key"]),
            size_bytes=int(entry["Size"]),
            etag=plain_etag(entry.get("ETag")),
            modified=entry["LastModified"],
            storage_class=entry.get("StorageClass", "STANDARD"),
        )
