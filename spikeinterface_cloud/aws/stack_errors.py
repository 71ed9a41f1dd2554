"""What CloudFormation refuses, or fails at, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from spikeinterface_cloud.aws.errors import (
    ACTION,
    CREDENTIALS,
    DENIED,
    FAILING,
    THROTTLED,
    AwsError,
    error_code,
    explain,
)
from spikeinterface_cloud.errors import CloudJobError

#: what AWS's words for a failure mean to the user; the first that occurs counts
REMEDIES = (
    (
        ("service linked role", "service-linked role"),
        "make it with `aws iam create-service-linked-role --aws-service-name batch.amazonaws.com`",
    ),
    (
        ("already exists", "already exist", "already owned", "already belongs", "not available"),
        "that name is taken by something else: choose another with "
        "--parameter ResultsBucketName=..., --parameter RepositoryName=... or --stack",
    ),
    (
        ("limit", "quota", "maximum number"),
        "ask AWS for a higher quota (Service Quotas), or delete what is no longer used",
    ),
    (("assert", "parameter", "must match pattern"), "change it with --parameter NAME=VALUE"),
)


class ParameterError(CloudJobError, ValueError):
    """A parameter that the template does not have; a fault of the command line (2)."""

    exit_code = 2


@contextmanager
def explained(operation: str) -> Iterator[None]:
    """Put botocore's errors into our own words; `operation` is like `delete the stack`.

    Raises
    ------
    AwsError
        with the remedy, where AWS's words tell it.
    """
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        if code in THROTTLED | FAILING | DENIED | CREDENTIALS:
            raise explain(error, operation) from error
        reason = one_line(error.response["Error"].get("Message") or code)
        advice = remedy(reason) or "the console of CloudFormation shows the events of the stack"
        raise AwsError(f"cannot {operation}: {reason}; {advice}") from error
    except (BotoCoreError, ResponseParserError) as error:
        raise explain(error, operation) from error


def one_line(text: object) -> str:
    """AWS's words as a part of a sentence."""
    return " ".join(str(text or "").split()).rstrip(".")


def remedy(reason: str) -> str:
    """What to do about a failure that AWS gives this reason for; empty where that is not known."""
    if action := ACTION.search(reason):
        return f"ask the account's owner to allow you {action['action']}, or use another --profile"
    words = reason.lower()
    for signs, advice in REMEDIES:
        if any(sign in words for sign in signs):
            return advice
    return ""
