"""The client of the DANDI archive, adapted to a container.

By default it prompts for a key, searches keyrings, waits forever for a silent server, and shows
tracebacks. Here it gets a key only from the job, and its errors become the job's own.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import requests

from spikeinterface_cloud.errors import (
    CloudJobError,
    KeyNeeded,
    SettingsError,
    SourceError,
    TransferError,
)

if TYPE_CHECKING:
    from dandi.consts import DandiInstance
    from dandi.dandiapi import BaseRemoteAsset, DandiAPIClient
    from pydantic import SecretStr

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: seconds to open a connection to the archive, and to wait for a byte of its answer
REQUEST_TIMEOUT_S = (10, 60)

#: what the client's code raises of an answer that has another form than the archive's
BROKEN_ANSWER = (
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

TITLE = re.compile(r"<title>(?P<title>[^<]*)</title>", re.IGNORECASE)

#: characters of one of the client's log lines: it quotes whole error pages
LOGGED_CHARACTERS = 300


def connect(instance: DandiInstance) -> DandiAPIClient:
    """Return a client of the archive without a key; close it, or use it as a context."""
    from dandi.dandiapi import DandiAPIClient

    os.environ.setdefault("DANDI_NO_ET", "1")  # no request for newer versions
    client = DandiAPIClient(dandi_instance=instance)
    client.session.request = partial(client.session.request, timeout=REQUEST_TIMEOUT_S)
    return client


def asset_address(asset: BaseRemoteAsset, instance: DandiInstance) -> str:
    """Return the shortest name that finds an asset again."""
    from dandi.consts import known_instances

    api = instance.api.rstrip("/")
    dandiset = getattr(asset, "dandiset_id", None)
    if dandiset is None:
        return f"{api}/assets/{asset.identifier}/"
    version = asset.version_id
    if instance.name in known_instances:
        return f"dandi://{instance.name}/{dandiset}@{version}/{asset.path}"
    return f"{api}/dandisets/{dandiset}/versions/{version}/assets/?path={quote(asset.path)}"


def with_key_if_needed(
    url: str,
    instance: DandiInstance,
    api_key: SecretStr | None,
    action: Callable[[DandiAPIClient, SecretStr | None], Result],
    *,
    hides: bool = False,
) -> Result:
    """Call `action` without the key, and again with it where the archive requires one.

    `hides` says that the archive calls what is embargoed missing, as it does with Zarrs.
    """
    with translate_errors(url), connect(instance) as client:
        try:
            return action(client, None)
        except requests.HTTPError as error:
            status = None if error.response is None else error.response.status_code
            if status != HTTPStatus.UNAUTHORIZED and not (hides and status == HTTPStatus.NOT_FOUND):
                raise
        if api_key is None:
            doubt = "is not in the archive, or " if hides else ""
            raise KeyNeeded(
                f"{url} {doubt}is embargoed: set DANDI_API_KEY to a key that may read it"
            )
        logger.info("%s is embargoed: using DANDI_API_KEY at %s", url, client.api_url)
        authenticate(client, api_key, url, SourceError)
        return action(client, api_key)


def authenticate(
    client: DandiAPIClient, api_key: SecretStr, subject: str, raises: type[CloudJobError]
) -> None:
    """Send the key with each request to the archive, and check that the archive accepts it."""
    client.session.auth = KeyOfOneServer(api_key, client.api_url)
    try:
        client.get("/auth/token/")
    except requests.HTTPError as error:
        status = None if error.response is None else error.response.status_code
        if status == HTTPStatus.UNAUTHORIZED:
            raise raises(
                f"{subject}: the archive does not accept DANDI_API_KEY; copy the key again from "
                "your account's menu on the archive's page (each archive has its own)"
            ) from error
        if status == HTTPStatus.FORBIDDEN:
            raise raises(
                f"{subject}: the account of DANDI_API_KEY may not use the archive yet"
                f"{reason_of(error)}; log in on the archive's page to complete the account, or "
                "wait for its approval"
            ) from error
        raise


class KeyOfOneServer(requests.auth.AuthBase):
    """Adds the key to requests to one server: an answer may name others, as its next page."""

    def __init__(self, api_key: SecretStr, url: str) -> None:
        self._api_key = api_key
        self._server = urlsplit(url)[:2]

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the key."""
        if urlsplit(str(request.url))[:2] == self._server:
            request.headers["Authorization"] = f"token {self._api_key.get_secret_value()}"
        return request


def download_url(instance: DandiInstance, api_key: SecretStr | None, identifier: str) -> str:
    """Return a URL of an asset's bytes, signed for some hours; a secret where it is embargoed."""
    subject = f"asset {identifier}"
    with translate_errors(subject), connect(instance) as client:
        if api_key is not None:
            authenticate(client, api_key, subject, SourceError)
        path = f"/assets/{identifier}/download/"
        reply = client.request("HEAD", path, json_resp=False, allow_redirects=False)
        return str(urljoin(reply.url, reply.headers.get("Location", "")))


@contextmanager
def translate_errors(subject: str) -> Iterator[None]:
    """Raise the client's errors as our own, about `subject`."""
    from dandi.exceptions import NotFoundError

    try:
        with quiet_client():
            yield
    except CloudJobError:
        raise
    except NotFoundError as error:
        raise _missing(subject) from error
    except requests.HTTPError as error:
        raise _refusal(subject, error) from error
    except BROKEN_ANSWER as error:
        raise broken_answer(subject) from error
    except requests.RequestException as error:
        raise TransferError("look up", subject, "DANDI", describe_failure(error)) from error


def broken_answer(subject: str) -> SettingsError:
    """Return the error for a server whose answers are not those of an archive."""
    return SettingsError(
        f"{subject}: the server does not answer like a DANDI archive; check the address and "
        "DANDI_INSTANCE_URL, and whether a proxy or a login page is in the way"
    )


@contextmanager
def quiet_client() -> Iterator[None]:
    """Log the client's retries, a line each, and not the errors, which it also raises."""

    def pass_on(record: logging.LogRecord) -> bool:
        record.msg = " ".join(record.getMessage().split())[:LOGGED_CHARACTERS]
        record.args = ()
        return record.levelno < logging.ERROR

    client_logger = logging.getLogger("dandi")
    client_logger.addFilter(pass_on)
    try:
        yield
    finally:
        client_logger.removeFilter(pass_on)


def _refusal(subject: str, error: requests.HTTPError) -> CloudJobError:
    status = error.response.status_code if error.response is not None else None
    if is_retryable(error):
        return TransferError("look up", subject, "DANDI", f"the archive answered {status}")
    if status == HTTPStatus.UNAUTHORIZED:
        return SourceError(f"{subject} cannot be read: the archive does not accept DANDI_API_KEY")
    if status == HTTPStatus.FORBIDDEN:
        return SourceError(
            f"{subject} may not be read by the owner of DANDI_API_KEY; ask an owner of the "
            "dandiset to add that account"
        )
    if status == HTTPStatus.NOT_FOUND:
        return _missing(subject)
    return SourceError(
        f"{subject} cannot be read: the archive answered {status}{reason_of(error)}; check the name"
    )


def reason_of(error: requests.HTTPError) -> str:
    """Return what the archive gave as reason, in parentheses; empty where it gave none.

    It answers with objects, lists, and bare texts in JSON, and with pages in HTML.
    """
    if error.response is None:
        return ""
    try:
        words = " ".join(_texts_in(error.response.json()))
    except (ValueError, RecursionError):
        title = TITLE.search(error.response.text)
        words = title["title"] if title else ""
    words = " ".join(re.sub(r"[^\x20-\x7e]+", " ", words).split())[:LOGGED_CHARACTERS]
    return f" ({words.rstrip('.')})" if words else ""


def _texts_in(content: object) -> Iterator[str]:
    match content:
        case str():
            yield content
        case list():
            for each in content:
                yield from _texts_in(each)
        case dict():
            for name, each in content.items():
                if name not in ("detail", "non_field_errors"):
                    yield f"{name}:"
                yield from _texts_in(each)


def _missing(subject: str) -> SourceError:
    return SourceError(
        f"{subject} is not in the archive; check the dandiset, its version, and the asset's path"
    )


def is_retryable(error: requests.RequestException) -> bool:
    """Return whether another attempt may succeed: no answer, or an overloaded server."""
    status = None if error.response is None else error.response.status_code
    return status is None or status == 429 or status >= 500


def describe_failure(error: requests.RequestException) -> str:
    """Describe a request that got no answer, or a bad one."""
    host = "the archive" if error.request is None else urlsplit(str(error.request.url)).netloc
    if error.response is not None:
        return f"{host} answered {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"{host} did not answer in time"
    return f"no connection to {host}"
