"""The lock of a target, `claim.json`, by conditional writes of S3: one job at a time writes to it.

Its owner renews it. Another attempt of the same Batch job may replace the owner at once, and so may
a job on a host where the owner's process is gone; all others once the lease has run out. If another
job holds the lock, this job exits without touching the target.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from pydantic import BaseModel, ValidationError

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import ClaimLost, CloudJobError, SourceError, TargetError
from spikeinterface_cloud.results.folder import Results, ResultsState
from spikeinterface_cloud.results.layout import CLAIM
from spikeinterface_cloud.results.lock_owner import LockOwner, this_job
from spikeinterface_cloud.results.unfinished_uploads import abort_unfinished_uploads
from spikeinterface_cloud.runtime.signals import request_stop
from spikeinterface_cloud.storage.conditional_writes import find_etag_quotes
from spikeinterface_cloud.storage.s3 import ConditionRefused, ObjectDiffers
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import SHUTDOWN_TIMEOUTS

logger = logging.getLogger(__name__)

#: a lock that was not renewed for this time may be taken over
LEASE_S = 60.0

#: between two renewals of the lock
RENEW_INTERVAL_S = 5.0

#: how long a failing network may keep a job from removing its lock
RELEASE_S = 5.0

#: a lock that was not renewed for this time is renewed before the next file is sent
STALE_S = 7.0

#: between two reads of another job's lock, and between two looks at the clock
POLL_INTERVAL_S = 1.0

#: writes of a lock that nobody renews, before the job gives up
MAX_REFUSED_WRITES = 3


@contextmanager
def exclusive_target(results: Results, environ: Mapping[str, str]) -> Iterator[None]:
    """Lock the target, if there is one, while the block runs.

    Raises TargetError if another job that is running has locked it.
    """
    if results.storage is None:
        yield
        return
    lock = TargetLock(results.storage, results.target_location(CLAIM), this_job(environ))
    try:
        locked = lock.take()
    except TargetError:
        results.stop_publishing()
        raise
    except BaseException:  # the network, or a request to stop, between two of its steps
        lock.use_short_timeouts()
        lock.release()
        raise
    results.state = ResultsState.LOCKED
    if not locked:
        logger.warning("nothing keeps two jobs from writing to %s at once", results)
        yield
        return
    results.confirm_lock = partial(_confirm, lock, results)
    results.confirm_stale_lock = partial(_confirm, lock, results, only_if_stale=True)
    lock.use_short_timeouts()
    renewal = _Renewal(lock, results)
    renewal.start()
    try:
        abort_unfinished_uploads(results)
        yield
    finally:
        renewal.end()


def _confirm(lock: "TargetLock", results: Results, *, only_if_stale: bool = False) -> None:
    """Renew the lock, which fails if another job has had the target; then raise ClaimLost."""
    try:
        if not only_if_stale:
            lock.renew(results.storage)
        elif lock.is_stale():
            lock.renew()
    except ObjectDiffers as error:
        if not lock.report_loss():  # the stop that the renewal has requested arrives here
            time.sleep(RENEW_INTERVAL_S)
        results.stop_publishing()
        raise _lost(results) from error


def _lost(results: Results) -> ClaimLost:
    return ClaimLost(
        f"{results.target} is written by another attempt, which found this one silent for too "
        "long; unless that is the same job, run this one again with a target of its own "
        "(TARGET_AWS_S3_BUCKET_FOLDER)"
    )


class TargetLock:
    """The object at the target, as this job has written it.

    Only the owner of the lock can replace it by its ETag. A renewal that succeeds proves that no
    other job has had the target meanwhile, even if this job was frozen for hours; one that fails
    means that the lock is lost for good, even if the other job has ended and removed it.
    """

    def __init__(self, storage: Storage, location: S3Location, owner: LockOwner) -> None:
        self._storage = storage
        self._location = location
        self._owner = owner
        self._etag: str | None = None
        self._quoted = True
        self._renewals = 0
        self._renewed_at = _seconds_since_boot()
        self._lost = False
        self._loss_reported = False
        self._mutex = threading.Lock()

    def take(self, lease_s: float = LEASE_S) -> bool:
        """Lock the target; return False, with the reason in the log, if the server has no locks.

        Raises TargetError if another job has locked it.
        """
        trial = replace(self._location, key=f"{self._location.key}.test-{self._owner.token}")
        try:
            quoted = find_etag_quotes(self._storage, trial)
            if quoted is None:
                logger.warning("the server of %s has no conditional writes", self._location)
                return False
            self._quoted = quoted
            self._acquire(lease_s)
        except SourceError as error:
            logger.warning("the lock of the target cannot be read: %s", error)
            return False
        return True

    def use_short_timeouts(self) -> None:
        """Wait no longer for the network than until the next renewal."""
        self._storage = self._storage.with_timeouts(SHUTDOWN_TIMEOUTS)

    def is_stale(self) -> bool:
        """Return whether this process was frozen, or out of reach of the target, or has lost it."""
        return self._lost or _seconds_since_boot() - self._renewed_at > STALE_S

    def renew(self, storage: Storage | None = None) -> None:
        """Renew the lock. Raises ObjectDiffers if another job has had it."""
        with self._mutex:
            self._renewals += 1
            if self._lost:
                raise ObjectDiffers(str(self._location))
            if self._write(self._etag, storage):
                return
            found = self._read()
            if found is None or found.owner != self._owner:
                self._lost = True
                raise ObjectDiffers(str(self._location))
            self._etag = found.etag  # the response to a renewal was lost
            self._write(self._etag, storage)

    def report_loss(self) -> bool:
        """Return whether the loss of the lock is reported for the first time."""
        with self._mutex:
            first, self._loss_reported = not self._loss_reported, True
        return first

    def release(self) -> None:
        """Remove the lock, unless another job owns it; the log says if the network prevents it."""
        deadline = time.monotonic() + RELEASE_S
        while True:
            try:
                self._remove()
                return
            except CloudJobError as error:
                if time.monotonic() > deadline:
                    logger.warning(
                        "%s could not be removed, so another job waits there for up to %d s: %s",
                        self._location,
                        LEASE_S,
                        error,
                    )
                    return
            time.sleep(POLL_INTERVAL_S)

    def _remove(self) -> None:
        found = self._read()
        if found is None or found.owner != self._owner:
            return
        try:
            self._storage.remove_object(self._location)
        except TargetError:  # a role that may not delete
            self._write(found.etag, released=True)

    def _acquire(self, lease_s: float) -> None:
        """Create the lock, or replace that of a job that is known to be gone."""
        if self._write(None):
            return
        first = found = self._read()
        deadline = time.monotonic() + lease_s
        n_refused = 0
        while n_refused < MAX_REFUSED_WRITES:
            first = first or found
            if found is not None and found.owner == self._owner:
                self._etag = found.etag  # the response to our own write was lost
                return
            if found is None:  # it was released meanwhile
                if self._write(None):
                    return
                n_refused += 1
            elif first is not None and found.etag != first.etag:
                raise TargetError(
                    f"the target is being written by {found.owner or 'another job'} "
                    f"({self._location}); wait until that has ended, or give this job a target of "
                    "its own (TARGET_AWS_S3_BUCKET_FOLDER)"
                )
            elif found.is_free_for(self._owner) or time.monotonic() > deadline:
                logger.info("taking over the lock of the target from %s", found.owner)
                if self._write(found.etag):
                    return
                n_refused += 1
            time.sleep(POLL_INTERVAL_S)
            found = self._read()
        raise TargetError(
            f"{self._location} of a job that is gone cannot be replaced: the server refuses each "
            "write; delete it and run the job again"
        )

    def _write(
        self, etag: str | None, storage: Storage | None = None, *, released: bool = False
    ) -> bool:
        """Write the lock if it still has that ETag; return whether it had."""
        content = _LockFile(owner=self._owner, renewals=self._renewals, released=released)
        body = content.model_dump_json(indent=2).encode()
        started = _seconds_since_boot()
        try:
            self._etag = (storage or self._storage).write_object_if(
                self._location, body, etag, quoted=self._quoted
            )
        except ObjectDiffers:
            return False
        except ConditionRefused as error:
            raise TargetError(
                f"{self._location}: the server of the target refuses conditional writes, which it "
                "took before; run the job again"
            ) from error
        self._renewed_at = started
        return True

    def _read(self) -> "_Found | None":
        """Return the lock at the target, or None if there is none. Raises SourceError."""
        there = self._storage.read_version(self._location)
        if there is None:
            return None
        body, etag = there
        try:
            lock = _LockFile.model_validate_json(body)
        except ValidationError:  # of another version of this program, or not its file
            return _Found(owner=None, released=False, etag=etag)
        return _Found(owner=lock.owner, released=lock.released, etag=etag)


class _LockFile(BaseModel):
    """The content of `claim.json`."""

    owner: LockOwner
    renewals: int
    released: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """A lock as read from the target."""

    #: None if it cannot be parsed
    owner: LockOwner | None
    released: bool
    etag: str

    def is_free_for(self, other: LockOwner) -> bool:
        """Return whether the other one may take it over at once."""
        return self.released or (self.owner is not None and self.owner.may_be_replaced_by(other))


class _Renewal(threading.Thread):
    """Renews a lock until it is ended, and stops the job if another job owns the lock."""

    def __init__(self, lock: TargetLock, results: Results) -> None:
        super().__init__(name="lock", daemon=True)
        self._lock = lock
        self._results = results
        self._ended = threading.Event()

    def run(self) -> None:
        """Renew; if the network fails, try again at the next interval."""
        warned = False
        renewed_at = _seconds_since_boot()
        while not self._ended.wait(POLL_INTERVAL_S):
            if _seconds_since_boot() - renewed_at < RENEW_INTERVAL_S:
                continue
            renewed_at = _seconds_since_boot()
            try:
                self._lock.renew()
                warned = False
            except ObjectDiffers:
                if self._lock.report_loss():
                    self._results.stop_publishing()
                    request_stop(_lost(self._results))
                return
            except CloudJobError as error:
                if not warned:
                    logger.warning("the lock of the target could not be renewed: %s", error)
                warned = True

    def end(self) -> None:
        """Stop renewing, and release the lock."""
        self._ended.set()
        self.join()
        self._lock.release()


def _seconds_since_boot() -> float:
    """Return a time that also goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
