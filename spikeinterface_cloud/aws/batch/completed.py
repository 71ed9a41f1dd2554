"""Which jobs of a list have been done: their target has the record of a run that succeeded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.batch.results import RECORD
from spikeinterface_cloud.aws.inputs.recording_list import ListedJob
from spikeinterface_cloud.aws_errors import NO_OBJECT, error_code, translate_errors
from spikeinterface_cloud.config.locations import S3Location

#: requests at once: as many as boto3 keeps connections
N_THREADS = 10


def unfinished(s3_client: Any, jobs: Sequence[ListedJob]) -> tuple[ListedJob, ...]:
    """The jobs that have not succeeded, in their order; a request is made for each job.

    Raises
    ------
    AwsError
        A target may not be read.
    """
    with ThreadPoolExecutor(N_THREADS) as threads:
        succeeded = threads.map(partial(_has_succeeded, s3_client), [job.target for job in jobs])
        return tuple(job for job, done in zip(jobs, succeeded, strict=True) if not done)


def _has_succeeded(s3_client: Any, target: S3Location) -> bool:
    record = target.child(RECORD)
    with translate_errors("read", record):
        try:
            reply = s3_client.get_object(Bucket=record.bucket, Key=record.key)
        except ClientError as error:
            if error_code(error) in NO_OBJECT.codes:
                return False
            raise
        content = reply["Body"].read()
    try:
        return bool(json.loads(content)["status"] == "succeeded")
    except (ValueError, KeyError, TypeError):  # not a record, so nothing that counts as done
        return False
