"""A look at the source of a job before it is submitted.

What is found is a warning: the job's role may be allowed more than the user, and the source may be
there by the time the job starts.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws_errors import NO_BUCKET, AwsError, error_code
from spikeinterface_cloud.config.locations import DandiAsset, S3Location, locations_of
from spikeinterface_cloud.errors import (
    CloudJobError,
    KeyNeeded,
    RecordingError,
    SettingsError,
    SourceError,
    TransferError,
)
from spikeinterface_cloud.storage.thread_pool import Threads

if TYPE_CHECKING:
    from spikeinterface_cloud.aws.session import AwsSession
    from spikeinterface_cloud.config.settings import DandiAccess, JobSettings
    from spikeinterface_cloud.storage.s3 import S3Objects
    from spikeinterface_cloud.storage.stored_object import StoredObject

Looked = S3Location | DandiAsset

#: of the listing, with 1,000 objects each
PAGES = 5

#: sources of a list that are looked up, how many at once, and how many warnings are shown of them
MOST, AT_ONCE, SHOWN = 20, 10, 3

#: for all of them together; what is not known by then gives no warning
PATIENCE_S = 6.0


def source_warnings(session: AwsSession, jobs: Sequence[JobSettings]) -> Iterator[str]:
    """Warn of sources on S3 and DANDI that are missing or cannot be read by any job.

    Only the first sources of a list are looked up. Nothing is said of what cannot be seen.
    """
    sources = {
        str(location): (location, job)
        for job in jobs
        if job.manifest_url is None
        for location in locations_of(job.source)
    }
    looked_up = [
        (location, job)
        for location, job in sources.values()
        if isinstance(location, S3Location | DandiAsset)
    ]
    if not _connect(session, looked_up):
        return
    threads = Threads(AT_ONCE, "look up")
    futures = [threads.submit(partial(_warnings, session, *each)) for each in looked_up[:MOST]]
    threads.end()
    done, _ = wait(futures, timeout=PATIENCE_S)
    found = [warning for future in futures if future in done for warning in future.result()]
    yield from found[:SHOWN]
    if len(found) > SHOWN:
        yield f"{len(found) - SHOWN} of the other sources looked up have such a problem, too"


def _connect(session: AwsSession, sources: Iterable[tuple[Looked, JobSettings]]) -> bool:
    """Make the clients here, as a profile may ask for a code; return whether that succeeded."""
    try:
        for location, job in sources:
            if isinstance(location, S3Location):
                session.quick_storage(job.aws.endpoint_url)
    except AwsError:
        return False
    return True


def _warnings(session: AwsSession, location: Looked, job: JobSettings) -> list[str]:
    if isinstance(location, DandiAsset):
        return list(_dandi_warnings(location, job.dandi))
    return list(_s3_warnings(session.quick_storage(job.aws.endpoint_url), location))


def _s3_warnings(storage: S3Objects, source: S3Location) -> Iterator[str]:
    try:
        objects = storage.list_objects(source, pages=PAGES)
    except SourceError as error:
        yield f"{error}; {_outlook(error)}"
    except AwsError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and error_code(cause) in NO_BUCKET.codes:
            yield f"{error}; {_outlook(SourceError())}"
    else:
        yield from archive_warnings(objects)


def _dandi_warnings(source: DandiAsset, access: DandiAccess) -> Iterator[str]:
    """Look without the key, as the job may have another one; and only if DANDI's client is here."""
    with suppress(ImportError, TransferError):
        from spikeinterface_cloud.dandi.assets import resolve

        try:
            resolve(source, access.model_copy(update={"api_key": None}))
        except (SourceError, SettingsError, RecordingError) as error:
            if not isinstance(error, KeyNeeded):
                yield f"{error}; {_outlook(error)}"


def _outlook(error: CloudJobError) -> str:
    return f"the job will end with {error.exit_code} if that is still so"


def archive_warnings(objects: Iterable[StoredObject]) -> Iterator[str]:
    """Warn of objects that nobody can read before they are restored."""
    archived = [each for each in objects if each.is_archived]
    if archived:
        first = archived[0]
        key = shlex.quote(first.location.key)
        yield (
            f"archived objects ({len(archived):,}), like {first.location} in "
            f"{first.storage_class}; unless they are restored, which takes hours, the job cannot "
            f"read them: aws s3api restore-object --bucket {first.location.bucket} --key {key} "
            "--restore-request Days=14"
        )
