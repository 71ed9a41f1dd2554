"""Where a recording comes from and where results go: each is parsed once, into one of these types.

Nothing downstream sees a raw URL. This module opens no connection and needs nothing but the
standard library.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

#: user and password before the host of a URL
USER_INFO = re.compile(r"(?<=://)[^\s/?#\"']+@")

#: what a signed URL carries behind its path
SIGNED_QUERY = re.compile(r"\?[^\s\"']*(?:[Ss]ignature|[Tt]oken)=[^\s\"']*")


#: of the results: the recording itself, compressed (`ARCHIVE=zarr`)
ARCHIVE = "recording.zarr"


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Location:
    """A folder or an object in a bucket."""

    bucket: str
    #: without a leading or trailing slash; empty for the whole bucket
    key: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def is_within(self, other: object) -> bool:
        """Return whether this location equals the other, or lies in it.

        >>> target = S3Location(bucket="lab", key="day1/results")
        >>> target.is_within(S3Location(bucket="lab", key="day1"))
        True
        >>> target.is_within(S3Location(bucket="lab", key="day"))
        False
        """
        if not isinstance(other, S3Location) or self.bucket != other.bucket:
            return False
        return self.key == other.key or not other.key or self.key.startswith(f"{other.key}/")

    def child(self, name: str) -> "S3Location":
        """Return the location of `name` inside this folder.

        >>> str(S3Location(bucket="lab", key="results").child("run.json"))
        's3://lab/results/run.json'
        """
        return S3Location(bucket=self.bucket, key=f"{self.key}/{name}".strip("/"))


@dataclass(frozen=True, kw_only=True, slots=True)
class DandiBlob:
    """An asset's blob in the archive's own public bucket."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DandiAsset:
    """An asset, by any URL or identifier that DANDI's client resolves."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFolder:
    """A folder, or a file, on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedRecording:
    """A recording that is generated with known ground truth."""

    def __str__(self) -> str:
        return "a simulated recording"


Location = S3Location | DandiBlob | DandiAsset | LocalFolder | SimulatedRecording


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedRecordings:
    """Recordings of one probe, in order, that are sorted as one."""

    #: two or more
    locations: tuple[Location, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.locations))


Source = Location | JoinedRecordings


def locations_of(source: Source) -> tuple[Location, ...]:
    """Return the location of each recording of a source."""
    return source.locations if isinstance(source, JoinedRecordings) else (source,)


#: what S3 accepts, and what keeps a URL out of a bucket's name
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

#: what S3 would store in a key, and neither a file's name nor the client that moves the bytes can
#: have
UNUSUAL = re.compile(r"[\x00-\x1f\x7f]")

BLOB_KEY = re.compile(r"blobs/[0-9a-f]{3}/[0-9a-f]{3}/[0-9a-f-]{36}")

#: where the archive has the entries of a Zarr asset
ZARR_KEY = re.compile(r"zarr/(?P<zarr>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")

#: of DANDI's archive
DANDI_BUCKET = "dandiarchive"

S3_HOST = re.compile(
    r"(?:(?P<bucket>[a-z0-9][a-z0-9.-]+)\.)?s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com(?:\.cn)?"
)

#: AWS's console, where a bucket or an object is looked at
S3_CONSOLE = re.compile(
    r"(?:[a-z0-9-]+\.)*console\.(?:aws\.amazon|amazonaws-us-gov|amazonaws)\.(?:com|cn)"
)


def mixed_with(source: Source, target: S3Location) -> str | None:
    """Return how results at the target would be mixed with the recording; None if they would not.

    >>> results = S3Location(bucket="lab", key="results")
    >>> mixed_with(results.child("recording.zarr"), results)
    'the results whose archive is the source'
    """
    for location in locations_of(source):
        if target.is_within(location):
            return "the source itself" if target == location else "in the source itself"
        if isinstance(location, S3Location) and location.is_within(target.child(ARCHIVE)):
            return "the results whose archive is the source"
    return None


def is_path(text: str) -> bool:
    """Return whether a text is a path inside a folder, locally and on S3.

    >>> is_path("raw/session 1"), is_path("../raw"), is_path("raw//session1")
    (True, False, False)
    """
    return not UNUSUAL.search(text) and not {"", ".", ".."} & set(text.split("/"))


def parse_s3(bucket: str, folder: str | None) -> S3Location:
    """Read a bucket's name and a folder (or object) in it, with or without `s3://` and slashes.

    Raises ValueError if a name is not a bucket's or a text is not a path. One slash around a folder
    is a habit; more are parts of a key, which names another object without them.

    >>> parse_s3("lab-data", "/raw/session1/")
    S3Location(bucket='lab-data', key='raw/session1')
    >>> parse_s3("s3://lab-data/raw", "session1")
    S3Location(bucket='lab-data', key='raw/session1')
    """
    if remedy := _other_name(bucket) or _other_name(folder or ""):
        raise ValueError(remedy)
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    if not BUCKET_NAME.fullmatch(name):
        raise ValueError(
            f"{bucket!r} is not the name of an S3 bucket; give one of lowercase letters, digits, "
            "dots and hyphens, like my-lab-data"
        )
    url, key = f"s3://{name}/", folder or ""
    key = key.removeprefix(url) if key.startswith(url) else key.removeprefix("/")
    parts = [part.removesuffix("/") for part in (prefix, key) if part]
    path = "/".join(parts)
    if parts and not is_path(path):
        raise ValueError(
            f"{path!r} has an empty, '.' or '..' part or a control character, which no path of "
            "files can have; write it like raw/session1, and rename what is stored otherwise"
        )
    return S3Location(bucket=name, key=path)


def _other_name(text: str) -> str | None:
    """Return how to write what AWS calls something on S3 by another name than s3://bucket/key.

    >>> _other_name("https://lab.s3.amazonaws.com/a%20b?x-id=GetObject")
    "'https://lab.s3.amazonaws.com/a%20b' is a web address of S3; write it like s3://lab/a b"
    >>> _other_name("arn:aws:s3:::lab/raw")
    "'arn:aws:s3:::lab/raw' is an ARN; write it like s3://lab/raw"
    """
    arn = text.removeprefix("s3://")
    if arn.startswith("arn:"):
        if ":accesspoint" in arn or "-object-lambda:" in arn or "-outposts:" in arn:
            return (
                f"{arn!r} is the ARN of an access point; give its alias as the bucket, like "
                "my-access-point-1a2b3c-s3alias (`aws s3control list-access-points` shows it)"
            )
        return f"{arn!r} is an ARN; write it like s3://{arn.rpartition(':')[2]}"
    shown = text.partition("?")[0].partition("#")[0]  # a query may hold a signature
    location = web_location(text)
    if location is None:
        return None
    version = ", whose current version is read" if "versionId=" in text else ""
    return f"{shown!r} is a web address of S3; write it like {location}{version}"


def web_location(url: str) -> S3Location | None:
    """Return the object or folder that an https URL of S3, or a page of its console, shows.

    >>> web_location("https://lab.s3.us-east-1.amazonaws.com/raw/a%20b.nwb")
    S3Location(bucket='lab', key='raw/a b.nwb')
    >>> web_location("https://s3.amazonaws.com/lab")
    S3Location(bucket='lab', key='')
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    path = unquote(parts.path).removeprefix("/")
    host = parts.hostname or ""
    if S3_CONSOLE.fullmatch(host):
        section, _, rest = path.partition("/")
        page, _, bucket = rest.partition("/")
        if section != "s3" or page not in ("buckets", "object"):
            return None
        bucket, key = bucket.partition("/")[0], parse_qs(parts.query).get("prefix", [""])[0]
    elif found := S3_HOST.fullmatch(host):
        bucket, key = found["bucket"], path
        if bucket is None:
            bucket, _, key = path.partition("/")
    else:
        return None
    return S3Location(bucket=bucket, key=key) if bucket else None


def parse_dandi(url: str) -> DandiBlob | DandiAsset:
    """Read the S3 URL of an asset's blob or Zarr, or any name that DANDI's client resolves.

    >>> host = "https://dandiarchive.s3.amazonaws.com"
    >>> parse_dandi(f"{host}/blobs/11e/c89/11ec8933-1456-4942-922b-94e5878bb991")
    DandiBlob(bucket='dandiarchive', key='blobs/11e/c89/11ec8933-1456-4942-922b-94e5878bb991')
    >>> parse_dandi("dandi://dandi/000006@draft/sub-anm369962/a.nwb")
    DandiAsset(url='dandi://dandi/000006@draft/sub-anm369962/a.nwb')
    """
    url = _viewed(url)
    stored = _parse_stored(url)
    if stored is not None:
        return stored
    if remedy := _other_name(url):
        raise ValueError(f"{remedy}, which is no asset of DANDI")
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https", "dandi") or re.fullmatch(
        r"DANDI:\d{6}(/\S+)?|\d{6}|[0-9a-f-]{36}", url
    ):
        return DandiAsset(url=url)
    raise ValueError(
        f"{mask_signatures(url)!r} does not name a DANDI asset; give its S3 URL, its API or "
        "web URL, or dandi://dandi/000006@0.220126.1855/sub-1/a.nwb"
    )


def _viewed(url: str) -> str:
    """Return the file that a Neurosift page shows; other URLs unchanged.

    >>> _viewed("https://neurosift.app/nwb?url=https://api.dandiarchive.org/api/assets/1/download/")
    'https://api.dandiarchive.org/api/assets/1/download/'
    """
    parts = urlsplit(url)
    if "neurosift" not in parts.netloc + parts.path:
        return url
    return parse_qs(parts.query).get("url", [url])[0]


def is_of_dandi(location: S3Location) -> bool:
    """Return whether the archive keeps an asset there.

    >>> zarr = "zarr/057f84d5-a88b-490a-bedf-06f3f50e9e62"
    >>> is_of_dandi(S3Location(bucket="dandiarchive", key=zarr))
    True
    >>> is_of_dandi(S3Location(bucket="lab-data", key=zarr))
    False
    """
    if BLOB_KEY.fullmatch(location.key):
        return True
    return location.bucket == DANDI_BUCKET and ZARR_KEY.match(location.key) is not None


def object_location(url: str) -> S3Location | None:
    """Return the object or folder that an `s3://` or `https://` URL of S3 names, else None.

    >>> object_location("https://dandiarchive.s3.amazonaws.com/zarr/1/")
    S3Location(bucket='dandiarchive', key='zarr/1')
    """
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    if parts.scheme == "s3":
        return S3Location(bucket=parts.netloc, key=path)
    if (host := S3_HOST.fullmatch(parts.netloc)) is None:
        return None
    if host["bucket"]:
        return S3Location(bucket=host["bucket"], key=path)
    bucket, _, key = path.partition("/")
    return S3Location(bucket=bucket, key=key)


def _parse_stored(url: str) -> DandiBlob | DandiAsset | None:
    location = object_location(url)
    if location is None:
        return None
    if BLOB_KEY.fullmatch(location.key):
        return DandiBlob(bucket=location.bucket, key=location.key)
    if ZARR_KEY.fullmatch(location.key):
        return DandiAsset(url=url)
    if inside := ZARR_KEY.match(location.key):
        raise ValueError(
            f"{url!r} is inside a Zarr asset; name the asset: "
            f"{S3Location(bucket=location.bucket, key=inside[0])}/"
        )
    if url.startswith("s3://") or location.key.startswith("blobs/"):
        raise ValueError(
            f"{url!r} is not the URL of an asset's blob: expected "
            "https://dandiarchive.s3.amazonaws.com/blobs/<3 hex>/<3 hex>/<uuid>, or "
            "s3://dandiarchive/zarr/<uuid>/; copy it from the asset's page"
        )
    return None


def mask_signatures(text: str) -> str:
    """Mask the queries of signed URLs, and the passwords in URLs.

    >>> mask_signatures("cannot read https://host/x.nwb?X-Amz-Date=1&X-Amz-Signature=abc now")
    'cannot read https://host/x.nwb?*** now'
    >>> mask_signatures("http://user:p@ssword@minio:9000/")
    'http://***@minio:9000/'
    """
    return USER_INFO.sub("***@", SIGNED_QUERY.sub("?***", text))
