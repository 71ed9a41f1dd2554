"""The only code that speaks to S3 through boto3: listing, small objects, permissions and what S3
states of an object.

The bytes of recordings and results move through obstore (download.py, upload.py), over the stores
that are made here.
"""

from __future__ import annotations

import difflib
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import obstore
from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import BaseError

from spikeinterface_cloud.aws_errors import NO_OBJECT, error_code
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import SourceError, TargetError, TransferError
from spikeinterface_cloud.storage.digests import (
    Digest,
    checksum_digest,
    etag_digest,
    number_of_parts,
    plain_etag,
)
from spikeinterface_cloud.storage.retries import final_status, first_line
from spikeinterface_cloud.storage.session import S3Session
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from obstore.store import S3Store

    from spikeinterface_cloud.config.settings import AwsSettings

logger = logging.getLogger(__name__)

#: read from a connection at once
BLOCK_BYTES = 1024 * 1024

#: within the connections that boto3 keeps
REMOVED_AT_ONCE = 16

#: codes of a write whose condition does not hold, and of servers without conditional writes
CHANGED = frozenset({"412", "409", "PreconditionFailed", "ConditionalRequestConflict"})
NO_CONDITIONS = frozenset({"501", "NotImplemented"})

#: Objects whose ETag is not a digest, by the encryption that S3 states in their headers.
KEYED_ENCRYPTION = frozenset({"aws:kms", "aws:kms:dsse"})


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """One object as S3 lists it."""

    location: S3Location
    size_bytes: int
    #: without quotes
    etag: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRange:
    """Some bytes of an object, and the object they are of."""

    #: the next ones are read when they are asked for
    blocks: Iterator[bytes]
    #: without quotes
    etag: str | None
    #: as `Content-Range` states it; None when the server sent no such header
    content_range: str | None


class ObjectDiffers(Exception):
    """An object is not the one that it had to be for a write."""


class ConditionRefused(Exception):
    """The server has no conditional writes."""


class Storage:
    """S3, or a server that speaks its language, with one set of credentials."""

    def __init__(
        self,
        access: AwsSettings,
        *,
        unsigned: bool = False,
        patience: NetworkTimeouts | None = None,
    ) -> None:
        """Connect to nothing yet; `unsigned` leaves credentials out, as public buckets of strangers
        want it."""
        self._access = access
        self._unsigned = unsigned
        self.patience = patience or NetworkTimeouts()
        self._s3 = S3Session(access, unsigned=unsigned, patience=self.patience)

    def with_patience(self, patience: NetworkTimeouts) -> Storage:
        """The same storage, for who waits longer or less long."""
        return Storage(self._access, unsigned=self._unsigned, patience=patience)

    def list_objects(self, folder: S3Location) -> list[StoredObject]:
        """The objects inside `folder`, at any depth, or the one object of that name.

        Raises SourceError when there is nothing, or when it may not be seen.
        """
        prefix = f"{folder.key}/" if folder.key else ""
        try:
            with self._s3.translate_errors("list", folder, SourceError):
                found = list(self._listed(folder.bucket, prefix))
        except SourceError:
            single = self._single_object_where_listing_is_denied(folder)
            if single is None:
                raise
            return [single]
        if found:
            return found
        if folder.key and self.object_exists(folder):
            return [self.head(folder)]
        raise SourceError(f"{folder} holds no objects{self._similar(folder)}")

    def objects_below(self, folder: S3Location) -> list[StoredObject]:
        """The objects inside `folder`, at any depth; there may be none. Raises SourceError."""
        with self._s3.translate_errors("list", folder, SourceError):
            return list(self._listed(folder.bucket, f"{folder.key}/" if folder.key else ""))

    def head(self, location: S3Location) -> StoredObject:
        """What S3 states of one object. Raises SourceError."""
        return self._stored(location, self._head(location))

    def object_exists(self, location: S3Location) -> bool:
        """Whether there is an object; a folder is none. Raises SourceError when that may not be
        known."""
        with self._s3.translate_errors("look up", location, SourceError):
            try:
                self._s3.client.head_object(Bucket=location.bucket, Key=location.key)
            except ClientError as error:
                if error_code(error) in NO_OBJECT.codes:
                    return False
                raise
        return True

    def read_object(self, location: S3Location) -> bytes:
        """The whole of a small object. Raises SourceError."""
        with self._s3.translate_errors("read", location, SourceError):
            content, _ = self._version(location)
        return content

    def read_version(self, location: S3Location) -> tuple[bytes, str] | None:
        """A small object and the ETag of just these bytes; None where there is none.

        Raises SourceError.
        """
        with self._s3.translate_errors("read", location, SourceError):
            try:
                return self._version(location)
            except ClientError as error:
                if error_code(error) in NO_OBJECT.codes:
                    return None
                raise

    def _version(self, location: S3Location) -> tuple[bytes, str]:
        reply = self._s3.client.get_object(Bucket=location.bucket, Key=location.key)
        return bytes(reply["Body"].read()), plain_etag(reply.get("ETag")) or ""

    def open_range(self, location: S3Location, start: int, end: int) -> StoredRange:
        """The bytes from `start` to before `end` of an object, as they come.

        Raises SourceError or TransferError, here and from the blocks.
        """
        with self._s3.translate_errors("read", location, SourceError):
            reply = self._s3.client.get_object(
                Bucket=location.bucket, Key=location.key, Range=f"bytes={start}-{end - 1}"
            )
        return StoredRange(
            blocks=self._blocks(location, reply["Body"]),
            etag=plain_etag(reply.get("ETag")),
            content_range=reply.get("ContentRange"),
        )

    def _blocks(self, location: S3Location, body: StreamingBody) -> Iterator[bytes]:
        with self._s3.translate_errors("read", location, SourceError), body:
            yield from body.iter_chunks(BLOCK_BYTES)

    def write_object(
        self, location: S3Location, body: bytes, content_type: str | None = None
    ) -> None:
        """Write a small object, over an older one. Raises TargetError."""
        described: dict[str, Any] = {} if content_type is None else {"ContentType": content_type}
        with self._s3.translate_errors("write", location, TargetError):
            self._s3.client.put_object(
                Bucket=location.bucket, Key=location.key, Body=body, **described
            )

    def write_object_if(self, location: S3Location, body: bytes, etag: str | None) -> str:
        """Write a small object where it still has that ETag, or, for None, where there is none; its
        new ETag.

        Raises ObjectDiffers where that is not so, ConditionRefused where the server knows no
        conditions (one that only ignores them does not say), TargetError.
        """
        condition: dict[str, Any] = (
            {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"'}
        )
        with self._s3.translate_errors("write", location, TargetError):
            try:
                reply = self._s3.client.put_object(
                    Bucket=location.bucket, Key=location.key, Body=body, **condition
                )
            except ClientError as error:
                if error_code(error) in CHANGED or (etag and error_code(error) in NO_OBJECT.codes):
                    raise ObjectDiffers(str(location)) from error
                if error_code(error) in NO_CONDITIONS:
                    raise ConditionRefused(str(location)) from error
                raise
        return plain_etag(reply["ETag"]) or ""

    def remove_objects(self, locations: Sequence[S3Location]) -> None:
        """Delete many objects, some at a time. Raises TargetError."""
        with ThreadPoolExecutor(REMOVED_AT_ONCE) as threads:
            for _ in threads.map(self.remove_object, locations):
                pass

    def remove_object(self, location: S3Location) -> None:
        """Delete an object; one that is not there is no error. Raises TargetError."""
        with self._s3.translate_errors("delete", location, TargetError):
            self._s3.client.delete_object(Bucket=location.bucket, Key=location.key)

    def check_writable(self, target: S3Location) -> None:
        """Write a tiny object into `target`, by both clients that will, and delete it again. Raises
        TargetError or TransferError. A role that may write but not delete passes, with a warning
        that names what it leaves behind.
        """
        trial = target.child(f".write-test-{uuid.uuid4()}")
        with self._s3.translate_errors("write", target, TargetError):
            self._s3.client.put_object(Bucket=trial.bucket, Key=trial.key, Body=b"")
        try:
            obstore.put(self.target_store(trial.bucket), trial.key, b"")
        except BaseError as error:
            if final_status(error) is None:
                raise TransferError("write", "a test", str(target), first_line(error)) from error
            raise TargetError(f"cannot write {target}: {first_line(error)}") from error
        try:
            self._s3.client.delete_object(Bucket=trial.bucket, Key=trial.key)
        except (ClientError, BotoCoreError) as error:
            logger.warning("the empty test object %s could not be deleted again: %s", trial, error)

    def presigned_url(self, location: S3Location, seconds: int) -> str:
        """A URL that reads the object without credentials for that time; a secret, so keep it out
        of logs."""
        with self._s3.translate_errors("sign a URL for", location, SourceError):
            return str(
                self._s3.client.generate_presigned_url(
                    "get_object",
                    Params={"Bucket": location.bucket, "Key": location.key},
                    ExpiresIn=seconds,
                )
            )

    def stored_digest(self, location: S3Location) -> Digest | None:
        """The digest that S3 can state of an object, asked of its headers; None when there is none.

        A checksum of the whole object where one was stored with it, as it costs the least; then the
        ETag, unless the object is encrypted by a key, or was uploaded in parts whose sizes cannot
        be told.
        """
        head = self._head(location)
        if (checksum := checksum_digest(head)) is not None:
            return checksum
        if head.get("ServerSideEncryption") in KEYED_ENCRYPTION or "SSECustomerAlgorithm" in head:
            return None
        etag = plain_etag(head.get("ETag"))
        part_size_bytes = None
        if number_of_parts(etag) is not None:
            part_size_bytes = int(self._head(location, PartNumber=1)["ContentLength"])
        return etag_digest(
            etag, size_bytes=int(head["ContentLength"]), part_size_bytes=part_size_bytes
        )

    def object_store(self, bucket: str) -> S3Store:
        """The obstore store of a bucket; the same one, with its connections, each time."""
        return self._s3.object_store(bucket)

    def target_store(self, bucket: str) -> S3Store:
        """The same of a bucket that is to be written to. Raises TargetError."""
        try:
            return self.object_store(bucket)
        except SourceError as error:  # its words are about any bucket, its code is not
            raise TargetError(str(error)) from error

    def _listed(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        paginator = self._s3.client.get_paginator("list_objects_v2")
        for page in paginator.paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                if entry["Key"].endswith("/") and entry["Size"] == 0:
                    continue  # what consoles leave behind to show a folder
                yield StoredObject(
                    location=S3Location(bucket=bucket, key=entry["Key"]),
                    size_bytes=int(entry["Size"]),
                    etag=plain_etag(entry.get("ETag")),
                )

    def _single_object_where_listing_is_denied(self, location: S3Location) -> StoredObject | None:
        """A role may be allowed to read one object and not to list its bucket."""
        if not location.key:
            return None
        try:
            reply = self._s3.client.head_object(Bucket=location.bucket, Key=location.key)
        except (ClientError, BotoCoreError):
            return None
        return self._stored(location, reply)

    def _similar(self, folder: S3Location) -> str:
        """The names beside an empty folder that come nearest to its own, for the error message."""
        parent, _, name = folder.key.rpartition("/")
        try:
            page = self._s3.client.list_objects_v2(
                Bucket=folder.bucket, Prefix=f"{parent}/" if parent else "", Delimiter="/"
            )
        except (ClientError, BotoCoreError):
            return ""
        names = [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        names += [entry["Key"] for entry in page.get("Contents", [])]
        names = [found.rstrip("/").rpartition("/")[2] for found in names]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or sorted(names)[:3]
        if not near:
            return "; check the bucket's folder"
        return f"; beside it there is {', '.join(near)}: check the bucket's folder"

    def _head(self, location: S3Location, **options: Any) -> dict[str, Any]:
        with self._s3.translate_errors("look up", location, SourceError):
            reply = self._s3.client.head_object(
                Bucket=location.bucket, Key=location.key, ChecksumMode="ENABLED", **options
            )
            return dict(reply)

    @staticmethod
    def _stored(location: S3Location, head: Mapping[str, Any]) -> StoredObject:
        return StoredObject(
            location=location,
            size_bytes=int(head["ContentLength"]),
            etag=plain_etag(head.get("ETag")),
        )
