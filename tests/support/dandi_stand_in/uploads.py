"""Uploads to the archive, from the start to the asset."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from dandischema.digests.dandietag import DandiETag, PartGenerator

from tests.support.dandi_stand_in.records import BUCKET, Asset

if TYPE_CHECKING:
    from tests.support.dandi_stand_in.archive import DandiStandIn


@dataclass(kw_only=True)
class Upload:
    """A blob being uploaded."""

    dandiset: str
    etag: str
    size_bytes: int
    #: of the resulting blob too
    content: str = field(default_factory=lambda: str(uuid.uuid4()))
    parts: dict[int, bytes] = field(default_factory=dict)
    #: the parts joined by the store
    file: Path | None = None

    @property
    def key(self) -> str:
        """The key of its blob in the bucket."""
        return f"blobs/{self.content[:3]}/{self.content[3:6]}/{self.content}"


class Uploads:
    """The uploads of an archive and the resulting blobs."""

    def __init__(self, archive: DandiStandIn, folder: Path) -> None:
        self._archive = archive
        self._folder = folder
        self._under_way: dict[str, Upload] = {}
        self._blobs: dict[str, Upload] = {}
        #: called once, between the last byte of an upload and its validation
        self.before_validation: Callable[[], object] | None = None

    def initialize(self, dandiset: str, etag: str, size_bytes: int) -> tuple[int, Any]:
        """Return the parts to send, or the blob that already exists."""
        for blob in self._blobs.values():
            if (blob.etag, blob.size_bytes) == (etag, size_bytes):
                return 409, blob.content
        upload = Upload(dandiset=dandiset, etag=etag, size_bytes=size_bytes)
        self._under_way[upload.content] = upload
        parts = [
            {
                "part_number": part.number,
                "size": part.size,
                "upload_url": self._signed(upload, partNumber=part.number),
            }
            for part in PartGenerator.for_file_size(size_bytes)
        ]
        return 200, {"upload_id": upload.content, "parts": parts}

    def complete(self, identifier: str, parts: list[dict[str, Any]]) -> dict[str, str]:
        """Return URL and body of the request that completes an upload in the store."""
        listed = "".join(
            f"<Part><PartNumber>{part['part_number']}</PartNumber><ETag>{part['etag']}</ETag></Part>"
            for part in parts
        )
        return {
            "complete_url": self._signed(self._under_way[identifier]),
            "body": f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>",
        }

    def is_under_way(self, identifier: str) -> bool:
        """Return whether the upload was begun and not yet validated."""
        return identifier in self._under_way

    def is_blob(self, identifier: str) -> bool:
        """Return whether an upload has become a blob."""
        return identifier in self._blobs

    def receive(self, query: dict[str, str], body: bytes) -> str:
        """Store a part; return its ETag."""
        upload = self._under_way[query["uploadId"]]
        upload.parts[int(query["partNumber"])] = body
        return hashlib.md5(body, usedforsecurity=False).hexdigest()

    def assemble(self, query: dict[str, str]) -> str:
        """Join the parts; return the ETag of the whole."""
        upload = self._under_way[query["uploadId"]]
        upload.file = self._folder / upload.content
        upload.file.write_bytes(b"".join(part for _, part in sorted(upload.parts.items())))
        upload.parts.clear()
        return str(DandiETag.from_file(upload.file).as_str())

    def validate(self, identifier: str) -> tuple[int, Any]:
        """Return the resulting blob, or why it is none."""
        action, self.before_validation = self.before_validation, None
        if action is not None:
            action()
        upload = self._under_way[identifier]
        if upload.file is None:
            return 400, ["Object does not exist."]
        if upload.file.stat().st_size != upload.size_bytes:
            return 400, [f"Size {upload.size_bytes} does not match the object's size."]
        if DandiETag.from_file(upload.file).as_str() != upload.etag:
            return 400, [f"ETag {upload.etag} does not match actual ETag."]
        del self._under_way[identifier]
        if any(blob.etag == upload.etag for blob in self._blobs.values()):
            return 409, "An identical blob has already been uploaded."
        self._blobs[upload.content] = upload
        return 200, self._described(upload)

    def _described(self, upload: Upload) -> dict[str, Any]:
        return {
            "blob_id": upload.content,
            "etag": upload.etag,
            "sha256": None,
            "size": upload.size_bytes,
        }

    def asset(self, dandiset: str, content: str, metadata: dict[str, Any]) -> Asset:
        """Return the asset of a blob in a draft."""
        blob = self._blobs[content]
        return Asset(
            dandiset=dandiset,
            version="draft",
            path=metadata["path"],
            file=blob.file,
            size_bytes=blob.size_bytes,
            digests={"dandi:dandi-etag": blob.etag},
            content=content,
            described=metadata,
        )

    def _signed(self, upload: Upload, **query: Any) -> str:
        signature = uuid.uuid4().hex
        self._archive.signatures[signature] = upload.key
        query |= {"uploadId": upload.content, "X-Amz-Signature": signature}
        return f"{self._archive.store_url}/{BUCKET}/{upload.key}?{urlencode(query)}"
