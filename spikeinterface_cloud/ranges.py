"""Reading one remote object in ranges: retries, expired permissions, and objects that change while
they are read."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import (
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    stop_all,
    wait_random_exponential,
)

from spikeinterface_cloud.connection import Patience
from spikeinterface_cloud.digests import plain_etag
from spikeinterface_cloud.errors import SourceError, TransferError

if TYPE_CHECKING:
    from obstore import Bytes, GetOptions, GetResult
    from obstore.store import ObjectStore

    from spikeinterface_cloud.remote import RemoteFile

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: A request is tried at least this often, however long its attempts take.
LEAST_ATTEMPTS = 4

EXPIRED = re.compile(r"ExpiredToken|TokenRefreshRequired|InvalidToken|Request has expired")
STATUS = re.compile(r"status code: (?P<status>\d{3})")
SIGNED_QUERY = re.compile(r"\?\S+")

#: answers below 500 that another attempt may mend
PASSING = re.compile(r"status code: (408|429)|RequestTimeout|SlowDown")


class ObjectChanged(Exception):
    """The object is no longer the one that the transfer began with."""

    def __str__(self) -> str:
        return "changed while it was fetched"


class RangesNotSupported(Exception):
    """The server answered a request for a range with something else."""


class PassingFailure(Exception):
    """A failure of the network, or of a server with too much to do, which another attempt may
    mend."""


class PermissionLost(PassingFailure):
    """The server denied what a fresh permission may allow."""


class ObjectReader:
    """Reads one object, whole or in ranges, any number of them at a time."""

    def __init__(self, file: RemoteFile, destination: str, patience: Patience) -> None:
        self._file = file
        self._destination = destination
        self._patience = patience
        self._etag = file.etag
        self._store: ObjectStore | None = None
        self._permission = 0
        self._permission_worked = False
        self._renewal = asyncio.Lock()

    async def read(self, start: int, end: int) -> Bytes:
        """The bytes from `start` to before `end`; the whole object is asked for without a range.
        Raises ObjectChanged, RangesNotSupported, SourceError, or TransferError when the network
        gave out.
        """

        async def once() -> Bytes:
            result = await self.open(start, end)
            data = await result.buffer_async()
            if len(data) != end - start:
                raise PassingFailure(f"{len(data)} bytes came instead of {end - start}")
            return data

        return await self.persist(once)

    async def open(self, start: int, end: int) -> GetResult:
        """Ask once for the bytes from `start` to before `end`; for use inside `persist`."""
        assert self._store is not None
        options: GetOptions = {"if_match": f'"{self._etag}"'} if self._etag else {}
        if (start, end) != (0, self._file.size_bytes):
            options["range"] = (start, end)
        result = await obstore.get_async(self._store, self._file.path, options=options)
        self._permission_worked = True
        etag = plain_etag(result.meta["e_tag"])
        if result.meta["size"] != self._file.size_bytes or (
            self._etag and etag and etag != self._etag
        ):
            raise ObjectChanged
        self._etag = self._etag or etag
        return result

    async def persist(self, action: Callable[[], Awaitable[Result]]) -> Result:
        """Do `action` until it succeeds, waiting longer and longer in between, or until patience
        ends."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(PassingFailure),
            stop=stop_all(
                stop_after_attempt(LEAST_ATTEMPTS), stop_after_delay(self._patience.give_up_s)
            ),
            wait=wait_random_exponential(multiplier=0.5, max=self._patience.longest_wait_s),
            before_sleep=self._log_retry,
            reraise=True,
        )
        try:
            return await retrying(self._attempt, action)
        except PassingFailure as error:
            raise TransferError("fetch", self._file.url, self._destination, str(error)) from error

    async def _attempt(self, action: Callable[[], Awaitable[Result]]) -> Result:
        if self._store is None:
            await self._renew(0)
        permission = self._permission
        try:
            return await action()
        except (BaseError, OSError) as error:
            translated = translate(error, self._file.url)
            if isinstance(translated, PermissionLost):
                await self._renew(permission)
            raise translated from error

    async def _renew(self, used: int) -> None:
        """Ask for a store with a fresh permission, once for all the ranges that were denied the
        same one."""
        async with self._renewal:
            if used != self._permission:
                return
            if used > 1 and not self._permission_worked:
                raise SourceError(
                    f"{self._file.url} may not be read: access denied; "
                    "allow the job's role or user s3:GetObject, or give it other credentials"
                )
            self._store = await asyncio.to_thread(self._file.store)
            self._permission += 1
            self._permission_worked = False

    def _log_retry(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        wait_s = state.next_action.sleep if state.next_action else 0
        logger.info(
            "%s: %s; trying again in %.1f s", self._file.url, state.outcome.exception(), wait_s
        )


def translate(error: Exception, url: str) -> Exception:
    """What an error of obstore means to a transfer from `url`."""
    text = str(error)
    status = STATUS.search(text)
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{url} is missing: the server answered 404; check its name")
    if isinstance(error, PreconditionError) or (status and status["status"] == "416"):
        return ObjectChanged()
    if isinstance(error, NotSupportedError) or "non-partial response" in text:
        return RangesNotSupported()
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or EXPIRED.search(text):
        return PermissionLost("access denied")
    if status and status["status"] < "500" and not PASSING.search(text):
        return SourceError(f"{url} cannot be read: the server answered {status['status']}")
    return PassingFailure(first_line(text))


def first_line(text: str) -> str:
    """An error's own words on one line, without the signed part of a URL."""
    return SIGNED_QUERY.sub("", " ".join(text.partition("\n\nDebug source")[0].split())).rstrip(
        ": "
    )
