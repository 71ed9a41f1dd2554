"""Other ways to write a location on S3: by its https URL, its page in the console, or its ARN."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from spikeinterface_cloud.config.locations import S3Location, is_of_dandi, web_location
from spikeinterface_cloud.errors import SettingsError

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
    location = web_location(url) if url.startswith("https://") else None
    if location is None or is_of_dandi(_without_slash(location)):
        return url
    if version := parse_qs(urlsplit(url).query).get("versionId"):
        raise SettingsError(
            f"{option}: version {version[0]} of {location} cannot be named, as the current version "
            f"is what is read; give {location} for that one, or copy this version to a key of its "
            "own (`aws s3api copy-object`) and give that"
        )
    if "signature=" in urlsplit(url).query.lower():
        raise SettingsError(
            f"{option}: a signed URL would show its signature to everyone who may describe "
            f"jobs, and ends soon; give {location}, which the job's role may read"
        )
    return str(location)


def _without_slash(location: S3Location) -> S3Location:
    return S3Location(bucket=location.bucket, key=location.key.rstrip("/"))
