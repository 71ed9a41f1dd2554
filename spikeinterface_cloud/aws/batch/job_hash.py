"""The identity of a job: a hash of what it does, in its name and in a tag.

SubmitJob takes no idempotency token, so the name tells whether a job was submitted before.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from spikeinterface_cloud.aws.batch.limits import JOB_NAME_LENGTH

#: the tag that holds the hash
IDENTITY_TAG = "spikeinterface-cloud-job"

#: hexadecimal digits; that two of ten million jobs share it has a chance of one in 370,000
IDENTITY_LENGTH = 16

DEFAULT_NAME = "sorting"


def job_identity(
    environment: Mapping[str, str], job_definition: str | None, command: Sequence[str] = ()
) -> str:
    """Hash what the job does; queue and memory make no difference.

    A name and an ARN of one definition give two hashes, as only AWS knows that they are the same.
    """
    content = json.dumps([job_definition, sorted(environment.items()), *command])
    return hashlib.sha256(content.encode()).hexdigest()[:IDENTITY_LENGTH]


def job_name(environment: Mapping[str, str], wanted: str | None, identity: str) -> str:
    """Return a job's name: the wanted one, or one from its settings, and the hash.

    >>> job_name({"AWS_S3_BUCKET": "lab", "AWS_S3_BUCKET_FOLDER": "raw/day 1"}, None, "0f3a")
    'day-1-0f3a'
    """
    suffix = f"-{identity}"
    if wanted is not None:
        return f"{wanted}{suffix}"
    return f"{suggested_name(environment)[: JOB_NAME_LENGTH - len(suffix)]}{suffix}"


def suggested_name(environment: Mapping[str, str]) -> str:
    """Return the last part of the recording's or else the result's location."""
    for name in (
        "RUN_IDENTIFIER",
        "AWS_S3_BUCKET_FOLDER",
        "DANDISET_S3_FILE_URL",
        "TARGET_AWS_S3_BUCKET_FOLDER",
    ):
        stem = PurePosixPath(environment.get(name, "")).stem
        if text := re.sub(r"[^A-Za-z0-9_]+", "-", stem).strip("-_"):
            return text
    return DEFAULT_NAME
