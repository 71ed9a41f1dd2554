"""The limits of AWS Batch, checked before a request is sent.

Names, sizes and numbers are those of SubmitJob in the API reference of AWS Batch.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from spikeinterface_cloud.errors import CloudJobError

JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
JOB_NAME_LENGTH = 128

ARRAY_SIZES = range(2, 10_001)
ATTEMPTS = range(1, 11)
PRIORITIES = range(10_000)
TIMEOUTS_S = range(60, 2**31)
COUNTS = range(1, 2**31)
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

#: how the variables begin that Batch itself sets
RESERVED_NAMES = "AWS_BATCH"


class LimitError(CloudJobError, ValueError):
    """AWS would refuse the request; the options have to change (2)."""

    exit_code = 2


def overrides_length(overrides: Mapping[str, Any]) -> int:
    """Return the length of the container's overrides as JSON, in characters."""
    return len(json.dumps(overrides))


def check_request(request: Mapping[str, Any]) -> None:
    """Raise a LimitError if AWS would refuse a request of SubmitJob, with a line per problem."""
    problems = [
        *_number_problems(request),
        *_request_problems(request),
        *tag_problems(request["tags"]),
        *_override_problems(request["containerOverrides"]),
    ]
    size_bytes = len(json.dumps(request).encode())
    if size_bytes > REQUEST_BYTES:
        problems.append(
            f"the request has {size_bytes:,} bytes, and AWS Batch takes {REQUEST_BYTES:,}; "
            "give fewer or shorter tags"
        )
    if problems:
        raise LimitError("\n".join(problems))


def _number_problems(request: Mapping[str, Any]) -> Iterator[str]:
    numbers = [
        ("the number of jobs", request.get("arrayProperties", {}).get("size"), ARRAY_SIZES),
        ("--timeout", request.get("timeout", {}).get("attemptDurationSeconds"), TIMEOUTS_S),
        ("--attempts", request["retryStrategy"]["attempts"], ATTEMPTS),
        ("--priority", request.get("schedulingPriorityOverride"), PRIORITIES),
    ]
    for requirement in request["containerOverrides"].get("resourceRequirements", ()):
        numbers.append((requirement["type"], int(requirement["value"]), COUNTS))
    for name, number, allowed in numbers:
        if number is not None and number not in allowed:
            yield f"{name}: {number:,} is not from {allowed[0]:,} to {allowed[-1]:,}"


def _request_problems(request: Mapping[str, Any]) -> Iterator[str]:
    name = str(request["jobName"])
    if not JOB_NAME.fullmatch(name):
        yield (
            f"--job-name: {name!r} is not a job name; begin with a letter or digit, use letters, "
            f"digits, - and _, at most {JOB_NAME_LENGTH} in all"
        )
    share = request.get("shareIdentifier")
    if share is not None and not SHARE_IDENTIFIER.fullmatch(share):
        yield f"--share-identifier: {share!r} is not 1 to 255 letters and digits; rename it"
    if "schedulingPriorityOverride" in request and share is None:
        yield "--priority: counts within a share only; give --share-identifier as well"
    dependencies = len(request.get("dependsOn", ()))
    if dependencies > MOST_DEPENDENCIES:
        yield (
            f"--depends-on: {dependencies} jobs; AWS Batch takes {MOST_DEPENDENCIES}, "
            "so let one job wait for the others, or submit them as an array"
        )


def tag_problems(tags: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each tag that AWS does not take."""
    if len(tags) > MOST_TAGS:
        yield (
            f"--tag: {len(tags)} tags, one of them this program's own; "
            f"AWS takes {MOST_TAGS} with those of the job definition"
        )
    for key, value in tags.items():
        shown = f"{_shortened(key)}={_shortened(value)}"
        if len(key) > TAG_KEY_LENGTH or len(value) > TAG_VALUE_LENGTH:
            yield (
                f"--tag: {shown} is too long; AWS takes {TAG_KEY_LENGTH} characters "
                f"of a name and {TAG_VALUE_LENGTH} of a value"
            )
        if key.lower().startswith("aws:"):
            yield f"--tag: {shown} begins with aws:, which only AWS may use; rename it"
        if not TAG_TEXT.fullmatch(key + value):
            yield (
                f"--tag: {shown} has characters that AWS does not take; "
                "use letters, digits, spaces and + - = . _ : / @"
            )


def _override_problems(overrides: Mapping[str, Any]) -> Iterator[str]:
    for variable in overrides["environment"]:
        if variable["name"].startswith(RESERVED_NAMES):
            yield f"{variable['name']}: AWS Batch sets the variables {RESERVED_NAMES}* itself"
    length = overrides_length(overrides)
    if length > OVERRIDES_LENGTH:
        yield (
            f"the overrides have {length:,} characters, and AWS takes 8,192 with those that Batch "
            "adds; give the settings as a list on S3 (MANIFEST_URL), or fewer of them"
        )


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
