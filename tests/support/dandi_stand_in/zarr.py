"""The archive's Zarr assets: their entries, their checksum, and the API's two addresses of them.

What of the real archive is not modelled:

- a Zarr is filled through an API of its own; here a folder is one, whose files are read at each
  request, so that a test changes them on disk;
- the archive computes the checksum some minutes after an upload; here `ingested` says whether it
  has, and one that is computed stays, whatever happens to the files;
- the listing of an embargoed Zarr: versions of the archive until 2026 answer it, and sign URLs, for
  everybody who knows the identifier; here it is 404, as the Zarr itself is;
- entries uploaded in parts, whose ETag is no MD5;
- the public bucket's own listing (ListObjectsV2), which has what `files/` has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from zarr_checksum import compute_zarr_checksum
from zarr_checksum.generators import yield_files_local

from tests.support.dandi_stand_in.handler import Handler, Refusal
from tests.support.dandi_stand_in.records import OWNER_KEY

if TYPE_CHECKING:
    from tests.support.dandi_stand_in.records import Asset

#: the most entries on a page
MOST = 1000

MODIFIED = "2024-01-02T03:04:05Z"

TRUE = ("true", "True", "1", "t", "yes", "on")


class ZarrSummary(NamedTuple):
    """What the archive computes of a Zarr."""

    checksum: str
    n_files: int
    size_bytes: int


def summarize(folder: Path) -> ZarrSummary:
    """Return checksum, number of files and size, by the archive's own package."""
    found = compute_zarr_checksum(yield_files_local(folder))
    return ZarrSummary(str(found.digest), found.count, found.size)


def entry_names(folder: Path) -> Iterator[str]:
    """Yield the paths of all files, in the order of S3's keys."""
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    yield from sorted(names, key=str.encode)


def entry_etag(file: Path) -> str:
    """Return the MD5 of a file, computed again when it changes."""
    status = file.stat()
    return _md5(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _md5(file: Path, *_: int) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


class ZarrHandler(Handler):
    """The API's answers about Zarrs."""

    def zarr(self, zarr: str) -> None:
        """A Zarr by its identifier."""
        asset = self._visible_zarr(zarr)
        checksum = asset.digests["dandi:dandi-zarr-checksum"]
        described = summarize(asset.folder) if asset.folder and checksum else None
        body = {
            "name": asset.path,
            "dandiset": asset.dandiset,
            "zarr_id": zarr,
            "status": "Complete" if checksum else "Pending",
            "checksum": checksum,
            "file_count": described.n_files if described else 0,
            "size": asset.size_bytes if checksum else 0,
        }
        self.send_json(200, body)

    def zarr_files(self, zarr: str) -> None:
        """A page of entries, or a redirect to one."""
        asset = self._visible_zarr(zarr)
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        limit = query.get("limit", str(MOST))
        if not limit.isdecimal():
            raise Refusal(400, {"limit": ["A valid integer is required."]})
        if int(limit) > MOST:
            raise Refusal(400, {"limit": [f"Ensure this value is less than or equal to {MOST}."]})
        prefix = query.get("prefix", "").lstrip("/")
        if self.command == "HEAD" or query.get("download") in TRUE:
            key = f"{asset.key}/{prefix}"
            url = self.archive.sign(key, self.command)
            self.send(302, {"Location": url})
            return
        results, after = _page(asset, query, int(limit))
        following = urlencode(query | {"after": after})
        server = self.archive.next_pages_at or self.archive.url
        self.send_json(
            200,
            {
                "next": f"{server}{address.path}?{following}" if after is not None else None,
                "results": results,
            },
        )

    def _visible_zarr(self, zarr: str) -> Asset:
        """Return the first asset of the Zarr, which named it; 404 if it is not visible."""
        closed = self.archive.embargoed | self.archive.locked
        for asset in [*self.archive.replaced, *self.archive.assets]:
            if asset.is_zarr and asset.content == zarr:
                if asset.dandiset in closed and self.user != OWNER_KEY:
                    break
                return asset
        raise Refusal(404, "Not found.")


def _page(
    asset: Asset, query: Mapping[str, str], limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the entries of a page, and the last one if there are more.

    The prefix is a prefix of the text, and loses a closing slash, as in the real archive.
    """
    prefix = query.get("prefix", "").strip("/")
    after = query.get("after", "").strip("/")
    names = [
        name
        for name in (entry_names(asset.folder) if asset.folder else ())
        if name.startswith(prefix) and name.encode() > after.encode()
    ]
    shown = names[:limit]
    results = []
    for name in shown:
        assert asset.folder is not None
        file = asset.folder / name
        results.append(
            {
                "Key": name,
                "LastModified": MODIFIED,
                "ETag": entry_etag(file),
                "Size": file.stat().st_size,
            }
        )
    return results, shown[-1] if shown and len(names) > limit else None
