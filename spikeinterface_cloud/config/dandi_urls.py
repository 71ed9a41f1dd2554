"""Every way of naming an asset on DANDI, read into what to ask the archive for.

The archive's own parser knows the instances. It does not know the address that a browser shows,
escaped paths, a bare identifier, or the sandbox's former names, and it spends minutes of retries on
a URL that it cannot place. So a name is split here, without opening a connection: a `url` that the
parser reads at once, and the `pattern` that selects among the assets found there.
"""

import logging
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from spikeinterface_cloud.config.locations import (
    ZARR_KEY,
    DandiAsset,
    mask_signatures,
    object_location,
    parse_dandi,
)
from spikeinterface_cloud.errors import SettingsError

logger = logging.getLogger(__name__)

VERSION = r"(?:draft|\d+\.\d+\.\d+)"
ASSET_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

DANDISET = re.compile(
    rf"(?:DANDI:)?(?P<dandiset>\d{{6}})(?:[/@](?P<version>{VERSION}))?/?", re.IGNORECASE
)
DANDI_URL = re.compile(
    rf"dandi://(?P<instance>[\w.-]+)/(?P<dandiset>\d{{6}})(?:@(?P<version>{VERSION}))?"
    r"(?:/(?P<path>.*))?"
)
CITATION = re.compile(
    r"https?://(?:identifiers\.org/dandi:|(?:dx\.)?doi\.org/10\.48324/dandi\.)(?P<dandiset>.+)",
    re.IGNORECASE,
)
WEB_PAGE = re.compile(rf"(?P<page>https?://[^/]+/dandiset/\d{{6}}(?:/{VERSION})?)(?:/[a-z-]*)?/?")
API_ASSET = re.compile(
    rf"(?P<asset>(?P<server>https?://[^/]+/(?:api/)?)"
    rf"(?:dandisets/\d{{6}}/versions/{VERSION}/)?assets/{ASSET_ID})(?:/(?:download|info)?)?/?"
)
API_ZARR = re.compile(rf"(?P<zarr>https?://[^/]+/(?:api/)?zarr/{ASSET_ID})(?:/(?:files)?)?/?")
API_ASSETS = re.compile(
    rf"(?P<dandiset>https?://[^/]+/(?:api/)?dandisets/\d{{6}}(?:/versions/{VERSION})?)"
    r"(?:/versions)?(?:/assets)?/?"
)

#: names that the archive gave up, each with the one that serves the same data now
FORMER_NAMES = {
    "dandi://dandi-staging/": "dandi://dandi-sandbox/",
    "://api-staging.dandiarchive.org/": "://api.sandbox.dandiarchive.org/",
    "://gui-staging.dandiarchive.org/": "://sandbox.dandiarchive.org/",
    "://gui.dandiarchive.org/": "://dandiarchive.org/",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetName:
    """A place in the archive, and which of the assets there are meant."""

    #: for the archive's parser: a dandiset, a version of it, an asset, or a Zarr, by identifiers
    url: str
    #: `whole`: all that `url` holds; `path`: a file, or a folder's files; `prefix`: a path's start
    selects: Literal["whole", "path", "prefix", "glob"] = "whole"
    pattern: str = ""

    @property
    def is_identifier(self) -> bool:
        """Whether it is the identifier of an asset or a Zarr.

        >>> AssetName(url="https://api.dandiarchive.org/api/assets/11ec8933").is_identifier
        True
        """
        return re.search("/(assets|zarr)/", self.url) is not None

    def covers(self, path: str) -> bool:
        """Return whether this name means the asset: the archive matches prefixes, not files.

        >>> AssetName(url="dandi://dandi/000006", selects="path", pattern="a.nwb").covers("a.nwb2")
        False
        """
        if self.selects != "path":
            return True
        return path == self.pattern or path.startswith(f"{self.pattern}/")


def parse_asset_name(text: str) -> AssetName:
    """Read any form of naming an asset.

    >>> parse_asset_name("dandi://dandi/000006@draft/sub-1/a.nwb")
    AssetName(url='dandi://dandi/000006@draft', selects='path', pattern='sub-1/a.nwb')
    >>> parse_asset_name("https://dandiarchive.org/dandiset/000006?location=a.nwb&page=1").pattern
    'a.nwb'
    """
    found = _find_name(text)
    if found is None:
        raise SettingsError(
            f"DANDISET_S3_FILE_URL {mask_signatures(text)!r} does not name a DANDI asset; give the "
            "S3 URL of its blob, its API or web URL, or dandi://dandi/000006@draft/sub-1/sub-1_ecephys.nwb"
        )
    return found


def parse_dandiset_name(text: str) -> AssetName:
    """Read the name of a draft dandiset, which units are uploaded to.

    >>> parse_dandiset_name("000123").url
    'dandi://dandi/000123'
    """
    found = _find_name(text)
    if found is None or found.selects != "whole" or found.is_identifier:
        raise SettingsError(
            f"TARGET_DANDISET {text!r} does not name a dandiset; give its number, like 000123, "
            "dandi://dandi-sandbox/000123, or the address of its page"
        )
    if re.search(r"[@/]\d+\.\d+\.\d+(?:/|$)", found.url):
        raise SettingsError(
            f"TARGET_DANDISET {text!r} names a publication, which cannot be changed; name the "
            "dandiset without a version"
        )
    return found


def check_dandi(urls: str | list[str] | None) -> str | list[str] | None:
    """Refuse a text that does not name an asset."""
    for url in [urls] if isinstance(urls, str) else urls or []:
        if isinstance(parse_dandi(url), DandiAsset):
            parse_asset_name(url)
    return urls


def check_dandiset(name: str) -> str:
    """Refuse a text that does not name a dandiset."""
    parse_dandiset_name(name)
    return name


def _find_name(text: str) -> AssetName | None:
    name = _replace_former_name(text.strip())
    if citation := CITATION.fullmatch(name):
        name = citation["dandiset"]
    return _parse_identifier(name) or _parse_stored_zarr(name) or _parse_address(name)


def _replace_former_name(text: str) -> str:
    for former, current in FORMER_NAMES.items():
        if former in text:
            logger.warning("%s: the archive renamed %s to %s", text, former, current)
            return text.replace(former, current, 1)
    return text


def _parse_identifier(text: str) -> AssetName | None:
    if re.fullmatch(ASSET_ID, text):
        return AssetName(url=f"https://api.dandiarchive.org/api/assets/{text}")
    if dandiset := DANDISET.fullmatch(text):
        return AssetName(url=_dandi_url("dandi", dandiset["dandiset"], dandiset["version"]))
    if parts := DANDI_URL.fullmatch(text):
        url = _dandi_url(parts["instance"], parts["dandiset"], parts["version"])
        return _select(url, "path", unquote(parts["path"] or ""))
    return None


def _parse_stored_zarr(text: str) -> AssetName | None:
    location = object_location(text)
    if location is None or not ZARR_KEY.fullmatch(location.key):
        return None
    return AssetName(url=str(location))


def _dandi_url(instance: str, dandiset: str, version: str | None) -> str:
    return f"dandi://{instance.lower()}/{dandiset}" + (f"@{version.lower()}" if version else "")


def _parse_address(text: str) -> AssetName | None:
    # the web application's older addresses put everything, the query too, behind a fragment
    parts = urlsplit(text.replace("/#/", "/", 1))
    address = f"{parts.scheme}://{parts.netloc}{parts.path}"
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    if page := WEB_PAGE.fullmatch(address):
        return _select(page["page"], "path", query.get("location", ""))
    if asset := API_ASSET.fullmatch(address):
        return AssetName(url=asset["asset"])
    if zarr := API_ZARR.fullmatch(address):
        return AssetName(url=zarr["zarr"])
    if assets := API_ASSETS.fullmatch(address):
        url = f"{assets['dandiset']}/"
        if "glob" in query:
            return _select(url, "glob", query["glob"])
        return _select(url, "prefix", query.get("path", ""))
    return None


def _select(url: str, selects: Literal["path", "prefix", "glob"], pattern: str) -> AssetName:
    bare = pattern.lstrip("/") if selects == "prefix" else pattern.strip("/")
    return AssetName(url=url, selects=selects, pattern=bare) if bare else AssetName(url=url)
