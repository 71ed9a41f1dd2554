"""The limits of AWS Batch, checked before a request is sent.

Names, sizes and numbers are those of SubmitJob in the API reference of AWS Batch.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spikeinterface_cloud.errors import CloudJobError

JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
JOB_NAME_LENGTH = 128

ARRAY_SIZES = range(2, 10_001)
MINIMUM_TIMEOUT_S = 60
ATTEMPTS = range(1, 11)
PRIORITIES = range(10_000)
MOST_DEPENDENCIES = 20
MOST_TAGS = 50
TAG_KEY_LENGTH = 128
TAG_VALUE_LENGTH = 256

#: what a tag may hold; AWS names the characters, besides letters, digits and spaces
TAG_TEXT = re.compile(r"[\w\s+\-=.:/@]*")

SHARE_IDENTIFIER = re.compile(r"[A-Za-z0-9]{1,255}")

#: AWS refuses 8,192 characters of overrides, after Batch has added its own variables to them
OVERRIDES_LENGTH = 7_000

#: of the whole request
REQUEST_BYTES = 30 * 1024

#: the variables that Batch itself sets
RESERVED_NAMES = "AWS_BATCH"


class LimitError(CloudJobError, ValueError):
    """The request is one that AWS would refuse; a fault of the command line (2)."""

    exit_code = 2


def overrides_length(overrides: Mapping[str, Any]) -> int:
    """How many characters the overrides of the container come to, as JSON."""
    return len(json.dumps(overrides))


def check_request(request: Mapping[str, Any]) -> None:
    """Hold a request of SubmitJob against every limit.

    Raises LimitError (with every problem at once, a line each).
    """
    problems = [
        *_names(request),
        *_numbers(request),
        *_tags(request.get("tags", {})),
        *_overrides(request.get("containerOverrides", {})),
    ]
    size_bytes = len(json.dumps(request).encode())
    if size_bytes > REQUEST_BYTES:
        problems.append(
            f"the request has {size_bytes:,} bytes, and AWS Batch takes {REQUEST_BYTES:,}; "
            "give fewer or shorter tags"
        )
    if problems:
        raise LimitError("\n".join(problems))


def _names(request: Mapping[str, Any]) -> Iterator[str]:
    name = str(request["jobName"])
    if not JOB_NAME.fullmatch(name):
        yield (
            f"--job-name: {name!r} is no name of a job; begin with a letter or digit, use letters, "
            f"digits, - and _, at most {JOB_NAME_LENGTH} in all"
        )
    share = request.get("shareIdentifier")
    if share is not None and not SHARE_IDENTIFIER.fullmatch(share):
        yield f"--share-identifier: {share!r} is not 1 to 255 letters and digits; rename it"


def _numbers(request: Mapping[str, Any]) -> Iterator[str]:
    size = request.get("arrayProperties", {}).get("size")
    if size is not None and size not in ARRAY_SIZES:
        yield (
            f"an array of {size:,} jobs: AWS Batch takes {ARRAY_SIZES.start} to "
            f"{ARRAY_SIZES.stop - 1:,}; submit one job by itself, and more in several arrays"
        )
    timeout_s = request.get("timeout", {}).get("attemptDurationSeconds")
    if timeout_s is not None and timeout_s < MINIMUM_TIMEOUT_S:
        yield f"--timeout: {timeout_s} s is too short; AWS takes {MINIMUM_TIMEOUT_S} s or more"
    attempts = request.get("retryStrategy", {}).get("attempts")
    if attempts is not None and attempts not in ATTEMPTS:
        yield f"--attempts: {attempts} is not from {ATTEMPTS.start} to {ATTEMPTS.stop - 1}"
    priority = request.get("schedulingPriorityOverride")
    if priority is not None and priority not in PRIORITIES:
        yield f"--priority: {priority} is not from 0 to {PRIORITIES.stop - 1}"
    if priority is not None and "shareIdentifier" not in request:
        yield "--priority: counts within a share only; give --share-identifier as well"
    dependencies = len(request.get("dependsOn", ()))
    if dependencies > MOST_DEPENDENCIES:
        yield (
            f"--depends-on: {dependencies} jobs; AWS Batch takes {MOST_DEPENDENCIES}, "
            "so let one job wait for the others, or submit them as an array"
        )
    yield from _resources(request.get("containerOverrides", {}).get("resourceRequirements", ()))


def _resources(requirements: Sequence[Mapping[str, str]]) -> Iterator[str]:
    options = {"GPU": "--gpus", "VCPU": "--vcpus", "MEMORY": "--memory"}
    for requirement in requirements:
        if float(requirement["value"]) <= 0:
            yield f"{options[requirement['type']]}: has to be more than 0"


def _tags(tags: Mapping[str, str]) -> Iterator[str]:
    if len(tags) > MOST_TAGS:
        yield (
            f"--tag: {len(tags)} tags, one of them this program's own; "
            f"AWS takes {MOST_TAGS} with those of the job definition"
        )
    for key, value in tags.items():
        if not key:
            yield f"--tag: ={_shortened(value)} has no name; write NAME=VALUE"
        if len(key) > TAG_KEY_LENGTH or len(value) > TAG_VALUE_LENGTH:
            yield (
                f"--tag: {_shortened(key)!r} is too long; AWS takes {TAG_KEY_LENGTH} characters "
                f"of a name and {TAG_VALUE_LENGTH} of a value"
            )
        if key.lower().startswith("aws:"):
            yield f"--tag: {_shortened(key)!r} begins with aws:, which is AWS's own; rename it"
        if not TAG_TEXT.fullmatch(key) or not TAG_TEXT.fullmatch(value):
            yield (
                f"--tag: {_shortened(key)}={_shortened(value)} has characters that AWS does not "
                "take; use letters, digits, spaces and + - = . _ : / @"
            )


def _overrides(overrides: Mapping[str, Any]) -> Iterator[str]:
    for variable in overrides.get("environment", ()):
        if variable["name"].startswith(RESERVED_NAMES):
            yield f"{variable['name']}: AWS Batch sets the variables {RESERVED_NAMES}* itself"
    length = overrides_length(overrides)
    if length > OVERRIDES_LENGTH:
        yield (
            f"the overrides have {length:,} characters, and AWS takes 8,192 with what Batch adds; "
            "give the settings as a list on S3 (MANIFEST_URL), or fewer of them"
        )


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
