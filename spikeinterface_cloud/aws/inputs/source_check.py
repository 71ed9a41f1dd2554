"""A look at the source of a job before it is submitted.

What is found is a warning: the job's role may be allowed more than the user, and the source may be
there by the time the job starts.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws_errors import NO_BUCKET, AwsError, error_code
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import SourceError

if TYPE_CHECKING:
    from spikeinterface_cloud.aws.session import AwsSession
    from spikeinterface_cloud.config.settings import JobSettings
    from spikeinterface_cloud.storage.s3 import StoredObject

#: of the listing, with 1,000 objects each
PAGES = 5


def source_warnings(session: AwsSession, settings: JobSettings) -> Iterator[str]:
    """Warn of a source on S3 that is missing or archived; nothing where that cannot be seen."""
    if settings.manifest_url is not None or not isinstance(settings.source, S3Location):
        return
    try:
        storage = session.quick_storage(settings.aws.endpoint_url)
        objects = storage.list_objects(settings.source, pages=PAGES)
    except SourceError as error:
        yield f"{error}; the job will end with 66 if that is still so"
    except AwsError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and error_code(cause) in NO_BUCKET.codes:
            yield f"{error}; the job will end with 66 if that is still so"
    else:
        yield from archive_warnings(objects)


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
