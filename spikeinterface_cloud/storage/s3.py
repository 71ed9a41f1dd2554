"""The S3 layer: the only code that calls S3, through boto3, in the container and on the laptop.

It lists, reads and writes small objects, and looks up what S3 states of an object. The bytes of
recordings and results move through obstore (download.py, upload.py), over the stores of session.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from spikeinterface_cloud.aws_errors import NO_OBJECT, AwsError, error_code, translate_errors
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import CloudJobError, SourceError, TargetError
from spikeinterface_cloud.storage.digests import (
    Digest,
    checksum_digest,
    etag_digest,
    number_of_parts,
    plain_etag,
)
from spikeinterface_cloud.storage.stored_object import (
    StoredObject,
    as_stored,
    objects_in,
)

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

#: requests at the same time, fewer than boto3 keeps connections
PARALLEL_REQUESTS = 16

REGION_HEADER = "x-amz-bucket-region"

#: codes of a write whose condition does not hold, and of servers without conditional writes
CHANGED = frozenset({"412", "409", "PreconditionFailed", "ConditionalRequestConflict"})
NO_CONDITIONS = frozenset({"501", "NotImplemented"})

#: Objects whose ETag is not a digest, by the encryption that S3 states in their headers.
KEYED_ENCRYPTION = frozenset({"aws:kms", "aws:kms:dsse"})


class ObjectDiffers(Exception):
    """An object is not the one that it had to be for a write."""


class ConditionRefused(Exception):
    """The server has no conditional writes."""


class S3Objects:
    """The objects that a boto3 client of S3 can reach.

    In the container, what cannot be read or looked up is a SourceError, what cannot be written or
    deleted a TargetError; on the laptop each is an AwsError.
    """

    def __init__(
        self,
        client: S3Client,
        *,
        unsigned: bool = False,
        requester_pays: bool = False,
        raises: type[CloudJobError] | None = None,
    ) -> None:
        """Open no connection yet.

        `unsigned` says that the client sends no credentials, `requester_pays` that its account
        pays what a bucket of others charges for requests and bytes.
        """
        if requester_pays:
            client.meta.events.register("provide-client-params.s3", _add_request_payer)
        self._client = client
        self._unsigned = unsigned
        self._raises = raises

    def list_objects(self, folder: S3Location, pages: int | None = None) -> list[StoredObject]:
        """Return the objects inside `folder`, at any depth, or the one object of that name.

        With `pages`, only the first ones. Nothing is a SourceError.
        """
        try:
            objects = list(self.objects_below(folder, pages=pages).values())
        except (SourceError, AwsError):
            if folder.key:  # a role may be allowed to read one object and not to list its bucket
                with suppress(CloudJobError):
                    return [self.head(folder)]
            raise
        if not objects and folder.key:
            same_start = self._list(folder, folder.key, pages=1)
            objects = [each for each in same_start if each.location == folder]
        if not objects:
            raise SourceError(f"{folder} holds no objects{self._similar(folder)}")
        return objects

    def objects_below(
        self, folder: S3Location, start: str = "", pages: int | None = None
    ) -> dict[str, StoredObject]:
        """Return the objects inside `folder`, at any depth, by path below it; there may be none.

        Only those whose paths begin with `start`.
        """
        prefix = f"{folder.key}/" if folder.key else ""
        listed = self._list(folder, prefix + start, pages)
        return {each.location.key.removeprefix(prefix): each for each in listed}

    def folders_in(self, folder: S3Location) -> set[str]:
        """Return the names of the folders directly inside `folder`."""
        prefix = f"{folder.key}/" if folder.key else ""
        paginator = self._client.get_paginator("list_objects_v2")
        with self._translate_errors("list", folder, SourceError):
            pages = paginator.paginate(Bucket=folder.bucket, Prefix=prefix, Delimiter="/")
            found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        return {each.removeprefix(prefix).rstrip("/") for each in found}

    def objects_after(
        self, folder: S3Location, name: str, n_objects: int
    ) -> tuple[list[StoredObject], bool]:
        """Return objects inside `folder` in the order of their names, by one request.

        Those after `name`, a path inside it, which need not exist; and whether there are more.
        """
        prefix = f"{folder.key}/" if folder.key else ""
        with self._translate_errors("list", folder, SourceError):
            page = self._client.list_objects_v2(
                Bucket=folder.bucket,
                Prefix=prefix,
                StartAfter=prefix + name,
                MaxKeys=n_objects,
            )
        return list(objects_in(folder.bucket, page)), page["IsTruncated"]

    def head(self, location: S3Location) -> StoredObject:
        """Return what S3 states of one object."""
        return as_stored(location, self._head(location))

    def head_if_exists(self, location: S3Location) -> StoredObject | None:
        """Return what S3 states of one object; None where there is none, as of a folder."""
        with self._translate_errors("look up", location, SourceError):
            try:
                head = self._client.head_object(Bucket=location.bucket, Key=location.key)
            except ClientError as error:
                if error_code(error) in NO_OBJECT.codes:
                    return None
                raise
        return as_stored(location, head)

    def object_exists(self, location: S3Location) -> bool:
        """Return whether there is an object; a folder is none."""
        return self.head_if_exists(location) is not None

    def heads(self, locations: Sequence[S3Location]) -> list[StoredObject]:
        """Return what S3 states of many objects, in order, without those that do not exist."""
        with ThreadPoolExecutor(PARALLEL_REQUESTS) as threads:
            heads = list(threads.map(self.head_if_exists, locations))
        return [head for head in heads if head is not None]

    def read_object(self, location: S3Location) -> bytes:
        """Return the whole of a small object."""
        with self._translate_errors("read", location, SourceError):
            content, _ = self._version(location)
        return content

    def read_version(self, location: S3Location) -> tuple[bytes, str] | None:
        """Return a small object and the ETag of just these bytes; None where there is none."""
        with self._translate_errors("read", location, SourceError):
            try:
                return self._version(location)
            except ClientError as error:
                if error_code(error) in NO_OBJECT.codes:
                    return None
                raise

    def read_if_exists(self, location: S3Location) -> bytes | None:
        """Return the whole of a small object; None where there is none."""
        version = self.read_version(location)
        return None if version is None else version[0]

    def write_object(
        self, location: S3Location, body: bytes, content_type: str | None = None
    ) -> None:
        """Write a small object, over an older one."""
        described: dict[str, Any] = {} if content_type is None else {"ContentType": content_type}
        with self._translate_errors("write", location, TargetError):
            self._put(location, body, **described)

    def write_object_if(
        self, location: S3Location, body: bytes, etag: str | None, *, quoted: bool = True
    ) -> str:
        """Write a small object if it still has that ETag, or, for None, if there is none.

        Returns the new ETag. Raises ObjectDiffers if the condition does not hold, ConditionRefused
        if the server says that it has no conditional writes; one that ignores them does not say.
        """
        condition: dict[str, Any] = (
            {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"' if quoted else etag}
        )
        with self._translate_errors("write", location, TargetError):
            try:
                return self._put(location, body, **condition)
            except ClientError as error:
                code = error_code(error)
                if code in CHANGED or (etag and code in NO_OBJECT.codes):
                    raise ObjectDiffers(str(location)) from error
                if code in NO_CONDITIONS:
                    raise ConditionRefused(str(location)) from error
                raise

    def remove_objects(self, locations: Sequence[S3Location]) -> None:
        """Delete many objects, some at a time."""
        with ThreadPoolExecutor(PARALLEL_REQUESTS) as threads:
            for _ in threads.map(self.remove_object, locations):
                pass

    def remove_object(self, location: S3Location) -> None:
        """Delete an object; one that is not there is no error."""
        with self._translate_errors("delete", location, TargetError):
            self._client.delete_object(Bucket=location.bucket, Key=location.key)

    def abort_uploads(self, folder: S3Location, is_managed: Callable[[str], bool]) -> int:
        """Abort unfinished uploads in parts of objects whose path in `folder` is of our own.

        Returns their number. Raises TargetError.
        """
        prefix = f"{folder.key}/" if folder.key else ""
        paginator = self._client.get_paginator("list_multipart_uploads")
        n_aborted = 0
        with self._translate_errors("abort unfinished uploads in", folder, TargetError):
            for page in paginator.paginate(Bucket=folder.bucket, Prefix=prefix):
                for upload in page.get("Uploads", []):
                    if is_managed(upload["Key"].removeprefix(prefix)):
                        self._client.abort_multipart_upload(
                            Bucket=folder.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
                        n_aborted += 1
        return n_aborted

    def fetch_files(self, files: Sequence[tuple[S3Location, Path]]) -> Iterator[Path]:
        """Fetch objects into files, several at a time, on a machine without obstore.

        Each file has its own name only once it is whole; each path is yielded then, in order.
        """
        from boto3.exceptions import Boto3Error
        from boto3.s3.transfer import TransferConfig, create_transfer_manager
        from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError

        config = TransferConfig(max_concurrency=PARALLEL_REQUESTS)
        with create_transfer_manager(self._client, config) as manager:
            fetches = [
                manager.download(location.bucket, location.key, str(path))
                for location, path in files
            ]
            for (location, path), fetch in zip(files, fetches, strict=True):
                try:
                    with self._translate_errors("fetch", location, SourceError):
                        fetch.result()
                except (RetriesExceededError, S3DownloadFailedError, Boto3Error) as error:
                    message = f"cannot fetch {location}: {error}; run the same command again"
                    raise AwsError(message, retryable=True) from error
                yield path

    def bucket_region(self, bucket: str) -> str | None:
        """Return the region that AWS states of a bucket, even where it denies access to it."""
        with self._translate_errors(
            "look up the region of", S3Location(bucket=bucket), SourceError
        ):
            try:
                answer: Any = self._client.head_bucket(Bucket=bucket)
            except ClientError as error:
                answer = error.response
                if REGION_HEADER not in answer["ResponseMetadata"]["HTTPHeaders"]:
                    raise
        region: str | None = answer["ResponseMetadata"]["HTTPHeaders"].get(REGION_HEADER)
        return region

    def url_of_unchanged(self, found: StoredObject, seconds: int) -> str:
        """Return a presigned URL; raise `SourceError` if the object was replaced since then."""
        if self.head(found.location).etag != found.etag:
            raise SourceError(
                f"{found.location} was replaced while the job was reading it; run the job again"
            )
        return self.presigned_url(found.location, seconds)

    def presigned_url(self, location: S3Location, seconds: int) -> str:
        """Return a URL that reads the object without credentials for that time.

        It is a secret: keep it out of logs.
        """
        with self._translate_errors("sign a URL for", location, SourceError):
            return self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": location.bucket, "Key": location.key},
                ExpiresIn=seconds,
            )

    def stored_digest(self, location: S3Location) -> Digest | None:
        """Return the digest that S3 can state of an object, from its headers; None without one.

        A checksum of the whole object where one was stored with it, as it costs the least; then the
        ETag, unless the object is encrypted by a key, or was uploaded in parts of unknown sizes.
        """
        head = self._head(location)
        if (checksum := checksum_digest(head)) is not None:
            return checksum
        if head.get("ServerSideEncryption") in KEYED_ENCRYPTION or head.get("SSECustomerAlgorithm"):
            return None
        etag = plain_etag(head.get("ETag"))
        part_size_bytes = None
        if number_of_parts(etag) is not None:
            part_size_bytes = int(self._head(location, PartNumber=1)["ContentLength"])
        return etag_digest(
            etag, size_bytes=int(head["ContentLength"]), part_size_bytes=part_size_bytes
        )

    def _translate_errors(
        self, operation: str, location: S3Location, raises: type[CloudJobError]
    ) -> AbstractContextManager[None]:
        return translate_errors(
            operation, location, raises=self._raises or raises, unsigned=self._unsigned
        )

    def _list(
        self, folder: S3Location, prefix: str, pages: int | None = None
    ) -> Iterator[StoredObject]:
        paginator = self._client.get_paginator("list_objects_v2")
        with self._translate_errors("list", folder, SourceError):
            for page in islice(paginator.paginate(Bucket=folder.bucket, Prefix=prefix), pages):
                yield from objects_in(folder.bucket, page)

    def _put(self, location: S3Location, body: bytes, **options: Any) -> str:
        """Write an object; its new ETag, if the server states it. Raises botocore's errors."""
        reply = self._client.put_object(
            Bucket=location.bucket, Key=location.key, Body=body, **options
        )
        return plain_etag(reply.get("ETag")) or ""

    def _version(self, location: S3Location) -> tuple[bytes, str]:
        reply = self._client.get_object(Bucket=location.bucket, Key=location.key)
        return reply["Body"].read(), plain_etag(reply.get("ETag")) or ""

    def _similar(self, folder: S3Location) -> str:
        """Return the names beside an empty folder that resemble its own, for the message."""
        parent, _, name = folder.key.rpartition("/")
        try:
            page = self._client.list_objects_v2(
                Bucket=folder.bucket, Prefix=f"{parent}/" if parent else "", Delimiter="/"
            )
        except (ClientError, BotoCoreError):
            return ""
        keys = [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        keys += [entry["Key"] for entry in page.get("Contents", [])]
        names = [key.rstrip("/").rpartition("/")[2] for key in keys]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or sorted(names)[:3]
        if not near:
            return "; check the bucket's folder"
        return f"; beside it there is {', '.join(near)}: check the bucket's folder"

    def _head(self, location: S3Location, **options: Any) -> HeadObjectOutputTypeDef:
        with self._translate_errors("look up", location, SourceError):
            return self._client.head_object(
                Bucket=location.bucket, Key=location.key, ChecksumMode="ENABLED", **options
            )


def _add_request_payer(params: dict[str, Any], model: OperationModel, **_: object) -> None:
    """Accept the charges of a call, if it is one that can be charged for."""
    if model.input_shape is not None and "RequestPayer" in model.input_shape.members:
        params["RequestPayer"] = "requester"
