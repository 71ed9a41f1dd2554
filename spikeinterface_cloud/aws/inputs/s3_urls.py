"""Other ways to write a location on S3: by its https URL, its page in the console, or its ARN."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from spikeinterface_cloud.config.locations import BLOB_KEY, S3_HOST
from spikeinterface_cloud.errors import SettingsError

#: the host of the console, with or without a region
CONSOLE = re.compile(r"(?:[a-z0-9-]+\.)*console\.(?:aws\.amazon|amazonaws-us-gov|amazonaws)\.\w+")

#: a bucket or an object
ARN = re.compile(r"(?:s3://)?arn:[a-z-]+:s3:::(?P<path>.+)")

ACCESS_POINT = re.compile(
    r"(?:s3://)?arn:[a-z-]+:s3:[a-z0-9-]*:(?P<account>\d*):accesspoint[/:](?P<name>[^/:]+)"
)


def as_s3_url(option: str, url: str) -> str:
    """Return the s3:// URL that is meant; any other text unchanged.

    >>> as_s3_url("--source", "https://lab-data.s3.us-east-1.amazonaws.com/raw/a%20b.nwb")
    's3://lab-data/raw/a b.nwb'
    >>> as_s3_url("--source", "arn:aws:s3:::lab-data/raw/session1")
    's3://lab-data/raw/session1'
    """
    if point := ACCESS_POINT.match(url):
        raise SettingsError(
            f"{option}: {url} is an access point, which is named by its alias instead; give "
            "s3://ALIAS/folder (`aws s3control get-access-point --account-id "
            f"{point['account']} --name {point['name']}` shows the alias)"
        )
    if arn := ARN.fullmatch(url):
        return f"s3://{arn['path']}"
    parts = urlsplit(url)
    if parts.scheme != "https":
        return url
    path = unquote(parts.path).strip("/")
    if host := S3_HOST.fullmatch(parts.netloc):
        path = f"{host['bucket']}/{path}" if host["bucket"] else path
        if BLOB_KEY.fullmatch(path.partition("/")[2]):
            return url  # of DANDI's archive
        if "signature=" in parts.query.lower():
            raise SettingsError(
                f"{option}: a signed URL would show its signature to everyone who may describe "
                f"jobs, and ends soon; give s3://{path}, which the job's role may read"
            )
        return f"s3://{path}"
    if CONSOLE.fullmatch(parts.netloc) and path.startswith(("s3/buckets/", "s3/object/")):
        prefix = parse_qs(parts.query).get("prefix", [""])[0]
        return f"s3://{path.split('/')[2]}/{prefix}"
    return url
