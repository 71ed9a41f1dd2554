"""The archive's blob store, in place of S3."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, unquote_plus, urlsplit

from dandischema.digests.dandietag import PartGenerator

from tests.support.dandi_stand_in.handler import Handler
from tests.support.dandi_stand_in.records import BUCKET, Fault
from tests.support.dandi_stand_in.zarr import entry_etag

BLOCK_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """A blob, or an entry of a Zarr."""

    key: str
    file: Path
    size_bytes: int
    etag: str


class StoreHandler(Handler):
    """Serves blobs and entries as S3 does."""

    server_name = "store"

    def answer(self) -> None:
        """Send a blob or part of it, or receive a part of an upload."""
        address = urlsplit(self.path)
        if self.fault is Fault.UNAVAILABLE:
            self._refuse(503, "SlowDown", "Reduce your request rate.", {"Retry-After": "1"})
            return
        if self.command in ("PUT", "POST"):
            self._receive({name: values[0] for name, values in parse_qs(address.query).items()})
            return
        key = unquote_plus(address.path).removeprefix(f"/{BUCKET}/")
        found = self._find(key)
        signature = parse_qs(address.query).get("X-Amz-Signature", [""])[0]
        if self.fault is Fault.EXPIRED_SIGNATURE:
            self.archive.signatures.pop(signature, None)
        if not self._may_read(key, signature):
            self._refuse(
                403, "AccessDenied", "Request has expired" if signature else "Access Denied"
            )
        elif found is None:
            self._refuse(404, "NoSuchKey", "The specified key does not exist.")
        else:
            self._send_object(found, self.fault)

    def _find(self, key: str) -> StoredObject | None:
        for asset in self.archive.assets:
            if asset.file is not None and asset.key == key:
                return StoredObject(
                    key=key, file=asset.file, size_bytes=asset.size_bytes, etag=asset.etag
                )
            if asset.folder is not None and key.startswith(f"{asset.key}/"):
                file = asset.folder / key.removeprefix(f"{asset.key}/")
                if file.is_file():
                    size_bytes = file.stat().st_size
                    return StoredObject(
                        key=key, file=file, size_bytes=size_bytes, etag=entry_etag(file)
                    )
        return None

    def _receive(self, query: dict[str, str]) -> None:
        """Receive a part or complete an upload; each URL is signed for its blob."""
        key = unquote_plus(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")
        if self.archive.signatures.get(query.get("X-Amz-Signature", "")) != key:
            self._refuse(403, "AccessDenied", "Access Denied")
        elif self.command == "PUT":
            if self.fault is Fault.WRONG_BYTES:
                self.content = self.content[:-1] + bytes([self.content[-1] ^ 0xFF])
            self.send(200, {"ETag": f'"{self.archive.uploads.receive(query, self.content)}"'})
        else:
            etag = self.archive.uploads.assemble(query)
            name = "CompleteMultipartUploadResult"
            space = "http://s3.amazonaws.com/doc/2006-03-01/"
            answer = f'<?xml version="1.0"?><{name} xmlns="{space}"><ETag>"{etag}"</ETag></{name}>'
            self.send(200, {"Content-Type": "application/xml"}, answer.encode())

    def _may_read(self, key: str, signature: str) -> bool:
        """Return whether the request may read; signed URLs allow one method only."""
        if signature:
            method = "HEAD" if signature in self.archive.head_signatures else "GET"
            return self.command == method and self.archive.signatures.get(signature) == key
        return not any(
            key == asset.key or key.startswith(f"{asset.key}/")
            for asset in self.archive.assets
            if asset.dandiset in self.archive.embargoed
        )

    def _send_object(self, found: StoredObject, fault: Fault | None) -> None:
        headers = {
            "ETag": f'"{found.etag}"',
            "Last-Modified": formatdate(1704164645, usegmt=True),
            "Content-Type": "application/x-nwb",
            "Accept-Ranges": "bytes",
        }
        demanded = self.headers.get("If-Match", "*")
        if demanded != "*" and demanded.strip('"') != found.etag:
            self._refuse(412, "PreconditionFailed", "The ETag is another one.")
            return
        start, end = self._requested_bytes(found)
        status = 206 if (start, end) != (0, found.size_bytes) or "Range" in self.headers else 200
        if status == 206 and start >= end:
            whole = {"Content-Range": f"bytes */{found.size_bytes}"}
            self._refuse(416, "InvalidRange", "The requested range is not satisfiable", whole)
            return
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size_bytes}"
        self.begin(status, headers, end - start)
        if self.command == "GET":
            self._send_bytes(found, start, end, fault)

    def _requested_bytes(self, found: StoredObject) -> tuple[int, int]:
        """Return the requested bytes: a range, a part of the upload, or all."""
        if range_header := self.headers.get("Range"):
            return _bounds(range_header, found.size_bytes)
        if number := parse_qs(urlsplit(self.path).query).get("partNumber"):
            part = PartGenerator.for_file_size(found.size_bytes)[int(number[0])]
            return part.offset, part.offset + part.size
        return 0, found.size_bytes

    def _send_bytes(self, found: StoredObject, start: int, end: int, fault: Fault | None) -> None:
        if fault is Fault.SHORT_BODY:
            end -= (end - start + 1) // 2
            self.close_connection = True
        with found.file.open("rb") as stream:
            stream.seek(start)
            while start < end:
                block = stream.read(min(BLOCK_BYTES, end - start))
                start += len(block)
                if start == end and fault is Fault.WRONG_BYTES:
                    block = block[:-1] + bytes([block[-1] ^ 0xFF])
                self.wfile.write(block)

    def _refuse(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        body = (
            f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        )
        described = {"Content-Type": "application/xml"} | (headers or {})
        self.send(status, described, body.encode())


def _bounds(range_header: str, size_bytes: int) -> tuple[int, int]:
    """Return start and end (exclusive) of a Range header."""
    first, _, last = range_header.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size_bytes - int(last)), size_bytes
    return int(first), min(int(last) + 1, size_bytes) if last else size_bytes
