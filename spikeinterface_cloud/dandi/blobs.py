"""Send the bytes of a file to an archive's store, with an end to every wait.

The archive's client does the same, but waits for ever for a store that falls silent.
"""

from __future__ import annotations

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from spikeinterface_cloud.dandi.client import reason_of
from spikeinterface_cloud.errors import TransferError
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

if TYPE_CHECKING:
    from dandi.dandiapi import DandiAPIClient

logger = logging.getLogger(__name__)

PARTS_AT_ONCE = 4

#: answers about an upload that is unknown, unfinished, or equal to one that was finished meanwhile,
#: as by a request whose answer was lost
BEGIN_AGAIN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})


def send_blob(
    client: DandiAPIClient, dandiset: str, file: Path, etag: str, timeouts: NetworkTimeouts
) -> str:
    """Send the file unless the archive has its bytes already; return the identifier of the blob."""
    reason = ""
    for _ in range(2):
        upload = _begin(client, dandiset, file.stat().st_size, etag)
        if isinstance(upload, str):
            return upload
        try:
            return _send(client, upload, file, timeouts)
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code not in BEGIN_AGAIN:
                raise
            reason = reason_of(error)
            logger.warning("%s: the archive does not have it as it was sent%s", file.name, reason)
    raise TransferError(
        "upload", file.name, "DANDI", f"the archive does not have it as it was sent, twice{reason}"
    )


def _begin(
    client: DandiAPIClient, dandiset: str, size_bytes: int, etag: str
) -> str | dict[str, Any]:
    """Return the parts to send, or the identifier of the blob that has these bytes already."""
    request = {
        "contentSize": size_bytes,
        "digest": {"algorithm": "dandi:dandi-etag", "value": etag},
        "dandiset": dandiset,
    }
    try:
        return dict(client.post("/uploads/initialize/", json=request))
    except requests.HTTPError as error:
        if error.response is None or error.response.status_code != HTTPStatus.CONFLICT:
            raise
        return str(error.response.headers["Location"])


def _send(
    client: DandiAPIClient, upload: dict[str, Any], file: Path, timeouts: NetworkTimeouts
) -> str:
    from dandi.dandiapi import RESTFullAPIClient

    address = f"/uploads/{upload['upload_id']}"
    with RESTFullAPIClient(client.api_url) as store:
        store.session.request = partial(
            store.session.request, timeout=(timeouts.stall_s, timeouts.give_up_s)
        )
        with ThreadPoolExecutor(PARTS_AT_ONCE) as threads:
            parts = list(threads.map(partial(_send_part, store, file), _placed(upload["parts"])))
        completion = client.post(f"{address}/complete/", json={"parts": parts})
        store.post(completion["complete_url"], data=completion["body"], json_resp=False)
    return str(client.post(f"{address}/validate/")["blob_id"])


def _placed(parts: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Return the parts, each with the position of its first byte."""
    placed, start = [], 0
    for part in sorted(parts, key=lambda part: int(part["part_number"])):
        placed.append((start, part))
        start += part["size"]
    return placed


def _send_part(store: Any, file: Path, placed: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """Send one part; of a stream each piece has the timeout, of bytes all of them together."""
    start, part = placed
    with file.open("rb") as stream:
        stream.seek(start)
        content = io.BytesIO(stream.read(part["size"]))
    reply = store.put(
        part["upload_url"],
        data=content,
        json_resp=False,
        retry_statuses=[HTTPStatus.INTERNAL_SERVER_ERROR],
    )
    return {
        "part_number": part["part_number"],
        "size": part["size"],
        "etag": reply.headers["ETag"].strip('"'),
    }
