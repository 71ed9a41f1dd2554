"""Whether a server has conditional writes, and how it expects the ETag of `If-Match`."""

from contextlib import suppress

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import CloudJobError, TargetError
from spikeinterface_cloud.storage.s3 import ConditionRefused, ObjectDiffers
from spikeinterface_cloud.storage.session import Storage


def find_etag_quotes(storage: Storage, trial: S3Location) -> bool | None:
    """Try each kind of conditional write on an object of this name, and delete it.

    The server has to create the object only once, replace it by its ETag, and refuse an old ETag.
    Some servers ignore one of the conditions without saying so.

    Returns
    -------
    bool or None
        Whether the ETag has to be in quotes, as S3 has it, or must not be, as Ceph's gateway has
        it; None if the server lacks any of these writes.
    """
    try:
        first = _write(storage, trial, b"1", None)
        if first is None or _write(storage, trial, b"2", None) is not None:
            return None
        for quoted in (True, False):
            if _write(storage, trial, b"3", first, quoted=quoted) is not None:
                old_is_refused = _write(storage, trial, b"4", first, quoted=quoted) is None
                return quoted if old_is_refused else None
    except (ConditionRefused, TargetError):  # some servers call the condition a bad request
        return None
    finally:
        with suppress(CloudJobError):  # a role that may not delete
            storage.remove_object(trial)
    return None


def _write(
    storage: Storage, trial: S3Location, body: bytes, etag: str | None, *, quoted: bool = True
) -> str | None:
    """Return the new ETag; None if the server refused the write."""
    try:
        return storage.write_object_if(trial, body, etag, quoted=quoted)
    except ObjectDiffers:  # or the response to the first try of this request was lost
        version = storage.read_version(trial)
        return version[1] if version is not None and version[0] == body else None
