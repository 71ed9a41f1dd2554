"""The only code that speaks to S3 through boto3: listing, small objects, permissions and what S3
states of an object.

The bytes of recordings and results move through obstore (transfer.py, upload.py), over the stores
that are made here.
"""

from __future__ import annotations

import base64
import difflib
import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from spikeinterface_cloud.connection import Patience, client_options, retry_config
from spikeinterface_cloud.digests import Digest, etag_digest, number_of_parts, plain_etag
from spikeinterface_cloud.errors import CloudJobError, SourceError, TargetError
from spikeinterface_cloud.location import S3Location
from spikeinterface_cloud.storage_errors import MISSING, error_code, explain

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from obstore.store import S3Config
    from pydantic import SecretStr

    from spikeinterface_cloud.settings import AwsSettings

logger = logging.getLogger(__name__)

#: read from a connection at once
BLOCK_BYTES = 1024 * 1024

#: boto3 renews temporary credentials ten minutes before they end: what obstore keeps is never that
#: old
CREDENTIALS_KEPT = timedelta(minutes=5)

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


class Storage:
    """S3, or a server that speaks its language, with one set of credentials."""

    def __init__(
        self, access: AwsSettings, *, unsigned: bool = False, patience: Patience | None = None
    ) -> None:
        """Connect to nothing yet; `unsigned` leaves credentials out, as public buckets of strangers
        want it."""
        self.patience = patience or Patience()
        self._session = boto3.Session(
            aws_access_key_id=_secret(access.access_key_id),
            aws_secret_access_key=_secret(access.secret_access_key),
            aws_session_token=_secret(access.session_token),
            region_name=access.region_name,
        )
        self._unsigned = unsigned or self._session.get_credentials() is None
        self._client = self._session.client(
            "s3", endpoint_url=access.endpoint_url, config=self._client_config()
        )
        self._stores: dict[str, S3Store] = {}
        self._lock = threading.Lock()

    def list_objects(self, folder: S3Location) -> list[StoredObject]:
        """The objects inside `folder`, at any depth, or the one object of that name.

        Raises SourceError when there is nothing, or when it may not be seen.
        """
        prefix = f"{folder.key}/" if folder.key else ""
        try:
            with self._explained("list", folder, SourceError):
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

    def head(self, location: S3Location) -> StoredObject:
        """What S3 states of one object. Raises SourceError."""
        return self._stored(location, self._head(location))

    def object_exists(self, location: S3Location) -> bool:
        """Whether there is an object; a folder is none. Raises SourceError when that may not be
        known."""
        with self._explained("look up", location, SourceError):
            try:
                self._client.head_object(Bucket=location.bucket, Key=location.key)
            except ClientError as error:
                if error_code(error) in MISSING:
                    return False
                raise
        return True

    def read_object(self, location: S3Location) -> bytes:
        """The whole of a small object. Raises SourceError."""
        with self._explained("read", location, SourceError):
            reply = self._client.get_object(Bucket=location.bucket, Key=location.key)
            return bytes(reply["Body"].read())

    def open_range(self, location: S3Location, start: int, end: int) -> StoredRange:
        """The bytes from `start` to before `end` of an object, as they come.

        Raises SourceError or TransferError, here and from the blocks.
        """
        with self._explained("read", location, SourceError):
            reply = self._client.get_object(
                Bucket=location.bucket, Key=location.key, Range=f"bytes={start}-{end - 1}"
            )
        return StoredRange(
            blocks=self._blocks(location, reply["Body"]),
            etag=plain_etag(reply.get("ETag")),
            content_range=reply.get("ContentRange"),
        )

    def _blocks(self, location: S3Location, body: StreamingBody) -> Iterator[bytes]:
        with self._explained("read", location, SourceError), body:
            yield from body.iter_chunks(BLOCK_BYTES)

    def write_object(
        self, location: S3Location, body: bytes, content_type: str | None = None
    ) -> None:
        """Write a small object, over an older one. Raises TargetError."""
        described = {} if content_type is None else {"ContentType": content_type}
        with self._explained("write", location, TargetError):
            self._client.put_object(
                Bucket=location.bucket, Key=location.key, Body=body, **described
            )

    def remove_object(self, location: S3Location) -> None:
        """Delete an object; one that is not there is no error. Raises TargetError."""
        with self._explained("delete", location, TargetError):
            self._client.delete_object(Bucket=location.bucket, Key=location.key)

    def check_writable(self, target: S3Location) -> None:
        """Write a tiny object into `target` and delete it again. Raises TargetError. A role that
        may write but not delete passes, with a warning that names what it leaves behind.
        """
        trial = target.child(f".write-test-{uuid.uuid4()}")
        with self._explained("write", target, TargetError):
            self._client.put_object(Bucket=trial.bucket, Key=trial.key, Body=b"")
        try:
            self._client.delete_object(Bucket=trial.bucket, Key=trial.key)
        except (ClientError, BotoCoreError) as error:
            logger.warning("the empty test object %s could not be deleted again: %s", trial, error)

    def presigned_url(self, location: S3Location, seconds: int) -> str:
        """A URL that reads the object without credentials for that time; a secret, so keep it out
        of logs."""
        with self._explained("sign a URL for", location, SourceError):
            return str(
                self._client.generate_presigned_url(
                    "get_object",
                    Params={"Bucket": location.bucket, "Key": location.key},
                    ExpiresIn=seconds,
                )
            )

    def stored_digest(self, location: S3Location) -> Digest | None:
        """The digest that S3 can state of an object, asked of its headers; None when there is none.

        The ETag, unless the object is encrypted by a key, or was uploaded in parts whose sizes
        cannot be told; then a checksum of the whole object where one was stored with it.
        """
        head = self._head(location)
        etag = plain_etag(head.get("ETag"))
        keyed = (
            head.get("ServerSideEncryption") in KEYED_ENCRYPTION or "SSECustomerAlgorithm" in head
        )
        if keyed:
            return _checksum(head)
        part_size_bytes = None
        if number_of_parts(etag) is not None:
            part_size_bytes = int(self._head(location, PartNumber=1)["ContentLength"])
        size_bytes = int(head["ContentLength"])
        return etag_digest(
            etag, size_bytes=size_bytes, part_size_bytes=part_size_bytes
        ) or _checksum(head)

    def object_store(self, bucket: str) -> S3Store:
        """The obstore store of a bucket; the same one, with its connections, each time."""
        with self._lock:
            if bucket not in self._stores:
                self._stores[bucket] = self._new_store(bucket)
            return self._stores[bucket]

    def _client_config(self) -> Config:
        unsigned = {"signature_version": UNSIGNED} if self._unsigned else {}
        return Config(
            retries={"mode": "standard", "total_max_attempts": 5},
            connect_timeout=self.patience.connect_s,
            read_timeout=self.patience.stall_s,
            max_pool_connections=32,
            # digests are checked here, and rclone's server states the whole object's for a range
            response_checksum_validation="when_required",
            **unsigned,
        )

    def _new_store(self, bucket: str) -> S3Store:
        endpoint = str(self._client.meta.endpoint_url)
        custom = not (urlsplit(endpoint).hostname or "").endswith(
            (".amazonaws.com", ".amazonaws.com.cn")
        )
        config: S3Config = {
            "region": self._client.meta.region_name if custom else self._bucket_region(bucket),
            "skip_signature": self._unsigned,
        }
        if custom:
            # both names: obstore would let AWS_ENDPOINT_URL_S3 of the environment win over one
            config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
        provider = (
            None if self._unsigned else Boto3CredentialProvider(self._session, ttl=CREDENTIALS_KEPT)
        )
        return S3Store(
            bucket,
            config=config,
            client_options=client_options(self.patience, allow_http=endpoint.startswith("http:")),
            retry_config=retry_config(self.patience),
            credential_provider=provider,
        )

    def _bucket_region(self, bucket: str) -> str:
        """The region that S3 names in its answer about a bucket, which it does even when it denies
        access."""
        with self._explained("look up the region of", S3Location(bucket=bucket), SourceError):
            try:
                reply = self._client.head_bucket(Bucket=bucket)
            except ClientError as error:
                reply = error.response
                if "x-amz-bucket-region" not in reply["ResponseMetadata"]["HTTPHeaders"]:
                    raise
        headers = reply["ResponseMetadata"]["HTTPHeaders"]
        return str(headers.get("x-amz-bucket-region") or self._client.meta.region_name)

    def _listed(self, bucket: str, prefix: str) -> Iterator[StoredObject]:
        paginator = self._client.get_paginator("list_objects_v2")
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
            reply = self._client.head_object(Bucket=location.bucket, Key=location.key)
        except (ClientError, BotoCoreError):
            return None
        return self._stored(location, reply)

    def _similar(self, folder: S3Location) -> str:
        """The names beside an empty folder that come nearest to its own, for the error message."""
        parent, _, name = folder.key.rpartition("/")
        try:
            page = self._client.list_objects_v2(
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
        with self._explained("look up", location, SourceError):
            reply = self._client.head_object(
                Bucket=location.bucket, Key=location.key, ChecksumMode="ENABLED", **options
            )
            return dict(reply)

    @staticmethod
    def _stored(location: S3Location, head: dict[str, Any]) -> StoredObject:
        return StoredObject(
            location=location,
            size_bytes=int(head["ContentLength"]),
            etag=plain_etag(head.get("ETag")),
        )

    @contextmanager
    def _explained(
        self, operation: str, location: S3Location, refusal: type[CloudJobError]
    ) -> Iterator[None]:
        """Put botocore's errors into our own words."""
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise explain(error, operation, location, refusal, unsigned=self._unsigned) from error


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


def _checksum(head: dict[str, Any]) -> Digest | None:
    """A checksum of the whole object; one of an upload in parts covers the parts' checksums and is
    of no use here."""
    if head.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    for header, algorithm in (("ChecksumSHA256", "sha256"), ("ChecksumCRC32", "crc32")):
        value = head.get(header)
        if value and "-" not in value:
            return Digest(algorithm=algorithm, value=base64.b64decode(value).hex())  # type: ignore[arg-type]
    return None
