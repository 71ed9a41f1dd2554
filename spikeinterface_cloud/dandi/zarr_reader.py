"""Single entries of Zarr assets, such as their metadata, without listing the assets.

A laptop with the archive's client reads them: this needs no other package.
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

import requests
from urllib3 import Retry

from spikeinterface_cloud.dandi.client import REQUEST_TIMEOUT_S, describe_failure, is_retryable
from spikeinterface_cloud.dandi.zarr_entries import FILES_AT_ONCE, sign_entry, signing_client
from spikeinterface_cloud.errors import RecordingError, SourceError, UnavailableError

if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from dandi.dandiapi import DandiAPIClient

    from spikeinterface_cloud.dandi.archive_assets import ZarrStore

#: more bytes than metadata have
MOST_BYTES = 64 * 2**20

BLOCK_BYTES = 2**20

RETRIES = Retry(
    total=3, backoff_factor=0.2, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
)


class ZarrReader:
    """Reads entries from any thread, over connections that are kept."""

    def __init__(self) -> None:
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            adapter = requests.adapters.HTTPAdapter(max_retries=RETRIES, pool_maxsize=FILES_AT_ONCE)
            self._session.mount(scheme, adapter)
        #: with the key, by the URLs of their archives
        self._clients: dict[str, DandiAPIClient] = {}
        self._lock = threading.Lock()

    def read(self, store: ZarrStore, path: PurePosixPath) -> bytes:
        """Return the content of one entry, which is small.

        Raises
        ------
        SourceError
            if it may not be read, or is not there
        RecordingError
            if it is not small
        UnavailableError, TransferError
            if the archive or its bucket does not answer
        """
        url = f"{store.url}/{quote(str(path))}"
        if store.api_key is not None:
            url = sign_entry(self._client(store), store, str(path), str(path))
        try:
            with self._session.get(url, stream=True, timeout=REQUEST_TIMEOUT_S) as reply:
                reply.raise_for_status()
                content = bytearray()
                for block in reply.iter_content(BLOCK_BYTES):
                    content += block
                    if len(content) > MOST_BYTES:
                        raise RecordingError(f"its {path} is too large for metadata")
        except requests.RequestException as error:
            reason = describe_failure(error)
            if is_retryable(error):
                raise UnavailableError(reason) from error
            if getattr(error.response, "status_code", None) == HTTPStatus.NOT_FOUND:
                raise SourceError(f"it has no {path}") from error
            raise SourceError(f"its {path} cannot be read: {reason}") from error
        return bytes(content)

    def _client(self, store: ZarrStore) -> DandiAPIClient:
        with self._lock:
            url = store.archive.api
            if url not in self._clients:
                self._clients[url] = signing_client(store, f"Zarr {store.identifier}")
            return self._clients[url]
