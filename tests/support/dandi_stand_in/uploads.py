"""Uploads to the archive, from the start to the asset."""

from __future__ import annotations

import hashlib
import json
import uuid
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
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    #: id of the resulting blob
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

    def initialize(self, dandiset: str, etag: str, size_bytes: int) -> tuple[int, Any]:
        """Return the parts to send, or the blob that already exists."""
        for blob in self._blobs.values():
            if (blob.etag, blob.size_bytes) == (etag, size_bytes):
                return 409, blob.content
        upload = Upload(dandiset=dandiset, etag=etag, size_bytes=size_bytes)
        self._under_way[upload.identifier] = upload
        parts = [
            {
                "part_number": part.number,
                "size": part.size,
                "upload_url": self._signed(upload, partNumber=part.number),
            }
            for part in PartGenerator.for_file_size(size_bytes)
        ]
        return 200, {"upload_id": upload.identifier, "parts": parts}

    def complete(self, identifier: str, parts: list[dict[str, Any]]) -> dict[str, str]:
        """Return URL and body of the request that completes an upload in the store."""
        return {
            "complete_url": self._signed(self._under_way[identifier]),
            "body": json.dumps(parts),
        }

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

    def validate(self, identifier: str) -> dict[str, Any] | None:
        """Return the resulting blob, or None if its bytes differ from those announced."""
        upload = self._under_way.pop(identifier)
        assert upload.file is not None
        if DandiETag.from_file(upload.file).as_str() != upload.etag:
            return None
        self._blobs[upload.content] = upload
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
        query |= {"uploadId": upload.identifier, "X-Amz-Signature": signature}
        return f"{self._archive.store_url}/{BUCKET}/{upload.key}?{urlencode(query)}"
