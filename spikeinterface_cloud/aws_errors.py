"""The one translator of AWS errors: a botocore exception becomes one line with its remedy.

The laptop raises `AwsError` (1). The container raises the error that the caller names, with the
exit code that Batch's retry rules use, and `TransferError` (75) for whatever may pass.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from spikeinterface_cloud.errors import CloudJobError, SettingsError, TransferError


class AwsError(CloudJobError):
    """AWS refused or failed to do something (1)."""

    exit_code = 1

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        #: whether the same call may succeed a little later
        self.retryable = retryable


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorKind:
    """AWS error codes that mean the same to a user.

    The texts may name `{bucket}`, `{key}`, `{code}`, `{answer}` (the code with AWS's own words) and
    `{action}` (what IAM calls the call).
    """

    #: an HTTP status where the answer has no body, as that to a HEAD request
    codes: frozenset[str]
    reason: str
    #: on the laptop
    remedy: str
    #: in the container, where it differs
    job_remedy: str = ""
    retryable: bool = False


LAPTOP_CREDENTIALS = (
    "run `aws configure` or `aws sso login`, name a profile with --profile, "
    "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
JOB_CREDENTIALS = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
    "(and AWS_SESSION_TOKEN when they are temporary), "
    "or better leave them out and give the job a role"
)
REQUESTER_PAYS = "for a requester-pays bucket set AWS_REQUESTER_PAYS=true"
ALLOW_ACTION = "ask the account's owner to allow you {action}, or use another --profile"

THROTTLED = ErrorKind(
    codes=frozenset(
        {"429", "RequestLimitExceeded", "SlowDown", "Throttling", "ThrottlingException"}
        | {"ThrottledException", "TooManyRequests", "TooManyRequestsException"}
    ),
    reason="the server is throttling ({code}), after every retry",
    remedy="try again in a minute",
    retryable=True,
)
FAILING = ErrorKind(
    codes=frozenset(
        {"500", "502", "503", "504", "InternalError", "InternalFailure", "ServerException"}
        | {"ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout"}
    ),
    reason="the server failed ({answer}), after every retry",
    remedy="try again in a minute",
    retryable=True,
)
DENIED = ErrorKind(
    codes=frozenset(
        {"401", "403", "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden"}
        | {"AuthorizationError", "Unauthorized", "UnauthorizedOperation"}
    ),
    reason="access denied ({answer})",
    remedy=ALLOW_ACTION,
    job_remedy="allow the job's role or user s3:ListBucket on the bucket and s3:GetObject "
    "(for results s3:PutObject) on its objects, and kms:Decrypt (kms:GenerateDataKey) on the key "
    f"that may encrypt them; {REQUESTER_PAYS}",
)
QUOTA = ErrorKind(
    codes=frozenset({"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"}),
    reason="the server has no room left for this account ({code})",
    remedy="delete what is no longer needed there, or ask its operator for a higher quota",
)
KMS_KEY = ErrorKind(
    codes=frozenset(
        {"KMS.DisabledException", "KMS.KMSInvalidStateException", "KMS.NotFoundException"}
        | {"KMS.InvalidStateException"}
    ),
    reason="the KMS key that encrypts it cannot be used ({answer})",
    remedy="ask the owner of the key to enable it again",
)
CREDENTIALS = ErrorKind(
    codes=frozenset(
        {"ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId"}
        | {"InvalidSignatureException", "MissingAuthenticationToken", "SignatureDoesNotMatch"}
        | {"TokenRefreshRequired"}
    ),
    reason="AWS refused the credentials ({answer})",
    remedy=LAPTOP_CREDENTIALS,
    job_remedy=JOB_CREDENTIALS,
)
UNKNOWN_HERE = ErrorKind(
    codes=frozenset(
        {"AuthFailure", "InvalidClientTokenId", "InvalidToken", "OptInRequired"}
        | {"UnrecognizedClientException"}
    ),
    reason="AWS refused the credentials ({answer})",
    remedy=f"{LAPTOP_CREDENTIALS}; a region that the account has not enabled answers the same: "
    "check --region",
    job_remedy=f"{JOB_CREDENTIALS}; a region that the account has not enabled answers the same: "
    "check AWS_REGION_NAME",
)
WRONG_CLOCK = ErrorKind(
    codes=frozenset({"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"}),
    reason="AWS refused the time of the request ({answer})",
    remedy="set the clock of this machine, best by letting its system keep the time",
)
NO_BUCKET = ErrorKind(
    codes=frozenset({"NoSuchBucket"}),
    reason="there is no bucket {bucket}",
    remedy="check its name and the region",
)
NO_OBJECT = ErrorKind(
    codes=frozenset({"404", "NoSuchKey", "NotFound"}),
    reason="there is no such object",
    remedy="check its name",
    job_remedy="check the bucket's folder",
)
OTHER_REGION = ErrorKind(
    codes=frozenset(
        {"301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
        | {"PermanentRedirect"}
    ),
    reason="the bucket is in another region ({code})",
    remedy="give that region as --region",
    job_remedy="set AWS_REGION_NAME to the bucket's region",
)
ARCHIVED = ErrorKind(
    codes=frozenset({"InvalidObjectState"}),
    reason="the object is archived, and cannot be read before it is restored, which takes hours",
    remedy="aws s3api restore-object --bucket {bucket} --key {key} --restore-request Days=14",
)
UNSIGNED_DENIED = ErrorKind(
    codes=frozenset(),
    reason="access denied to a request without credentials, and none were found here",
    remedy=LAPTOP_CREDENTIALS,
    job_remedy=JOB_CREDENTIALS,
)

#: AWS's words for a signature with a wrong time, whose code is that of a wrong key
WRONG_TIME = re.compile("signature (expired|not yet current)", re.IGNORECASE)

#: begins AWS's copy of the request, with the session token, in its answer to a wrong signature
CANONICAL_STRING = " The Canonical String"

#: no call will succeed with these credentials
CREDENTIAL_KINDS = (WRONG_CLOCK, CREDENTIALS, UNKNOWN_HERE)
KINDS = (THROTTLED, FAILING, DENIED, *CREDENTIAL_KINDS)
S3_KINDS = (*KINDS, NO_BUCKET, NO_OBJECT, OTHER_REGION, ARCHIVED, QUOTA, KMS_KEY)

#: Remedies for errors whose code says little, by words in AWS's message; the first match counts.
Hints = Sequence[tuple[tuple[str, ...], str]]

BATCH_HINTS: Hints = (
    (
        ("share identifier", "shareidentifier", "schedulingpriority"),
        "give --share-identifier and --priority on a fair-share queue, and neither on others",
    ),
    (
        ("queue",),
        "check --job-queue and --region: `aws batch describe-job-queues` lists the queues",
    ),
    (
        ("definition",),
        "check --job-definition and --region: "
        "`aws batch describe-job-definitions --status ACTIVE` lists the definitions",
    ),
    (("stack",), "check --stack and --region"),
)
RESOURCE_HINTS: Hints = (
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
STACK_HINTS: Hints = (
    *RESOURCE_HINTS,
    (("",), "the console of CloudFormation shows the events of the stack"),
)

#: in OpenSSL's words on a server whose certificate is not trusted
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"

#: the action in AWS's own sentence, like `... is not authorized to perform: batch:SubmitJob on ...`
ACTION = re.compile(r"perform: (?P<action>[\w-]+:\w+)")


@contextmanager
def translate_errors(
    operation: str,
    location: object = "",
    *,
    raises: type[CloudJobError] = AwsError,
    hints: Hints = BATCH_HINTS,
    unsigned: bool = False,
) -> Iterator[None]:
    """Raise botocore's errors as our own; see `explain`."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise explain(
            error, operation, location, raises=raises, hints=hints, unsigned=unsigned
        ) from error


def explain(
    error: Exception,
    operation: str,
    location: object = "",
    *,
    raises: type[CloudJobError] = AwsError,
    hints: Hints = BATCH_HINTS,
    unsigned: bool = False,
) -> CloudJobError:
    """Return the error to raise instead of botocore's.

    `operation` begins with a verb, like `submit the job`; `location` is that of a call to S3.
    `raises` is the container's error for what the user has to correct. A request was `unsigned` if
    it carried no credentials.
    """
    from botocore.exceptions import ClientError

    in_job = raises is not AwsError
    if isinstance(error, ClientError):
        code = error_code(error)
        message = one_line(error.response.get("Error", {}).get("Message"))
        message = message.partition(CANONICAL_STRING)[0].rstrip(".")
        kind = _kind(code, message, str(location), unsigned=unsigned)
        if kind is None:
            reason, retryable = message or code, False
            remedy = hint(message, hints) or f"see {error.operation_name} in AWS's API reference"
            if location:
                reason, remedy = f"S3 answered {code}: {message or 'no reason given'}", ""
        else:
            reason = _fill(kind.reason, code, message, location, error.operation_name)
            remedy = (in_job and kind.job_remedy) or kind.remedy
            if in_job and kind is DENIED and ACTION.search(message):
                remedy = "allow the job's role or user {action}"
            remedy = _fill(remedy, code, message, location, error.operation_name)
            retryable = kind.retryable
    else:
        reason, remedy, retryable = _explain_local(error, in_job=in_job)
    if in_job and retryable:
        return TransferError(operation, str(location), "S3", reason)
    what = f"cannot {operation} {location}".rstrip()
    text = f"{what}: {reason}; {remedy}" if remedy else f"{what}: {reason}"
    return raises(text) if in_job else AwsError(text, retryable=retryable)


translate_stack_errors = partial(translate_errors, hints=STACK_HINTS)


def refuse(
    code: str, message: str, operation: str, location: object, raises: type[CloudJobError]
) -> CloudJobError:
    """Return the container's error for an answer of S3 to another client than boto3."""
    from botocore.exceptions import ClientError

    answer = ClientError({"Error": {"Code": code, "Message": message}}, operation)
    return explain(answer, operation, location, raises=raises)


def explain_session(error: Exception) -> CloudJobError:
    """Return the container's error where no session with S3 can even begin."""
    if _is_late(error):
        return TransferError("get credentials for", "S3", "AWS", one_line(error))
    return SettingsError(
        f"no session with AWS can be opened: {one_line(error)}; check the AWS_ variables "
        "(AWS_ENDPOINT_URL is like http://host:9000, AWS_REGION_NAME like us-east-1) and the "
        "profile, if one is named"
    )


def error_code(error: Exception) -> str:
    """Return AWS's name of a ClientError, or the HTTP status where the answer had no body."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def hint(message: str, hints: Hints = RESOURCE_HINTS) -> str:
    """Return the remedy for a failure that AWS explains like this; empty where none is known."""
    if action := ACTION.search(message):
        return ALLOW_ACTION.format(action=action["action"])
    words = message.lower()
    return next((text for signs, text in hints if any(sign in words for sign in signs)), "")


def one_line(text: object) -> str:
    """Return somebody else's words as a part of a sentence."""
    return " ".join(str(text or "").split()).rstrip(".")


def _kind(code: str, message: str, location: str, *, unsigned: bool) -> ErrorKind | None:
    if WRONG_TIME.search(message):
        return WRONG_CLOCK
    if code in DENIED.codes and unsigned:
        return UNSIGNED_DENIED
    if code in DENIED.codes and location and not ACTION.search(message):
        return replace(DENIED, remedy=f"{ALLOW_ACTION}; {REQUESTER_PAYS}")
    if code in NO_OBJECT.codes and location and not _key(location):
        return NO_BUCKET
    kinds = S3_KINDS if location else KINDS
    return next((kind for kind in kinds if code in kind.codes), None)


def _key(location: str) -> str:
    return location.removeprefix("s3://").partition("/")[2]


def _fill(text: str, code: str, message: str, location: object, operation_name: str) -> str:
    action = ACTION.search(message)
    return text.format(
        code=code,
        answer=f"{code}: {message}" if message else code,
        action=action["action"] if action else f"the call {operation_name}",
        bucket=str(location).removeprefix("s3://").partition("/")[0],
        key=shlex.quote(_key(str(location))),
    )


def _explain_local(error: Exception, *, in_job: bool) -> tuple[str, str, bool]:
    """Return reason, remedy and retryable of an error that came before an answer of AWS."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    sentence = one_line(error)
    credentials = JOB_CREDENTIALS if in_job else LAPTOP_CREDENTIALS
    if isinstance(error, ResponseParserError):
        remedy = "check the network: a proxy or a login page may be in the way"
        return "the response is not from AWS", remedy, in_job
    if isinstance(error, exceptions.NoRegionError):
        remedy = "give --region, like us-east-1, or set AWS_DEFAULT_REGION"
        return "no AWS region is known", remedy, False
    if isinstance(error, exceptions.ProfileNotFound):
        return sentence, "`aws configure list-profiles` lists those on this machine", False
    if isinstance(error, exceptions.NoCredentialsError):
        return "no AWS credentials were found on this machine", credentials, False
    if isinstance(
        error,
        exceptions.PartialCredentialsError
        | exceptions.CredentialRetrievalError
        | exceptions.TokenRetrievalError
        | exceptions.SSOTokenLoadError
        | exceptions.UnauthorizedSSOTokenError,
    ):
        return sentence, credentials, in_job and _is_late(error)
    if isinstance(error, exceptions.SSLError) and UNTRUSTED in sentence and not in_job:
        remedy = (
            "on a network that inspects TLS, set AWS_CA_BUNDLE to a file with its certificates; "
            "anywhere else, do not go on"
        )
        return sentence, remedy, False
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return sentence, "check the network, and --region", True
    return sentence, "", in_job


def _is_late(error: Exception) -> bool:
    """Whether the machine's or the container's own credential service may only be late.

    A program of the user's own that fails to give credentials (`credential_process`) is not.
    """
    from botocore.exceptions import CredentialRetrievalError

    return (
        isinstance(error, CredentialRetrievalError)
        and error.kwargs.get("provider") != "custom-process"
    )
