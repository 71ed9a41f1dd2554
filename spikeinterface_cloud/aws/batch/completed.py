"""Find the jobs of a list that have not succeeded yet, by the records at their targets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.batch.results import RECORD
from spikeinterface_cloud.aws.inputs.recording_list import ListedJob

if TYPE_CHECKING:
    from spikeinterface_cloud.storage.s3 import S3Objects

#: requests at once: as many as boto3 keeps connections
N_THREADS = 10


def unfinished(storage: S3Objects, jobs: Sequence[ListedJob]) -> tuple[ListedJob, ...]:
    """Return the jobs that have not succeeded, in their order, with a request for each job.

    Raises AwsError (a target may not be read).
    """

    def has_succeeded(job: ListedJob) -> bool:
        content = storage.read_if_exists(job.target.child(RECORD))
        try:
            return bool(content and json.loads(content)["status"] == "succeeded")
        except (ValueError, KeyError, TypeError):  # not a record, so nothing that counts as done
            return False

    with ThreadPoolExecutor(N_THREADS) as threads:
        succeeded = threads.map(has_succeeded, jobs)
        return tuple(job for job, done in zip(jobs, succeeded, strict=True) if not done)
