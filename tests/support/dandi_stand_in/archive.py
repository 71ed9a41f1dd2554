"""The stand-in's content, URLs and faults, as tests use them."""

import functools
import hashlib
import tempfile
import threading
import uuid
from dataclasses import dataclass, replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, urlencode

from dandischema.digests.dandietag import DandiETag
from pydantic import SecretStr

from spikeinterface_cloud.config.settings import DandiAccess
from tests.support.dandi_stand_in.api import ApiHandler
from tests.support.dandi_stand_in.records import BUCKET, Asset, Fault, Request, ServerName
from tests.support.dandi_stand_in.store import StoreHandler
from tests.support.dandi_stand_in.uploads import Uploads
from tests.support.dandi_stand_in.zarr import summarize


@dataclass(kw_only=True)
class PlannedFault:
    """A fault waiting for its requests."""

    fault: Fault
    after: int
    times: int
    methods: tuple[str, ...]


class DandiStandIn:
    """The archive; a context manager that serves while entered."""

    def __init__(self, *, api_port: int = 0) -> None:
        """Bind free ports, or the given one, without serving yet."""
        self.assets: list[Asset] = []
        #: those that have left a draft, and that only their identifiers still find
        self.replaced: list[Asset] = []
        #: dandisets without an asset
        self.empty: set[str] = set()
        self.embargoed: set[str] = set()
        #: set when requests that stall may end
        self.closing = threading.Event()
        #: dandisets being unembargoed, which their owners may read and nobody may change
        self.locked: set[str] = set()
        self.requests: list[Request] = []
        #: the server that further pages of lists are said to be at; None: this one
        self.next_pages_at: str | None = None
        #: valid signatures, each with the key of its object
        self.signatures: dict[str, str] = {}
        #: those that serve for HEAD, and not for GET
        self.head_signatures: set[str] = set()
        self._folder = tempfile.TemporaryDirectory()
        self.uploads = Uploads(self, Path(self._folder.name))
        self._faults: dict[ServerName, list[PlannedFault]] = {"api": [], "store": []}
        self._lock = threading.Lock()
        self._servers = {
            name: ThreadingHTTPServer(("127.0.0.1", port), functools.partial(handler, self))
            for name, port, handler in (("api", api_port, ApiHandler), ("store", 0, StoreHandler))
        }
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            for server in self._servers.values()
        ]

    def __enter__(self) -> "DandiStandIn":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        """URL of the web application, which the API's server also answers."""
        return f"http://127.0.0.1:{self._servers['api'].server_port}"

    @property
    def api_url(self) -> str:
        """URL of the API."""
        return f"{self.url}/api"

    def access(self, key: str | None = None) -> DandiAccess:
        """Return the settings that name this archive as one that gets the key."""
        return DandiAccess(api_key=SecretStr(key) if key else None, instance_url=self.api_url)

    def variables(self, asset: Asset) -> dict[str, str]:
        """Return the variables of a job whose source is the asset."""
        return {
            "DANDISET_S3_FILE_URL": self.asset_url(asset),
            "DANDI_INSTANCE_URL": self.api_url,
        }

    @property
    def store_url(self) -> str:
        """URL of the blob store: an S3 endpoint of one bucket without signatures."""
        return f"http://127.0.0.1:{self._servers['store'].server_port}"

    def add_dandiset(self, dandiset: str) -> str:
        """Create an empty draft; return its API URL."""
        self.empty.add(dandiset)
        return f"{self.api_url}/dandisets/{dandiset}/"

    def add_asset(
        self,
        dandiset: str,
        path: str,
        file: Path,
        *,
        version: str = "draft",
        embargoed: bool = False,
        sha256: bool = True,
    ) -> Asset:
        """Add a file to a dandiset without copying it; an embargo covers the whole dandiset."""
        digests = {"dandi:dandi-etag": DandiETag.from_file(file).as_str()}
        if sha256:
            with file.open("rb") as stream:
                digests["dandi:sha2-256"] = hashlib.file_digest(stream, "sha256").hexdigest()
        asset = Asset(
            dandiset=dandiset,
            version=version,
            path=path,
            file=file,
            size_bytes=file.stat().st_size,
            digests=digests,
        )
        return self._add(asset, embargoed)

    def publish(self, dandiset: str, version: str) -> list[Asset]:
        """Publish the draft: the assets are the same ones, with the same identifiers.

        The real archive publishes no dandiset with a Zarr (ValueError here, 400 there). Those of
        other archives may: give `add_zarr` a version.
        """
        draft = [
            each for each in self.assets if (each.dandiset, each.version) == (dandiset, "draft")
        ]
        if any(each.is_zarr for each in draft):
            raise ValueError("Cannot publish dandisets which contain zarrs")
        published = [replace(each, version=version) for each in draft]
        self.assets += published
        return published

    def compute_sha256(self) -> None:
        """Compute the digests that uploads lack at first, as the archive does some time later."""
        for asset in self.assets:
            if asset.file is not None:
                sha256 = hashlib.sha256(asset.file.read_bytes()).hexdigest()
                asset.digests.setdefault("dandi:sha2-256", sha256)

    def add_zarr(
        self,
        dandiset: str,
        path: str,
        folder: Path | None = None,
        *,
        version: str = "draft",
        embargoed: bool = False,
        ingested: bool = True,
    ) -> Asset:
        """Add a Zarr to a dandiset without copying it, or just a name without entries.

        The checksum is that of the files as they are now; None if it is not `ingested`.
        """
        checksum, _, size_bytes = (
            summarize(folder) if folder else ("0123456789abcdef0123456789abcdef-1--1", 1, 1)
        )
        asset = Asset(
            dandiset=dandiset,
            version=version,
            path=path,
            file=None,
            folder=folder,
            size_bytes=size_bytes if ingested else 0,
            digests={"dandi:dandi-zarr-checksum": checksum if ingested else None},
        )
        return self._add(asset, embargoed)

    def _add(self, asset: Asset, embargoed: bool) -> Asset:
        self.assets.append(asset)
        if embargoed:
            self.embargoed.add(asset.dandiset)
        return asset

    def asset_url(self, asset: Asset) -> str:
        """Return the asset's URL by its identifier alone."""
        return f"{self.api_url}/assets/{asset.identifier}/"

    def nested_asset_url(self, asset: Asset) -> str:
        """Return the asset's URL within its dandiset."""
        return f"{self.assets_url(asset.dandiset, asset.version)}{asset.identifier}/"

    def assets_url(self, dandiset: str, version: str = "draft") -> str:
        """Return the URL of a version's assets, for `?path=` or `?glob=`."""
        return f"{self.api_url}/dandisets/{dandiset}/versions/{version}/assets/"

    def web_url(self, dandiset: str, path: str = "", version: str = "draft") -> str:
        """Return the URL of a file or folder in the web application."""
        query = f"?location={quote(path, safe='')}&page=1" if path else ""
        return f"{self.url}/dandiset/{dandiset}/{version}/files{query}"

    def blob_url(self, asset: Asset) -> str:
        """Return the unsigned URL of the asset's blob."""
        return f"{self.store_url}/{BUCKET}/{asset.key}"

    def content_url(self, asset: Asset) -> str:
        """Return the unsigned URL of the asset's bytes, as its metadata has it."""
        return f"{self.blob_url(asset)}/" if asset.is_zarr else self.blob_url(asset)

    def sign(self, key: str, method: str = "GET") -> str:
        """Return a URL of an object that serves for some hours, for that method only."""
        signature = uuid.uuid4().hex
        self.signatures[signature] = key
        if method == "HEAD":
            self.head_signatures.add(signature)
        query = urlencode({"X-Amz-Expires": 21600, "X-Amz-Signature": signature})
        return f"{self.store_url}/{BUCKET}/{quote(key)}?{query}"

    def inject(
        self,
        server: ServerName,
        fault: Fault,
        *methods: str,
        times: int = 1,
        after: int = 0,
    ) -> None:
        """Let `after` requests of a server pass and the next `times` fail; by default of GETs."""
        planned = PlannedFault(fault=fault, after=after, times=times, methods=methods or ("GET",))
        with self._lock:
            self._faults[server].append(planned)

    def take_fault(self, server: ServerName, method: str) -> Fault | None:
        """Return the fault of the current request, if any."""
        with self._lock:
            for planned in self._faults[server]:
                if method not in planned.methods:
                    continue
                if planned.after > 0:
                    planned.after -= 1
                elif planned.times > 0:
                    planned.times -= 1
                    return planned.fault
        return None

    def record(self, request: Request) -> None:
        """Record an answered request."""
        with self._lock:
            self.requests.append(request)

    def count(self, server: ServerName, method: str = "GET", status: int | None = None) -> int:
        """Count the requests of a kind."""
        with self._lock:
            return sum(
                request.server == server
                and request.method == method
                and status in (None, request.status)
                for request in self.requests
            )
