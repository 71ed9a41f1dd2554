"""One job at a time writes to a target: `claim.json` there says which, by conditional writes of S3.

Its holder renews it. A claim that nobody renews is taken over: at once by another attempt of the
same Batch job, or by who can see that the process is gone; by others when its lease has run out.
Who finds it held gives up, and leaves the target as it is.
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

#: a claim that was not renewed for so long is nobody's
LEASE_S = 60.0

#: between two renewals: a live holder shows itself within this time
RENEW_INTERVAL_S = 5.0

#: between two looks at another's claim
POLL_INTERVAL_S = 1.0


@contextmanager
def exclusive_target(results: Results, environ: Mapping[str, str]) -> Iterator[None]:
    """Have the target, if there is one, for this job alone while the block runs.

    Raises
    ------
    TargetError
        another job that is running has it
    TransferError
        the network gave out
    """
    if results.storage is None:
        yield
        return
    claim = TargetLock(results.storage, results.target_location(CLAIM), this_job(environ))
    try:
        held = claim.take()
    except TargetError:
        results.stop_publishing()
        raise
    except BaseException:  # the network, or a request to stop, between two of its steps
        claim.use_short_timeouts()
        claim.release()
        raise
    results.state = ResultsState.LOCKED
    if not held:
        logger.warning("nothing keeps two jobs from writing to %s at once", results)
        yield
        return
    claim.use_short_timeouts()
    renewal = _Renewal(claim, results)
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
        """Claim the target; False, with the reason in the log, where that cannot be done.

        Raises
        ------
        TargetError
            another job has it
        """
        try:
            return self._create() or self._take_over(lease_s)
        except ConditionRefused:
            logger.warning("the server of %s has no conditional writes", self._location)
        except SourceError as error:
            logger.warning("who writes to the target cannot be told: %s", error)
        return False

    def use_short_timeouts(self) -> None:
        """Wait for the network as little as the end of the job can, or the next renewal."""
        self._storage = self._storage.with_timeouts(SHUTDOWN_TIMEOUTS)

    def renew(self) -> None:
        """Show that the holder is alive. Raises ObjectDiffers where the claim is another's now."""
        self._renewals += 1
        try:
            self._write(self._etag)
        except ObjectDiffers:
            found = self._read()
            if found is not None and found.owner != self._owner:
                raise
            # the answer to a renewal was lost, or somebody has emptied the folder
            self._etag = None if found is None else found.etag
            with suppress(ObjectDiffers):  # lost again: the next renewal looks whose it is
                self._write(self._etag)

    def release(self) -> None:
        """Leave the target to the next; the claim of another is left alone."""
        with suppress(CloudJobError, ObjectDiffers, ConditionRefused):
            found = self._read()
            if found is None or found.owner != self._owner:
                return
            try:
                self._storage.remove_object(self._location)
            except TargetError:  # a role that may not delete
                self._write(found.etag, released=True)

    def _create(self) -> bool:
        """Claim a target that nobody has; False where somebody has it.

        Some servers ignore the condition, so that it is put to the test: ConditionRefused.
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
        """Claim a target that another job has held, once that job is known to be gone."""
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
                logger.info("the claim of %s on the target is taken over", found.owner)
                with suppress(ObjectDiffers):  # somebody else was quicker
                    self._write(found.etag)
                    return True
            time.sleep(POLL_INTERVAL_S)
            found = self._read()
        if found is None:  # it was released meanwhile
            return self._create() or self._take_over(lease_s)
        self._etag = found.etag  # the answer to our own write was lost
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
    """A claim at the target."""

    #: None where it cannot be read
    owner: LockOwner | None
    released: bool
    etag: str

    def is_free_for(self, other: LockOwner) -> bool:
        """Whether the other one may have it at once."""
        return self.released or (self.owner is not None and self.owner.may_be_replaced_by(other))


class _Renewal(threading.Thread):
    """Renews a claim until it is ended, and stops the job where the claim is another's."""

    def __init__(self, claim: TargetLock, results: Results) -> None:
        super().__init__(name="claim", daemon=True)
        self._claim = claim
        self._results = results
        self._ended = threading.Event()
        self._lost = False

    def run(self) -> None:
        """Renew; a network in trouble is waited for."""
        told = False
        while not self._ended.wait(RENEW_INTERVAL_S):
            try:
                self._claim.renew()
                told = False
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
                if not told:
                    logger.warning("the claim on the target could not be renewed: %s", error)
                told = True

    def end(self) -> None:
        """Stop renewing, and release the claim."""
        self._ended.set()
        self.join()
        if not self._lost:
            self._claim.release()
