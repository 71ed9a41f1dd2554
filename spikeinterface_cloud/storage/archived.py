"""Objects in Glacier or Deep Archive, which nobody can read before they are restored."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws_errors import ARCHIVED
from spikeinterface_cloud.errors import SourceError
from spikeinterface_cloud.storage.s3 import PARALLEL_REQUESTS

if TYPE_CHECKING:
    from spikeinterface_cloud.storage.s3 import S3Objects
    from spikeinterface_cloud.storage.stored_object import StoredObject


def check_restored(storage: S3Objects, objects: Sequence[StoredObject]) -> None:
    """Raise SourceError if objects have yet to be restored, and say how."""
    archived = [stored.location for stored in objects if stored.is_archived]
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as threads:
        now = list(threads.map(storage.head, archived))
    unreadable = [stored for stored in now if 'ongoing-request="false"' not in stored.restore]
    if not unreadable:
        return
    first, number = unreadable[0].location, len(unreadable)
    what = f"{first} is" if number == 1 else f"{number} objects, like {first}, are"
    command = ARCHIVED.remedy.format(bucket=first.bucket, key=shlex.quote(first.key))
    remedy = f"restore {'it' if number == 1 else 'each of them'}, which takes hours: {command}"
    if all(stored.restore for stored in unreadable):
        remedy = "a restore is under way: run the job again when it is finished"
    raise SourceError(
        f"{what} in the storage class {unreadable[0].storage_class}, an archive, and cannot be "
        f"read; {remedy}"
    )
