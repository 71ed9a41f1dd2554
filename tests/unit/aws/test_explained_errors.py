"""What an error of AWS means to its user: its cause, its remedy, and whether to try again."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    UnauthorizedSSOTokenError,
)

from spikeinterface_cloud.aws_errors import AwsError, explain
from spikeinterface_cloud.errors import SourceError


def client_error(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "SubmitJob")


@pytest.mark.parametrize(
    ("error", "message", "retryable"),
    [
        (client_error("TooManyRequestsException", ""), "the server is throttling", True),
        (
            client_error("ServerException", "oops"),
            "failed (ServerException: oops)",
            True,
        ),
        (client_error("AccessDenied", "no"), "allow you the call SubmitJob", False),
        (
            EndpointConnectionError(endpoint_url="https://batch.mars-1.amazonaws.com"),
            'Could not connect to the endpoint URL: "https://batch.mars-1.amazonaws.com"; check',
            True,
        ),
        (ReadTimeoutError(endpoint_url="https://batch"), "Read timeout on endpoint URL", True),
        (NoCredentialsError(), "no AWS credentials were found", False),
        (UnauthorizedSSOTokenError(), "`aws sso login`", False),
    ],
)
def test_botocore_errors_are_translated(error: Exception, message: str, retryable: bool) -> None:
    refusal = explain(error, "submit the job")
    assert isinstance(refusal, AwsError)
    assert str(refusal).startswith("cannot submit the job: ")
    assert message in str(refusal)
    assert refusal.retryable is retryable
    assert refusal.exit_code == 1


EXPIRED = "Signature expired: 20261127T101500Z is now earlier than 20261128T091500Z"
EARLY = "Signature not yet current: 20261128T101500Z is still later than 20261128T092000Z"
SKEWED = "The difference between the request time and the current time is too large."
UNKNOWN_TOKEN = "The security token included in the request is invalid."
ANY_REGION = "a region that the account has not enabled answers the same: check --region"


@pytest.mark.parametrize(
    ("code", "said", "remedy"),
    [
        ("InvalidSignatureException", EXPIRED, "set the clock of this machine"),
        ("SignatureDoesNotMatch", EARLY, "set the clock of this machine"),
        ("RequestTimeTooSkewed", SKEWED, "set the clock of this machine"),
        ("RequestExpired", "Request has expired.", "set the clock of this machine"),
        ("SignatureDoesNotMatch", "The signatures differ.", "`aws sso login`"),
        ("UnrecognizedClientException", UNKNOWN_TOKEN, ANY_REGION),
        ("InvalidClientTokenId", UNKNOWN_TOKEN, ANY_REGION),
        ("InvalidToken", "The provided token is malformed.", ANY_REGION),
        ("AuthFailure", "AWS was not able to validate the credentials.", ANY_REGION),
        ("OptInRequired", "You are not subscribed to this service.", ANY_REGION),
    ],
)
@pytest.mark.parametrize("location", ["", "s3://lab-data/raw"])
def test_refused_credentials_show_the_sentence_of_aws_and_their_cause(
    location: str, code: str, said: str, remedy: str
) -> None:
    message = str(explain(client_error(code, said), "read" if location else "ask", location))
    assert f"({code}: {said.rstrip('.')})" in message
    assert remedy in message
    in_job = str(explain(client_error(code, said), "read", "s3://b/k", raises=SourceError))
    assert said.rstrip(".") in in_job
    assert "--region" not in in_job


def test_session_token_in_the_answer_of_aws_is_not_shown() -> None:
    said = (
        "The signatures differ.\n\nThe Canonical String for this request should have been\n"
        "'POST\n/\n\nhost:logs\nx-amz-security-token:IQoJb3Jp\n'"
    )
    message = str(explain(client_error("InvalidSignatureException", said), "ask"))
    assert "(InvalidSignatureException: The signatures differ); run" in message
    assert "IQoJb3Jp" not in message


@pytest.mark.parametrize("operation", ["GetLogEvents", "GetCallerIdentity", "GetSecretValue"])
def test_remedy_of_an_unknown_error_names_its_own_call(operation: str) -> None:
    error = ClientError({"Error": {"Code": "NewException", "Message": "Something new."}}, operation)
    message = str(explain(error, "ask"))
    assert message == f"cannot ask: Something new; see {operation} in AWS's API reference"
