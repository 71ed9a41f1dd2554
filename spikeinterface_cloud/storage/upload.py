"""Sending files to S3: many at a time, each checked against what S3 says it has stored.

At most some 130 MiB are in memory: two large files with 4 parts of 8 MiB under way each, and about
as much again that obstore holds of them. Parts grow only for files above 78 GiB.
"""

from __future__ import annotations

import logging
import mimetypes
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import obstore
from obstore.exceptions import BaseError

from spikeinterface_cloud.aws_errors import refuse
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import SourceError, TargetError, TransferError
from spikeinterface_cloud.storage.checksums import Hash, combine, new_hash
from spikeinterface_cloud.storage.digests import (
    Digest,
    digest_of_bytes,
    digest_of_file,
    plain_etag,
)
from spikeinterface_cloud.storage.progress import FileProgress, Progress
from spikeinterface_cloud.storage.retries import (
    NO_CREDENTIALS,
    TransientError,
    error_message,
    error_name,
    final_status,
    first_line,
    retry,
)
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.thread_pool import Stopped, Threads, wait_for_all

logger = logging.getLogger(__name__)

MIB = 1024 * 1024

PART_BYTES = 8 * MIB
PARTS_AT_ONCE = 4
LARGE_AT_ONCE = 2
SMALL_BYTES = MIB
SMALL_AT_ONCE = 32

#: S3 takes no more parts than this for one object
MAX_PARTS = 10_000


class StoredDifferently(Exception):
    """S3 has stored something else than the file."""


def upload(
    files: Sequence[tuple[Path, S3Location]],
    storage: Storage,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Send each file to its location and return the bytes sent.

    The first file that cannot be sent ends the others, and so does an error of `check`, which is
    called just before bytes are sent.
    """
    sizes = [file.stat().st_size for file, _ in files]
    small, large = Threads(SMALL_AT_ONCE, "send"), Threads(LARGE_AT_ONCE, "send")
    stop = threading.Event()
    adaptive = _AdaptiveStorage(storage)
    with Progress("upload", sum(sizes)) as progress:
        try:
            futures = [
                (small if size_bytes <= SMALL_BYTES else large).submit(
                    _Sending(file, location, adaptive, FileProgress(progress), stop, check).send
                )
                for (file, location), size_bytes in zip(files, sizes, strict=True)
            ]
            wait_for_all(futures, stop)
        finally:
            small.end()
            large.end()
    return sum(sizes)


class _AdaptiveStorage:
    """The storage that files are sent to, with timeouts that suit the uplink.

    obstore counts a silence from a request's first byte to its answer, however steadily the bytes
    move: on a slow uplink a part needs longer than a stalled connection is given.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._lock = threading.Lock()

    def slow_down(self, used: Storage) -> None:
        """Give requests twice the time, once for all that were cut while they used `used`."""
        timeouts = used.timeouts
        longer = replace(timeouts, stall_s=min(2 * timeouts.stall_s, timeouts.give_up_s))
        with self._lock:
            if self.storage is used and longer.stall_s > timeouts.stall_s:
                self.storage = used.with_timeouts(longer)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sent:
    """The outcome of the request that stored a file."""

    size_bytes: int
    #: computed here from the bytes that were sent
    expected: Digest
    #: as S3 answered, without quotes
    etag: str | None


class _Sending:
    """One file on its way to S3."""

    def __init__(
        self,
        file: Path,
        location: S3Location,
        adaptive: _AdaptiveStorage,
        progress: FileProgress,
        stop: threading.Event,
        check: Callable[[], None],
    ) -> None:
        self._file = file
        self._location = location
        self._adaptive = adaptive
        self._storage = adaptive.storage
        self._progress = progress
        self._stop = stop
        self._check = check

    def send(self) -> None:
        """Send the file; once more when S3 has stored something else."""
        try:
            try:
                self._send_once()
            except StoredDifferently:
                logger.warning(
                    "%s was not stored as it is in %s; it is sent again", self._location, self._file
                )
                self._send_once()
        except StoredDifferently as error:
            raise self._failure("what was stored differs from the file, twice") from error
        except TransientError as error:
            raise self._failure(str(error)) from error

    def _failure(self, reason: str) -> TransferError:
        return TransferError("upload", str(self._file), str(self._location), reason)

    def _send_once(self) -> None:
        sent = retry(self._attempt, self._storage.timeouts, str(self._location), self._stop)
        if sent.etag != sent.expected.value and not self._is_stored(sent):
            raise StoredDifferently

    def _attempt(self) -> _Sent:
        self._check_wanted()
        self._progress.reset()
        self._storage = self._adaptive.storage
        started = time.monotonic()
        try:
            size_bytes = self._file.stat().st_size
            return self._put_whole() if size_bytes <= PART_BYTES else self._put_parts(size_bytes)
        except TransientError:
            if time.monotonic() - started >= self._storage.timeouts.stall_s:
                self._adaptive.slow_down(self._storage)
            raise

    def _check_wanted(self) -> None:
        if self._stop.is_set():
            raise Stopped
        try:
            self._check()
        except TransferError as error:
            raise TransientError(str(error)) from error

    def _put_whole(self) -> _Sent:
        data = self._file.read_bytes()
        value = digest_of_bytes(data, Digest(algorithm="md5", value=""))
        self._check_wanted()
        etag = self._put(data, part_bytes=None)
        self._progress.advance(len(data))
        return _Sent(size_bytes=len(data), expected=Digest(algorithm="md5", value=value), etag=etag)

    def _put_parts(self, size_bytes: int) -> _Sent:
        """Send the file in parts that are hashed as they are read."""
        part_bytes = max(PART_BYTES, -(-size_bytes // MAX_PARTS))
        hashes: list[Hash] = []
        etag = self._put(self._parts(part_bytes, hashes), part_bytes=part_bytes)
        expected = Digest(
            algorithm="etag", value=combine(hashes, "etag"), part_size_bytes=part_bytes
        )
        return _Sent(size_bytes=size_bytes, expected=expected, etag=etag)

    def _parts(self, part_bytes: int, hashes: list[Hash]) -> Iterator[bytes]:
        """Yield the parts of the file, the MD5 of each appended to `hashes`."""
        with self._file.open("rb") as stream:
            for part in iter(partial(stream.read, part_bytes), b""):
                hashes.append(new_hash("md5"))
                hashes[-1].update(part)
                yield part
                self._check_wanted()  # an exception here aborts the upload in parts
                self._progress.advance(len(part))

    def _put(self, source: bytes | Iterator[bytes], *, part_bytes: int | None) -> str | None:
        """Store one object; return the ETag that S3 answers."""
        # a request that obstore repeats by itself would skip the check before bytes are sent
        store = self._storage.target_store(self._location.bucket, retries=part_bytes is not None)
        content_type = mimetypes.guess_type(self._file.name)[0] or "application/octet-stream"
        try:
            result = obstore.put(
                store,
                self._location.key,
                source,
                attributes={"Content-Type": content_type},
                use_multipart=part_bytes is not None,
                chunk_size=part_bytes or PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
        except (BaseError, FileNotFoundError) as error:
            raise translate(error, self._location) from error
        return plain_etag(result["e_tag"])

    def _is_stored(self, sent: _Sent) -> bool:
        """Ask S3 for its digest, where it did not answer the expected ETag, as with KMS."""
        try:
            stored = self._storage.stored_digest(self._location)
            if stored is not None:
                return digest_of_file(self._file, stored) == stored.value
            return self._storage.head(self._location).size_bytes == sent.size_bytes
        except SourceError as error:
            logger.warning("%s could not be checked after its upload: %s", self._location, error)
            return True


def translate(error: Exception, location: S3Location) -> Exception:
    """Return the error to raise, or to try again after, instead of obstore's."""
    name = error_name(error)
    if name == "NoSuchUpload":  # it was completed, or given up, by a request whose answer was lost
        return TransientError("the upload in parts is not there any more")
    if NO_CREDENTIALS in str(error):
        return TransientError(first_line(error))
    if isinstance(error, FileNotFoundError):
        return refuse("NoSuchBucket", "", "write", location, TargetError)
    if final_status(error) is None:
        return TransientError(first_line(error))
    return refuse(name, error_message(error), "write", location, TargetError)
