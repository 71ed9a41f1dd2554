"""Asking AWS something that this user may not see, or that this server cannot answer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from spikeinterface_cloud.aws.diagnose.finding import Seen, Unavailable
from spikeinterface_cloud.aws_errors import CREDENTIALS, DENIED, error_code, explain

T = TypeVar("T")

#: a page of HTML is no reason that fits a table
REASON_LENGTH = 160


def ask(permission: str, call: Callable[[], T], absent: Collection[str] = ()) -> Seen[T | None]:
    """The answer of AWS; None where the error is one of `absent`, the thing not being there.

    Parameters
    ----------
    permission
        what IAM calls the call, like `ec2:DescribeSubnets`

    Raises
    ------
    AwsError
        Nobody could be asked: credentials or region are missing, or refused.
    """
    try:
        return call()
    except ClientError as error:
        code = error_code(error)
        if code in absent:
            return None
        if code in CREDENTIALS.codes:
            raise explain(error, f"call {permission}") from error
        return Unavailable(
            permission=permission, reason=_reason(error), denied=code in DENIED.codes
        )
    except (ConnectionError, HTTPClientError, ResponseParserError) as error:
        return Unavailable(permission=permission, reason=_reason(error), denied=False)
    except BotoCoreError as error:
        raise explain(error, f"call {permission}") from error


def ask_for(permission: str, call: Callable[[], T]) -> Seen[T]:
    """The answer of AWS to a call that answers with an empty list where there is nothing."""
    answer = ask(permission, call)
    assert answer is not None
    return answer


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= REASON_LENGTH else f"{text[:REASON_LENGTH]}..."
