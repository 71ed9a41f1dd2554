"""What a refusal of AWS means to the user: each of botocore's errors as one line and its remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

from spikeinterface_cloud.errors import CloudJobError

THROTTLED = frozenset(
    {
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequests",
        "TooManyRequestsException",
        "429",
    }
)
FAILING = frozenset(
    {"500", "502", "503", "504", "InternalError", "InternalFailure", "ServerException"}
    | {"ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout"}
)
DENIED = frozenset(
    {"403", "AccessDenied", "AccessDeniedException", "Forbidden", "UnauthorizedOperation"}
    | {"AuthorizationError"}
)
CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId"}
    | {"InvalidClientTokenId", "InvalidSignatureException", "InvalidToken"}
    | {"SignatureDoesNotMatch", "UnrecognizedClientException", "MissingAuthenticationToken"}
)
MISSING_BUCKETS = frozenset({"NoSuchBucket"})
MISSING_OBJECTS = frozenset({"404", "NoSuchKey", "NotFound"})

CREDENTIALS_REMEDY = (
    "run `aws configure` or `aws sso login`, name a profile with --profile, "
    "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)

#: the action in AWS's own sentence, like `... is not authorized to perform: batch:SubmitJob on ...`
ACTION = re.compile(r"perform: (?P<action>[\w-]+:\w+)")


class AwsError(CloudJobError):
    """AWS did not do what it was asked (1)."""

    exit_code = 1

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        #: whether the same call may succeed a little later
        self.passing = passing


@contextmanager
def explained(operation: str) -> Iterator[None]:
    """Put botocore's errors into our own words; `operation` is like `submit the job`."""
    try:
        yield
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise explain(error, operation) from error


def explain(error: ClientError | BotoCoreError | ResponseParserError, operation: str) -> AwsError:
    """The error to raise instead of botocore's."""
    start = f"cannot {operation}"
    if isinstance(error, ClientError):
        code = error_code(error)
        passing = code in THROTTLED | FAILING
        return AwsError(f"{start}: {_reason(error, code)}", passing=passing)
    passing = isinstance(error, (ConnectionError, HTTPClientError))
    return AwsError(f"{start}: {_local_reason(error)}", passing=passing)


def error_code(error: ClientError) -> str:
    """AWS's own name of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _local_reason(error: BotoCoreError | ResponseParserError) -> str:
    """What botocore found wrong before AWS could answer, or in what answered instead of it."""
    if isinstance(error, ResponseParserError):
        return (
            "what answered does not speak AWS's language; check the network: a proxy or a login "
            "page may be in the way"
        )
    sentence = _sentence(str(error))
    if isinstance(error, NoRegionError):
        return "no AWS region is known; give --region, like us-east-1, or set AWS_DEFAULT_REGION"
    if isinstance(error, ProfileNotFound):
        return f"{sentence}; `aws configure list-profiles` lists those on this machine"
    if isinstance(error, NoCredentialsError):
        return f"no AWS credentials were found on this machine; {CREDENTIALS_REMEDY}"
    if isinstance(
        error,
        (
            PartialCredentialsError,
            CredentialRetrievalError,
            TokenRetrievalError,
            SSOTokenLoadError,
            UnauthorizedSSOTokenError,
        ),
    ):
        return f"{sentence}; {CREDENTIALS_REMEDY}"
    if isinstance(error, (ConnectionError, HTTPClientError)):
        return f"{sentence}; check the network, and --region"
    return sentence


def _reason(error: ClientError, code: str) -> str:
    """What AWS answered."""
    sentence = _sentence(error.response.get("Error", {}).get("Message") or code)
    if code in THROTTLED:
        return f"AWS is throttling ({code}), after every retry; try again in a minute"
    if code in FAILING:
        return f"AWS failed ({code}: {sentence}), after every retry; try again in a minute"
    if code in DENIED:
        action = ACTION.search(sentence)
        wanted = action["action"] if action else _action(error)
        return (
            f"access denied ({sentence}); ask the account's owner to allow you {wanted}, "
            "or use another --profile"
        )
    if code in CREDENTIALS:
        return f"AWS refused the credentials ({code}); {CREDENTIALS_REMEDY}"
    if code in MISSING_BUCKETS:
        return "there is no such bucket; check its name and the region"
    if code in MISSING_OBJECTS:
        return "there is no such object"
    return f"{sentence}{_remedy(sentence)}"


def _action(error: ClientError) -> str:
    return f"the call {error.operation_name}"


def _remedy(sentence: str) -> str:
    """What to do about a refusal that has no code of its own, as far as its words tell."""
    words = sentence.lower()
    if "queue" in words:
        return "; check --job-queue and --region: `aws batch describe-job-queues` lists the queues"
    if "definition" in words:
        return (
            "; check --job-definition and --region: "
            "`aws batch describe-job-definitions --status ACTIVE` lists the definitions"
        )
    if "stack" in words:
        return "; check --stack and --region"
    if "share identifier" in words or "shareidentifier" in words:
        return "; give --share-identifier on a fair-share queue, and leave it out on others"
    return "; see the page of this call in the AWS Batch API reference"


def _sentence(text: Any) -> str:
    return " ".join(str(text).split()).rstrip(".")
