"""The entries of a Zarr asset: listed, checked against the archive's checksum, and fetched.

The checksum is computed from the path, MD5 and size of each entry, so a listing that has the
archive's checksum proves each entry that has its MD5, also where only some are fetched.

Entries of a public Zarr are read from the archive's bucket, all by the same connections. Those of
an embargoed one each need a URL that the archive signs; it is asked for when its entry is fetched,
and again when it has expired.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

import requests

from spikeinterface_cloud.dandi.archive_assets import ArchiveZarr, ZarrStore, stated_digest
from spikeinterface_cloud.dandi.client import authenticate, connect, translate_errors
from spikeinterface_cloud.errors import RecordingError, SourceError

if TYPE_CHECKING:
    from dandi.dandiapi import DandiAPIClient
    from obstore.store import HTTPStore

    from spikeinterface_cloud.storage.remote_file import RemoteFile
    from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

#: entries on a page, the most that the archive gives
PAGE_SIZE = 1000

#: connections to the archive, as many as files are fetched at once
FILES_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class ZarrEntry:
    """One file of a Zarr asset."""

    #: below the Zarr
    path: str
    size_bytes: int
    etag: str


def remote_files(zarr: ArchiveZarr, *, timeouts: NetworkTimeouts | None = None) -> list[RemoteFile]:
    """Return all entries as `storage.download` takes them, each with its name and digest."""
    from spikeinterface_cloud.storage.remote_file import RemoteFile, file_name

    files = []
    place = _stores(zarr, timeouts)
    for entry in list_entries(zarr):
        url = f"{zarr.store.url}/{entry.path}"
        store, path = place(entry.path)
        file = RemoteFile(
            name=file_name(entry.path, url),
            size_bytes=entry.size_bytes,
            url=url,
            store=store,
            path=path,
            digest=stated_digest(url, entry.etag, entry.size_bytes),
            etag=entry.etag,
        )
        files.append(file)
    return files


def _stores(
    zarr: ArchiveZarr, timeouts: NetworkTimeouts | None
) -> Callable[[str], tuple[Callable[[], HTTPStore], str]]:
    """Return a function that gives the store of an entry, and the entry's path there."""
    from spikeinterface_cloud.storage.remote_file import http_store

    public = http_store(zarr.store.url, timeouts)
    sign = _signer(zarr) if zarr.embargoed else None

    def place(path: str) -> tuple[Callable[[], HTTPStore], str]:
        if sign is not None:
            return lambda: http_store(sign(path), timeouts), ""
        if "+" in path:  # S3 reads a bare one as a space, and obstore leaves it bare
            return lambda: http_store(f"{zarr.store.url}/{quote(path)}", timeouts), ""
        return lambda: public, path

    return place


def list_entries(zarr: ArchiveZarr) -> list[ZarrEntry]:
    """Return all entries of a Zarr, whose paths, MD5s and sizes have the archive's checksum.

    Raises SourceError where there are none or where they are being changed, RecordingError where
    the archive contradicts itself.
    """
    with _connected(zarr) as client:
        found: dict[str, ZarrEntry] = {}
        params = {"limit": PAGE_SIZE}
        for row in client.paginate(f"/zarr/{zarr.store.identifier}/files/", params=params):
            entry = ZarrEntry(path=row["Key"], size_bytes=int(row["Size"]), etag=row["ETag"])
            if entry.path in found:
                raise ValueError(f"{entry.path} is listed twice")
            found[entry.path] = entry
        entries = list(found.values())
        computed = checksum(entries)
        if computed != zarr.checksum:
            now = client.get(f"/zarr/{zarr.store.identifier}/")["checksum"]
            raise _other_checksum(zarr, computed, changed=now != zarr.checksum)
    if not entries:
        raise SourceError(f"{zarr} is a Zarr without files; ask the dandiset's owner to upload it")
    return entries


def checksum(entries: Sequence[ZarrEntry]) -> str:
    """Return the archive's checksum of a Zarr of these entries."""
    from zarr_checksum.tree import ZarrChecksumTree

    tree = ZarrChecksumTree()
    for entry in entries:
        tree.add_leaf(path=Path(entry.path), size=entry.size_bytes, digest=entry.etag)
    return str(tree.process().digest)


def _other_checksum(zarr: ArchiveZarr, computed: str, *, changed: bool) -> Exception:
    if changed:
        return SourceError(
            f"{zarr} was changed while its files were listed; run the job again when its upload "
            "is finished"
        )
    return RecordingError(
        f"{zarr} cannot be verified: its files have the checksum {computed}, and the archive "
        f"states {zarr.checksum}; ask the dandiset's owner to upload it again"
    )


@contextmanager
def _connected(zarr: ArchiveZarr) -> Iterator[DandiAPIClient]:
    with translate_errors(str(zarr)), connect(zarr.store.archive) as client:
        if zarr.store.api_key is not None:
            authenticate(client, zarr.store.api_key, str(zarr), SourceError)
        yield client


def _signer(zarr: ArchiveZarr) -> Callable[[str], str]:
    """Return a function that gets a signed URL of an entry, from any thread."""
    lock = threading.Lock()
    clients: list[DandiAPIClient] = []

    def sign(path: str) -> str:
        with lock:
            if not clients:
                clients.append(signing_client(zarr.store, f"{zarr}/{path}"))
        return sign_entry(clients[0], zarr.store, path, f"{zarr}/{path}")

    return sign


def signing_client(store: ZarrStore, subject: str) -> DandiAPIClient:
    """Return a client with the key, which keeps a connection for each of many threads."""
    assert store.api_key is not None
    with translate_errors(subject):
        client = connect(store.archive)
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=FILES_AT_ONCE)
        client.session.mount(client.api_url, adapter)
        authenticate(client, store.api_key, subject, SourceError)
        return client


def sign_entry(client: DandiAPIClient, store: ZarrStore, path: str, subject: str) -> str:
    """Return a URL of an entry, signed for some hours; a secret. Errors are about `subject`."""
    with translate_errors(subject):
        reply = client.request(
            "GET",
            f"/zarr/{store.identifier}/files/",
            params={"prefix": path, "download": "true"},
            json_resp=False,
            allow_redirects=False,
        )
        return str(urljoin(reply.url, reply.headers["Location"]))
