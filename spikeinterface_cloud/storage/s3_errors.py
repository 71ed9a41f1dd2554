"""What a refusal of S3 means to the user: each of botocore's errors as one line with its remedy and
its exit code."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import CloudJobError, SettingsError, TransferError

CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
#: what a write is answered whose condition does not hold
CHANGED = frozenset({"412", "409", "PreconditionFailed", "ConditionalRequestConflict"})
NO_CONDITIONS = frozenset({"501", "NotImplemented"})
DENIED = frozenset({"401", "403", "AccessDenied", "AllAccessDisabled", "Forbidden", "Unauthorized"})
ELSEWHERE = frozenset(
    {
        "301",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
    }
)
OVERLOADED = frozenset(
    {
        "429",
        "500",
        "502",
        "503",
        "504",
        "InternalError",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)

CREDENTIALS_REMEDY = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
    "(and AWS_SESSION_TOKEN when they are temporary), "
    "or better leave them out and give the job a role"
)


def error_code(error: ClientError) -> str:
    """S3's own name of an error, or the HTTP status where the answer had no body, as to a HEAD."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explain(
    error: ClientError | BotoCoreError,
    operation: str,
    location: S3Location,
    refusal: type[CloudJobError],
    *,
    unsigned: bool = False,
) -> CloudJobError:
    """The error to raise instead of botocore's: `refusal` for what the user has to mend,
    TransferError for the network.

    `operation` is a verb, like `read`.
    """
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)) or is_own_fault(error):
        return refusal(f"cannot {operation} {location}: {_sentence(error)}; {CREDENTIALS_REMEDY}")
    if not isinstance(error, ClientError):
        return TransferError(operation, str(location), "S3", _sentence(error))
    code = error_code(error)
    if code in OVERLOADED:
        return TransferError(operation, str(location), "S3", f"the server answered {code}")
    return refusal(
        f"cannot {operation} {location}: {_reason(code, error, location, unsigned=unsigned)}"
    )


def is_own_fault(error: Exception) -> bool:
    """Whether credentials could not be had because of what the user has set up: a program of his
    own that gives them. The machine's or the container's own service may only be late."""
    if not isinstance(error, CredentialRetrievalError):
        return False
    return bool(error.kwargs.get("provider") == "custom-process")


def explain_session(error: Exception) -> CloudJobError:
    """The error to raise where no session with S3 can even begin."""
    if isinstance(error, CredentialRetrievalError) and not is_own_fault(error):
        return TransferError("get credentials for", "S3", "AWS", _sentence(error))
    return SettingsError(
        f"AWS cannot be asked for anything: {_sentence(error)}; check the AWS_ variables "
        "(AWS_ENDPOINT_URL is like http://host:9000, AWS_REGION_NAME like us-east-1) and the "
        "profile, if one is named"
    )


def _reason(code: str, error: ClientError, location: S3Location, *, unsigned: bool) -> str:
    if code in CREDENTIALS:
        return f"S3 refused the credentials ({code}); {CREDENTIALS_REMEDY}"
    if code == "NoSuchBucket" or (code in MISSING and not location.key):
        return f"there is no bucket {location.bucket}; check its name and the region"
    if code in MISSING:
        return "there is no such object; check the bucket's folder"
    if code in DENIED and unsigned:
        return (
            "access denied to a request without credentials, and none were found here; "
            f"{CREDENTIALS_REMEDY}"
        )
    if code in DENIED:
        return (
            f"access denied ({code}); allow the job's role or user s3:ListBucket on the bucket "
            "and s3:GetObject (for results s3:PutObject) on its objects"
        )
    if code in ELSEWHERE:
        return (
            f"the bucket is in another region ({code}); set AWS_REGION_NAME to the bucket's region"
        )
    return (
        f"S3 answered {code}: {error.response.get('Error', {}).get('Message', 'no reason given')}"
    )


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
