"""The lock of a target, `claim.json`, by conditional writes of S3: one job at a time writes to it.

Its owner renews it. Another attempt of the same Batch job may replace the owner at once, and so may
a job on a host where the owner's process is gone; all others once the lease has run out. If another
job holds the lock, this job exits without touching the target.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import ClaimLost, CloudJobError, SourceError, TargetError
from spikeinterface_cloud.results.folder import Results, ResultsState
from spikeinterface_cloud.results.layout import CLAIM
from spikeinterface_cloud.results.lock_owner import LockOwner, this_job
from spikeinterface_cloud.runtime.signals import request_stop
from spikeinterface_cloud.storage.s3 import ConditionRefused, ObjectDiffers
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import SHUTDOWN_TIMEOUTS

logger = logging.getLogger(__name__)

#: a lock that was not renewed for this time may be taken over
LEASE_S = 60.0

#: between two renewals of the lock
RENEW_INTERVAL_S = 5.0

#: between two reads of another job's lock
POLL_INTERVAL_S = 1.0


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
    lock.use_short_timeouts()
    renewal = _Renewal(lock, results)
    renewal.start()
    try:
        yield
    finally:
        renewal.end()


class TargetLock:
    """The object at the target, as this job has written it."""

    def __init__(self, storage: Storage, location: S3Location, owner: LockOwner) -> None:
        self._storage = storage
        self._location = location
        self._owner = owner
        self._etag: str | None = None
        self._renewals = 0

    def take(self, lease_s: float = LEASE_S) -> bool:
        """Lock the target; return False, with the reason in the log, if the server has no locks.

        Raises TargetError if another job has locked it.
        """
        try:
            return self._create() or self._take_over(lease_s)
        except ConditionRefused:
            logger.warning("the server of %s has no conditional writes", self._location)
        except SourceError as error:
            logger.warning("the lock of the target cannot be read: %s", error)
        return False

    def use_short_timeouts(self) -> None:
        """Wait no longer for the network than until the next renewal."""
        self._storage = self._storage.with_timeouts(SHUTDOWN_TIMEOUTS)

    def renew(self) -> None:
        """Renew the lock. Raises ObjectDiffers if another job owns it now."""
        self._renewals += 1
        try:
            self._write(self._etag)
        except ObjectDiffers:
            found = self._read()
            if found is not None and found.owner != self._owner:
                raise
            # the response to a renewal was lost, or somebody has emptied the folder
            self._etag = None if found is None else found.etag
            with suppress(ObjectDiffers):  # lost again: the next renewal reads the owner
                self._write(self._etag)

    def release(self) -> None:
        """Remove the lock, unless another job owns it."""
        with suppress(CloudJobError, ObjectDiffers, ConditionRefused):
            found = self._read()
            if found is None or found.owner != self._owner:
                return
            try:
                self._storage.remove_object(self._location)
            except TargetError:  # a role that may not delete
                self._write(found.etag, released=True)

    def _create(self) -> bool:
        """Create the lock; return False if there is one.

        A second write shows whether the server ignores the condition: ConditionRefused.
        """
        try:
            self._write(None)
        except ObjectDiffers:
            return False
        kept = self._etag
        try:
            self._write(None)
        except ObjectDiffers:
            self._etag = kept
            return True
        with suppress(TargetError):  # a role that may not delete
            self._storage.remove_object(self._location)
        raise ConditionRefused(str(self._location))

    def _take_over(self, lease_s: float) -> bool:
        """Replace the lock of another job once that job is known to be gone."""
        first = self._read()
        deadline = time.monotonic() + lease_s
        found = first
        while found is not None and found.owner != self._owner:
            if found.etag != (first.etag if first else None):
                raise TargetError(
                    f"the target is being written by {found.owner or 'another job'} "
                    f"({self._location}); wait until that has ended, or give this job a target of "
                    "its own (TARGET_AWS_S3_BUCKET_FOLDER)"
                )
            if found.is_free_for(self._owner) or time.monotonic() > deadline:
                logger.info("taking over the lock of the target from %s", found.owner)
                with suppress(ObjectDiffers):  # another job was faster
                    self._write(found.etag)
                    return True
            time.sleep(POLL_INTERVAL_S)
            found = self._read()
        if found is None:  # it was released meanwhile
            return self._create() or self._take_over(lease_s)
        self._etag = found.etag  # the response to our own write was lost
        return True

    def _write(self, etag: str | None, *, released: bool = False) -> None:
        content = {"owner": asdict(self._owner), "renewals": self._renewals, "released": released}
        body = json.dumps(content, indent=2).encode()
        self._etag = self._storage.write_object_if(self._location, body, etag)

    def _read(self) -> "_Found | None":
        """Return the lock at the target, or None if there is none. Raises SourceError."""
        there = self._storage.read_version(self._location)
        if there is None:
            return None
        body, etag = there
        try:
            content: dict[str, Any] = json.loads(body)
            owner, released = LockOwner(**content["owner"]), bool(content["released"])
        except (ValueError, KeyError, TypeError):  # of another version of this program
            owner, released = None, False
        return _Found(owner=owner, released=released, etag=etag)


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
        self._lost = False

    def run(self) -> None:
        """Renew; if the network fails, try again at the next interval."""
        warned = False
        while not self._ended.wait(RENEW_INTERVAL_S):
            try:
                self._lock.renew()
                warned = False
            except ObjectDiffers:
                self._lost = True
                self._results.stop_publishing()
                request_stop(
                    ClaimLost(
                        f"{self._results} is written by another attempt, which found this one "
                        "silent for too long; it has what was finished"
                    )
                )
                return
            except (CloudJobError, ConditionRefused) as error:
                if not warned:
                    logger.warning("the lock of the target could not be renewed: %s", error)
                warned = True

    def end(self) -> None:
        """Stop renewing, and release the lock."""
        self._ended.set()
        self.join()
        if not self._lost:
            self._lock.release()
