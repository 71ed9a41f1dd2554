"""A remote file, as a download needs to know it, on S3 or behind an HTTP URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from obstore.store import HTTPStore

from spikeinterface_cloud.config.locations import S3Location, is_path
from spikeinterface_cloud.errors import SourceError
from spikeinterface_cloud.storage.digests import Digest, etag_digest
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts, client_options, retry_config

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from spikeinterface_cloud.storage.session import Storage
    from spikeinterface_cloud.storage.stored_object import StoredObject

#: what a file is called beside its final name until it is complete and verified, and the record of
#: what is in it
PART_SUFFIX = ".part"
RECORD_SUFFIX = ".part.ranges"

#: S3 is asked for the checksum of a larger object: that costs a request, and saves an MD5.
ASKED_BYTES = 8 * 1024 * 1024

DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """One file to fetch."""

    #: relative path below the destination
    name: PurePosixPath
    size_bytes: int
    #: for messages: never with a signed query
    url: str
    #: returns the obstore store; called again when the permission expires during a transfer
    store: Callable[[], ObjectStore]
    #: of the object in that store
    path: str
    #: of the bytes; None when `reload_metadata` has to be called
    digest: Digest | None = None
    #: without quotes; an object with another one is another object
    etag: str | None = None
    #: asks the server for the file as it is now, whose digest is None only if the server
    #: states none
    reload_metadata: Callable[[], RemoteFile] | None = None


def s3_files(
    storage: Storage, objects: Sequence[StoredObject], folder: S3Location
) -> list[RemoteFile]:
    """Return the objects of a listing as files, named by their place below `folder`."""
    prefix = f"{folder.key}/" if folder.key else ""
    files = []
    for stored in objects:
        key = stored.location.key
        single = key == folder.key
        name = key.rpartition("/")[2] if single else key.removeprefix(prefix)
        files.append(s3_file(storage, stored, file_name(name, str(stored.location))))
    return files


def s3_file(storage: Storage, stored: StoredObject, name: PurePosixPath) -> RemoteFile:
    """Return one object of S3 as a file called `name`."""
    location = stored.location

    def reload_metadata() -> RemoteFile:
        now = storage.head(location)
        return replace(
            file,
            size_bytes=now.size_bytes,
            etag=now.etag,
            digest=storage.stored_digest(location),
            reload_metadata=None,
        )

    digest = None
    if stored.size_bytes <= ASKED_BYTES:
        digest = etag_digest(stored.etag, size_bytes=stored.size_bytes, part_size_bytes=None)
    file = RemoteFile(
        name=name,
        size_bytes=stored.size_bytes,
        url=str(location),
        store=lambda: storage.object_store(location.bucket),
        path=location.key,
        digest=digest,
        etag=stored.etag,
        reload_metadata=reload_metadata,
    )
    return file


def http_file(
    name: str,
    url: Callable[[], str],
    *,
    size_bytes: int,
    digest: Digest | None = None,
    timeouts: NetworkTimeouts | None = None,
) -> RemoteFile:
    """Return a file behind an HTTP URL; `url` is called again when its signature has expired."""
    first = url()
    shown = urlunsplit(urlsplit(first)._replace(query="", fragment=""))
    unused = [first]

    def store() -> HTTPStore:
        return http_store(unused.pop() if unused else url(), timeouts)

    return RemoteFile(
        name=file_name(name, shown),
        size_bytes=size_bytes,
        url=shown,
        store=store,
        path="",
        digest=digest,
    )


def http_store(url: str, timeouts: NetworkTimeouts | None) -> HTTPStore:
    """Return the obstore store of a URL, or of what is below it."""
    waits = timeouts or NetworkTimeouts()
    return HTTPStore(
        url,
        client_options=client_options(waits, allow_http=url.startswith("http:")),
        retry_config=retry_config(waits),
    )


def file_name(text: str, url: str) -> PurePosixPath:
    """Read the name that a file is to have below a folder; `url` is for the message."""
    if not is_path(text) or "\\" in text or DRIVE.match(text):
        raise SourceError(
            f"{url} would be written as {text!r}, outside of its folder or under no file's name; "
            "rename it at the source"
        )
    if len(text.encode()) > 4000 or any(len(part.encode()) > 240 for part in text.split("/")):
        raise SourceError(f"{url} has a name that is too long for a file; rename it at the source")
    return PurePosixPath(text)


def check_names(files: Sequence[RemoteFile]) -> None:
    """Raise SourceError for names that escape the folder, and for names that clash."""
    taken: dict[str, RemoteFile] = {}
    for file in files:
        name = str(file_name(str(file.name), file.url))
        if name in taken:
            raise SourceError(f"{file.url} and {taken[name].url} would both be written as {name!r}")
        taken[name] = file
    for name, file in taken.items():
        for parent in PurePosixPath(name).parents:
            if str(parent) in taken:
                raise SourceError(
                    f"{taken[str(parent)].url} is a file where {file.url} needs a folder; "
                    "rename one of them"
                )
        for suffix in (PART_SUFFIX, RECORD_SUFFIX):
            if f"{name}{suffix}" in taken:
                other = taken[f"{name}{suffix}"]
                raise SourceError(
                    f"{other.url} is named like an unfinished download of {file.url}; "
                    "rename or remove it at the source"
                )
