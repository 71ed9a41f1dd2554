"""The archive's API as its client sees it."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.dandi_stand_in.handler import Bare, Refusal
from tests.support.dandi_stand_in.records import (
    OWNER_KEY,
    PENDING_KEY,
    USERS,
    Asset,
    Fault,
)
from tests.support.dandi_stand_in.zarr import ZarrHandler

CREATED = "2024-01-02T03:04:05.678901Z"

VERSION = r"(?P<version>draft|0\.\d{6}\.\d{4})"
DANDISET = r"/api/dandisets/(?P<dandiset>\d{6})/"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
ASSET = rf"(?:/api|{DANDISET}versions/{VERSION})/assets/(?P<asset>{UUID})/"


#: the paths that the archive takes
PATH = re.compile(r"(?:/?\.?[A-z0-9(),&\s#+~_=-])+")


#: bodies that are no JSON
PAGE = "<!doctype html><html><head><title>Not Found</title></head><body></body></html>"


class ApiHandler(ZarrHandler):
    """The API."""

    server_name = "api"
    routes: ClassVar[dict[str, str]] = {
        r"/api/info/": "info",
        r"/api/auth/token/": "token",
        DANDISET: "dandiset",
        rf"{DANDISET}versions/{VERSION}/": "version",
        rf"{DANDISET}versions/{VERSION}/info/": "version",
        rf"{DANDISET}versions/{VERSION}/assets/": "list_assets",
        ASSET: "metadata",
        rf"{ASSET}info/": "asset_info",
        rf"{ASSET}download/": "download",
        r"/api/users/me/": "me",
        rf"{DANDISET}users/": "owners",
        rf"/api/zarr/(?P<zarr>{UUID})/": "zarr",
        rf"/api/zarr/(?P<zarr>{UUID})/files/": "zarr_files",
    }
    changes: ClassVar[dict[str, str]] = {
        r"/api/uploads/initialize/": "initialize_upload",
        rf"/api/uploads/(?P<upload>{UUID})/complete/": "complete_upload",
        rf"/api/uploads/(?P<upload>{UUID})/validate/": "validate_upload",
        rf"{DANDISET}versions/{VERSION}/assets/": "add_asset",
        rf"{DANDISET}versions/{VERSION}/assets/(?P<replaced>{UUID})/": "add_asset",
    }

    def answer(self) -> None:
        """Answer with JSON or a redirect."""
        address = urlsplit(self.path)
        if self.fault is Fault.UNAVAILABLE:
            self.send_json(503, {"detail": "Service unavailable."}, {"Retry-After": "1"})
            return
        try:
            self.user = self._user()
            routes = self.routes if self.command in ("GET", "HEAD") else self.changes
            for pattern, name in routes.items():
                if found := re.fullmatch(pattern, address.path):
                    getattr(self, name)(**found.groupdict())
                    return
                if re.fullmatch(pattern, f"{address.path}/"):
                    query = f"?{address.query}" if address.query else ""
                    self.send(301, {"Location": f"{address.path}/{query}"})
                    return
            self.send(404, {"Content-Type": "text/html"}, PAGE.encode())
        except Refusal as refusal:
            if refusal.body is None:
                self.send(refusal.status, {"Content-Type": "text/html"})
            else:
                body = refusal.body.text if isinstance(refusal.body, Bare) else refusal.body
                self.send_json(refusal.status, body)

    def info(self) -> None:
        """Describe the archive; the client's first request."""
        archive = self.archive
        body = {
            "schema_version": "0.7.0",
            "schema_url": f"{archive.url}/schema.json",
            "allowed_schema_versions": ["0.6.10", "0.7.0"],
            "version": "0.11.0",
            "services": {
                "api": {"url": archive.api_url},
                "webui": {"url": archive.url},
                "jupyterhub": {"url": f"{archive.url}/hub"},
            },
            "cli-minimal-version": "0.74.0",
            "cli-requires-python": ">=3.10",
            "cli-bad-versions": [],
            "instance_config": {"instance_name": "STAND-IN"},
        }
        self.send_json(200, body)

    def token(self) -> None:
        """Return the key to its owner."""
        if self.user is None:
            raise Refusal(401, "Authentication credentials were not provided.")
        if self.user == PENDING_KEY:
            raise Refusal(403, {"detail": "User is not approved."})
        self.send_json(200, self.user)

    def dandiset(self, dandiset: str) -> None:
        """A dandiset and its most recent versions."""
        versions = self._versions(dandiset)
        published = [self._version(dandiset, name) for name in versions if name != "draft"]
        embargo_status = "EMBARGOED" if dandiset in self.archive.embargoed else "OPEN"
        if dandiset in self.archive.locked:
            embargo_status = "UNEMBARGOING"
        body = {
            "identifier": dandiset,
            "created": CREATED,
            "modified": CREATED,
            "contact_person": "Doe, Jane",
            "embargo_status": embargo_status,
            "star_count": 0,
            "is_starred": False,
            "most_recent_published_version": published[-1] if published else None,
            "draft_version": self._version(dandiset, "draft"),
        }
        self.send_json(200, body)

    def version(self, dandiset: str, version: str) -> None:
        """One version."""
        if version not in self._versions(dandiset):
            raise Refusal(404, "Not found.")
        errors: dict[str, Any] = {"asset_validation_errors": [], "version_validation_errors": []}
        self.send_json(200, self._version(dandiset, version) | errors)

    def list_assets(self, dandiset: str, version: str) -> None:
        """A page of a version's assets."""
        if version not in self._versions(dandiset):
            raise Refusal(404, "Not found.")
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        found = _search(_in_version(self.archive.assets, dandiset, version), query)
        page, size = int(query.get("page", 1)), min(int(query.get("page_size", 100)), 1000)
        more = len(found) > page * size
        with_metadata = query.get("metadata") == "true"
        address = f"{self.archive.next_pages_at or self.archive.url}{urlsplit(self.path).path}"
        body = {
            "count": len(found) if page == 1 else None,
            "next": f"{address}?{urlencode(query | {'page': page + 1})}" if more else None,
            "previous": f"{address}?{urlencode(query | {'page': page - 1})}" if page > 1 else None,
            "results": [
                _row(asset) | ({"metadata": self._metadata(asset)} if with_metadata else {})
                for asset in found[(page - 1) * size : page * size]
            ],
        }
        self.send_json(200, body)

    def metadata(self, **names: str) -> None:
        """The metadata of an asset."""
        self.send_json(200, self._metadata(self._asset(**names)))

    def asset_info(self, **names: str) -> None:
        """The row of an asset in the list, and its metadata."""
        asset = self._asset(**names)
        self.send_json(200, _row(asset) | {"metadata": self._metadata(asset)})

    def download(self, **names: str) -> None:
        """Redirect to the store, by a URL signed for GET."""
        asset = self._asset(**names)
        if asset.is_zarr:
            raise Refusal(400, "Unable to provide download link for zarr assets.")
        self.send(302, {"Location": self.archive.sign(asset.key)})

    def me(self) -> None:
        """The account of the key."""
        if self.user is None:
            raise Refusal(401, "Authentication credentials were not provided.")
        self.send_json(200, self._account(self.user))

    def owners(self, dandiset: str) -> None:
        """The accounts that may change a dandiset."""
        self._versions(dandiset)
        name = USERS[OWNER_KEY]
        self.send_json(200, [{"username": name, "name": name.title(), "email": None}])

    def initialize_upload(self) -> None:
        """Start an upload; the response contains the URLs for its parts."""
        request = json.loads(self.content)
        missing = [name for name in ("contentSize", "digest", "dandiset") if name not in request]
        if missing:
            raise Refusal(400, {name: ["This field is required."] for name in missing})
        dandiset = request["dandiset"]
        if dandiset in self.archive.embargoed and self.user != OWNER_KEY:
            raise Refusal(404, "Not found.")
        self._versions(dandiset)
        if self.user != OWNER_KEY:
            raise Refusal(403, Bare("Action not allowed"))
        self._check_unlocked(dandiset)
        size, etag = request["contentSize"], request["digest"]["value"]
        if size < 1:
            raise Refusal(400, {"contentSize": ["Ensure this value is at least 1."]})
        status, answer = self.archive.uploads.initialize(dandiset, etag, size)
        if status == 409:
            self.send_json(status, "Blob already exists.", {"Location": answer})
            return
        self.send_json(status, answer)

    def complete_upload(self, upload: str) -> None:
        """Complete an upload."""
        if not self.archive.uploads.is_under_way(upload):
            raise Refusal(404, "Not found.")
        parts = json.loads(self.content)["parts"]
        self.send_json(200, self.archive.uploads.complete(upload, parts))

    def validate_upload(self, upload: str) -> None:
        """Turn an upload into a blob."""
        if not self.archive.uploads.is_under_way(upload):
            raise Refusal(404, "Not found.")
        self.send_json(*self.archive.uploads.validate(upload))

    def add_asset(self, dandiset: str, version: str, replaced: str | None = None) -> None:
        """Add a blob to the draft, or replace one."""
        request = json.loads(self.content)
        if version not in self._versions(dandiset):
            raise Refusal(404, "Not found.")
        if version != "draft":
            raise Refusal(405, Bare("Only draft versions can be modified."))
        if self.user != OWNER_KEY:
            raise Refusal(403, None)
        self._check_unlocked(dandiset)
        if not self.archive.uploads.is_blob(request["blob_id"]):
            raise Refusal(404, "Not found.")
        archive = self.archive
        asset = archive.uploads.asset(dandiset, request["blob_id"], request["metadata"])
        draft = _in_version(archive.assets, dandiset, "draft")
        present = next((each for each in draft if each.identifier == replaced), None)
        if replaced is not None and present is None:
            raise Refusal(404, "Not found.")
        _check_path(asset.path, [each.path for each in draft if each is not present])
        if present is not None:
            if (present.content, present.described) == (asset.content, asset.described):
                asset = present
            archive.assets[:] = [each for each in archive.assets if each is not present]
            if asset is not present:
                archive.replaced.append(present)
        archive.assets.append(asset)
        self.send_json(200, _row(asset) | {"metadata": self._metadata(asset)})

    def _account(self, key: str) -> dict[str, Any]:
        name = USERS[key]
        return {"admin": False, "username": name, "name": name.title(), "status": "APPROVED"}

    def _check_unlocked(self, dandiset: str) -> None:
        if dandiset in self.archive.locked:
            raise Refusal(400, Bare("Dandiset modification not allowed during unembargo"))

    def _user(self) -> str | None:
        """Return the key of the request; refuse a bad one."""
        header = self.headers.get("Authorization")
        if header is None:
            return None
        key = header.removeprefix("token ")
        if key not in USERS:
            raise Refusal(401, "Invalid token.")
        return key

    def _check_embargo(self, dandiset: str) -> None:
        closed = self.archive.embargoed | self.archive.locked
        if dandiset not in closed or self.user == OWNER_KEY:
            return
        if self.user is None:
            raise Refusal(401, "Authentication credentials were not provided.")
        raise Refusal(403, "You do not have permission to perform this action.")

    def _versions(self, dandiset: str) -> list[str]:
        """Return the versions of a visible dandiset, the draft first."""
        found = {asset.version for asset in self.archive.assets if asset.dandiset == dandiset}
        if not found and dandiset not in self.archive.empty:
            raise Refusal(404, "Not found.")
        self._check_embargo(dandiset)
        return ["draft", *sorted(found - {"draft"})]

    def _version(self, dandiset: str, version: str) -> dict[str, Any]:
        assets = _in_version(self.archive.assets, dandiset, version)
        return {
            "version": version,
            "name": "A dandiset",
            "asset_count": len(assets),
            "active_uploads": 0,
            "size": sum(asset.size_bytes for asset in assets),
            "status": "Valid" if version == "draft" else "Published",
            "created": CREATED,
            "modified": CREATED,
            "release_notes": None,
        }

    def _asset(self, asset: str, dandiset: str | None = None, version: str | None = None) -> Asset:
        """Return an asset; of a dandiset and a version only whether they exist counts."""
        if dandiset is not None and version not in self._versions(dandiset):
            raise Refusal(404, "Not found.")
        for found in [*self.archive.assets, *self.archive.replaced]:
            if found.identifier == asset:
                self._check_embargo(found.dandiset)
                return found
        raise Refusal(404, "Not found.")

    def _metadata(self, asset: Asset) -> dict[str, Any]:
        embargoed = asset.dandiset in self.archive.embargoed
        status = "dandi:EmbargoedAccess" if embargoed else "dandi:OpenAccess"
        return {
            **asset.described,
            "path": asset.path,
            "identifier": asset.identifier,
            "contentSize": asset.size_bytes,
            "contentUrl": [
                f"{self.archive.asset_url(asset)}download/",
                self.archive.content_url(asset),
            ],
            "digest": asset.digests,
            "access": [{"schemaKey": "AccessRequirements", "status": status}],
            "encodingFormat": "application/x-zarr" if asset.is_zarr else "application/x-nwb",
            "schemaVersion": "0.7.0",
            "blobDateModified": CREATED,
        }


def _in_version(assets: list[Asset], dandiset: str, version: str) -> list[Asset]:
    return [asset for asset in assets if (asset.dandiset, asset.version) == (dandiset, version)]


def _check_path(path: str, present: list[str]) -> None:
    """Refuse a path that is none, and one that is taken as a file or as a folder."""
    if path.startswith("/"):
        raise Refusal(400, {"non_field_errors": ["Path must not begin with /"]})
    if not PATH.fullmatch(path):
        raise Refusal(400, {"non_field_errors": ["Path improperly formatted"]})
    if path in present:
        raise Refusal(409, Bare("An asset with that path already exists"))
    if any(f"{each}/".startswith(f"{path}/") or path.startswith(f"{each}/") for each in present):
        raise Refusal(409, Bare(f"Path of new asset {path!r} conflicts with existing assets"))


def _search(assets: list[Asset], query: dict[str, str]) -> list[Asset]:
    """Filter by `?path=` (a case-insensitive prefix; an exact path wins) and `?glob=`."""
    if path := query.get("path"):
        exact = [asset for asset in assets if asset.path == path]
        begun = [asset for asset in assets if asset.path.lower().startswith(path.lower())]
        assets = exact or begun
    if glob := query.get("glob"):
        pattern = re.escape(glob).replace(r"\*", ".*")
        assets = [asset for asset in assets if re.fullmatch(pattern, asset.path, re.IGNORECASE)]
    return assets


def _row(asset: Asset) -> dict[str, Any]:
    """Return an asset as the API lists it."""
    return {
        "asset_id": asset.identifier,
        "blob": None if asset.is_zarr else asset.content,
        "zarr": asset.content if asset.is_zarr else None,
        "path": asset.path,
        "size": asset.size_bytes,
        "created": CREATED,
        "modified": CREATED,
    }
