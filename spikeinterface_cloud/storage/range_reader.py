"""Read one remote object in ranges, despite failures, expired permissions and changes of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import (
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from spikeinterface_cloud.aws_errors import ARCHIVED, refuse
from spikeinterface_cloud.errors import CloudJobError, SourceError, TransferError, UnavailableError
from spikeinterface_cloud.storage.digests import plain_etag
from spikeinterface_cloud.storage.retries import (
    NO_CREDENTIALS,
    TransientError,
    error_message,
    error_name,
    final_status,
    first_line,
    retry,
)
from spikeinterface_cloud.storage.thread_pool import Stopped
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

if TYPE_CHECKING:
    from obstore import Bytes, GetOptions, GetResult
    from obstore.store import ObjectStore

    from spikeinterface_cloud.storage.remote_file import RemoteFile

Result = TypeVar("Result")

#: takes a position in the file and the bytes that belong there
Write = Callable[[int, bytes], None]

#: What is passed on at once. Larger blocks are put together in fresh memory each time, which costs
#: more than the network: over loopback, 1 MiB at a time took 1.4 times as long.
BLOCK_BYTES = 64 * 1024

EXPIRED = re.compile(r"ExpiredToken|TokenRefreshRequired|InvalidToken|Request has expired")


class ObjectChanged(Exception):
    """The object is no longer the one that the transfer began with."""

    def __str__(self) -> str:
        return "changed while it was fetched"


class PermissionLost(TransientError):
    """The server denied what a fresh permission may allow."""


class ObjectReader:
    """Reads one object, whole or in ranges, any number of them at a time."""

    def __init__(
        self,
        file: RemoteFile,
        destination: str,
        timeouts: NetworkTimeouts,
        stop: threading.Event | None = None,
    ) -> None:
        """Open no connection yet; `stop` ends reading when it is set."""
        self._file = file
        self._stop = stop or threading.Event()
        self._destination = destination
        self._timeouts = timeouts
        self._etag = file.etag
        self._store: ObjectStore | None = None
        self._permission = 0
        self._permission_worked = False
        self._renewal = threading.Lock()

    def read_whole(self) -> Bytes:
        """Return all of a small object; raise ObjectChanged, or Stopped when told to stop."""

        def once() -> Bytes:
            data = self._open(0, self._file.size_bytes).bytes()
            check_complete(len(data), self._file.size_bytes)
            return data

        return self._persist(once)

    def read_range(self, start: int, end: int, write: Write) -> None:
        """Pass the bytes from `start` to before `end` to `write`, block by block.

        After a failure of the network it starts again with the first block. The whole object is
        requested without a range.
        """
        self._persist(lambda: self._read(start, end, write))

    def _read(self, start: int, end: int, write: Write) -> None:
        position = start
        for block in self._open(start, end).stream(BLOCK_BYTES):
            self._check_wanted()
            write(position, block)
            position += len(block)
        check_complete(position - start, end - start)

    def _open(self, start: int, end: int) -> GetResult:
        assert self._store is not None
        options: GetOptions = {"if_match": f'"{self._etag}"'} if self._etag else {}
        if (start, end) != (0, self._file.size_bytes):
            options["range"] = (start, end)
        result = obstore.get(self._store, self._file.path, options=options)
        self._permission_worked = True
        etag = plain_etag(result.meta["e_tag"])
        other = self._etag and etag and etag != self._etag
        if other or result.meta["size"] != self._file.size_bytes:
            raise ObjectChanged
        self._etag = self._etag or etag
        return result

    def _check_wanted(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _persist(self, action: Callable[[], Result]) -> Result:
        """Do `action` until it succeeds or the time to give up has come."""
        try:
            return retry(lambda: self._attempt(action), self._timeouts, self._file.url, self._stop)
        except TransientError as error:
            raise TransferError("fetch", self._file.url, self._destination, str(error)) from error

    def _attempt(self, action: Callable[[], Result]) -> Result:
        self._check_wanted()
        with self._renewal:
            if self._store is None:
                self._store = self._file.store()
                self._permission = 1
            permission = self._permission
        try:
            return action()
        except (BaseError, FileNotFoundError) as error:
            translated = translate(error, self._file.url)
            if isinstance(translated, PermissionLost):
                self._renew(permission, error)
            raise translated from error

    def _renew(self, used: int, denied: Exception) -> None:
        """Get a store with a fresh permission, once for all ranges that were denied the same."""
        with self._renewal:
            if used != self._permission:
                return
            if used > 1 and not self._permission_worked:
                raise _refuse(denied, self._file.url)
            self._store = self._file.store()
            self._permission += 1
            self._permission_worked = False


def check_complete(got_bytes: int, expected_bytes: int) -> None:
    """Raise TransientError when an answer ended early."""
    if got_bytes != expected_bytes:
        raise TransientError(f"{got_bytes} bytes came instead of {expected_bytes}")


def translate(error: Exception, url: str) -> Exception:
    """Return the error to raise, or to retry after, instead of obstore's."""
    text = str(error)
    status = final_status(error)
    if NO_CREDENTIALS in text:
        return TransientError(first_line(error))
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{url} is missing: the server answered 404; check its name")
    if isinstance(error, PreconditionError) or status == 416:
        return ObjectChanged()
    if isinstance(error, NotSupportedError) or "non-partial response" in text:
        return UnavailableError(
            f"{url} cannot be fetched in parts: its server ignores the Range of a request; fetch "
            "the file by other means, and give its folder as SOURCE_FOLDER or another S3 server"
        )
    if error_name(error) in ARCHIVED.codes:
        return _refuse(error, url)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or EXPIRED.search(text):
        return PermissionLost("access denied")
    if status is not None:
        return _refuse(error, url)
    return TransientError(first_line(error))


def _refuse(error: Exception, url: str) -> CloudJobError:
    """Return the container's error for an answer that no other attempt would change."""
    if url.startswith("s3://"):
        return refuse(error_name(error), error_message(error), "fetch", url, SourceError)
    return SourceError(
        f"{url} cannot be read: the server answered {error_name(error)}; check that it is the "
        "right one, and that the key or signature in use may read it"
    )
