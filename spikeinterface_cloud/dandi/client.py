"""The client of the DANDI archive, adapted to a container.

By default it prompts for a key, searches keyrings, waits forever for a silent server, and shows
tracebacks. Here it gets a key only from the job, and its errors become the job's own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import requests

from spikeinterface_cloud.errors import (
    CloudJobError,
    SettingsError,
    SourceError,
    TransferError,
    UnavailableError,
)

if TYPE_CHECKING:
    from dandi.consts import DandiInstance
    from dandi.dandiapi import BaseRemoteAsset, DandiAPIClient
    from dandi.dandiarchive import ParsedDandiURL
    from pydantic import SecretStr

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

NWB_SUFFIX = ".nwb"

#: seconds to open a connection to the archive, and to wait for a byte of its answer
REQUEST_TIMEOUT_S = (10, 60)

#: characters of one of the client's log lines: it quotes whole error pages
LOGGED_CHARACTERS = 300


def parse_archive_url(url: str) -> ParsedDandiURL:
    """Find out which archive `url` is on, and which dandiset or asset it names."""
    from dandi.dandiarchive import parse_dandi_url
    from dandi.exceptions import CliVersionError, UnknownURLError

    try:
        with quiet_client():
            return parse_dandi_url(url)
    except UnknownURLError as error:
        raise SettingsError(
            f"{url} is on no archive that is known: {_first_line(error)}"
        ) from error
    except CliVersionError as error:
        raise UnavailableError(f"{url} cannot be read: {error}; use a newer image") from error
    except RuntimeError as error:
        cause = error.__context__
        if isinstance(cause, requests.RequestException) and is_retryable(cause):
            raise TransferError("look up", url, "DANDI", describe_failure(cause)) from error
        raise SettingsError(
            f"{url} is not on a DANDI archive: its server does not say that it is one; "
            "check the address"
        ) from error


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
    parsed: ParsedDandiURL,
    api_key: SecretStr | None,
    action: Callable[[DandiAPIClient, SecretStr | None], Result],
) -> Result:
    """Call `action` without the key, and again with it where the archive requires one."""
    with translate_errors(url), connect(parsed.instance) as client:
        try:
            return action(client, None)
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code != HTTPStatus.UNAUTHORIZED:
                raise
        if api_key is None:
            raise SourceError(f"{url} is embargoed: set DANDI_API_KEY to a key that may read it")
        logger.info("%s is embargoed: using DANDI_API_KEY at %s", url, client.api_url)
        client.authenticate(api_key.get_secret_value())
        return action(client, api_key)


def download_url(instance: DandiInstance, api_key: SecretStr | None, identifier: str) -> str:
    """Return a URL of an asset's bytes, signed for some hours; a secret where it is embargoed."""
    with translate_errors(f"asset {identifier}"), connect(instance) as client:
        if api_key is not None:
            client.authenticate(api_key.get_secret_value())
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
    except NotFoundError as error:
        raise _missing(subject) from error
    except requests.HTTPError as error:
        raise _refusal(subject, error) from error
    except requests.RequestException as error:
        raise TransferError("look up", subject, "DANDI", describe_failure(error)) from error


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
    if status == 401:
        return SourceError(
            f"{subject} cannot be read: the archive does not accept DANDI_API_KEY; copy the "
            "key again from your account's menu on the archive's page (each archive has its own)"
        )
    if status == 403:
        return SourceError(
            f"{subject} may not be read by the owner of DANDI_API_KEY; ask an owner of the "
            "dandiset to add that account"
        )
    if status == 404:
        return _missing(subject)
    return SourceError(f"{subject} cannot be read: the archive answered {status}; check the name")


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


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n", maxsplit=1)[0].split()).rstrip(".")
