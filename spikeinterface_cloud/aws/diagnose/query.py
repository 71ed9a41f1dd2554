"""Calls to AWS that this user may not be allowed to make, or that a server does not support.

A `query` raises Unavailable if AWS gives no reply, and AwsError if credentials or region are
missing or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial, wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from spikeinterface_cloud.aws.diagnose.finding import Unavailable
from spikeinterface_cloud.aws_errors import CREDENTIAL_KINDS, DENIED, error_code, explain

if TYPE_CHECKING:
    from botocore.client import BaseClient

P = ParamSpec("P")
T = TypeVar("T")

#: longer ones are cut: a page of HTML does not fit into a table
REASON_LENGTH = 160


def fact(find: Callable[P, T]) -> Callable[P, T | Unavailable]:
    """Make a function of queries return Unavailable, rather than raise it."""

    @wraps(find)
    def found(*args: P.args, **kwargs: P.kwargs) -> T | Unavailable:
        try:
            return find(*args, **kwargs)
        except Unavailable as unavailable:
            return unavailable

    return found


def query(method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return AWS's reply to a client's method."""
    reply = query_optional((), method, *args, **kwargs)
    assert reply is not None
    return reply


def query_optional(
    absent: Collection[str], method: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T | None:
    """Return AWS's reply, or None if AWS answers with one of the error codes `absent`."""
    bound = cast(MethodType, method)
    client = cast("BaseClient", bound.__self__)
    return _call(client, bound.__name__, partial(method, *args, **kwargs), absent)


def query_pages(
    client: BaseClient, operation: str, key: str, absent: Collection[str] = (), **kwargs: Any
) -> list[Any]:
    """Return the entries of all pages under `key`; none for one of the error codes `absent`."""
    pages = client.get_paginator(operation).paginate

    def entries() -> list[Any]:
        return [entry for page in pages(**kwargs) for entry in page.get(key, ())]

    return _call(client, operation, entries, absent) or []


def _call(
    client: BaseClient, operation: str, call: Callable[[], T], absent: Collection[str]
) -> T | None:
    """Call a method; its permission is named as in IAM, like `ec2:DescribeSubnets`."""
    service, action = client.meta.service_model.signing_name, client.meta.method_to_api_mapping
    permission = f"{service}:{action[operation]}"
    try:
        return call()
    except (ClientError, ConnectionError, HTTPClientError, ResponseParserError) as error:
        code = error_code(error)
        if code and code in absent:
            return None
        if any(code in kind.codes for kind in CREDENTIAL_KINDS):
            raise explain(error, f"call {permission}") from error
        reason = " ".join(str(error).split())
        if len(reason) > REASON_LENGTH:
            reason = f"{reason[:REASON_LENGTH]}..."
        denied = code in DENIED.codes
        raise Unavailable(permission=permission, reason=reason, denied=denied) from error
    except BotoCoreError as error:
        raise explain(error, f"call {permission}") from error
