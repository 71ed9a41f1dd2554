"""Checks of the variables of AWS and DANDI by their text alone."""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from spikeinterface_cloud.config.parsing import is_true

#: a region of AWS
AWS_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")

#: what boto3 takes for a region: other servers have names of their own
REGION = re.compile(r"(?!\d+$)(?!-)[A-Za-z0-9-]{1,63}(?<!-)")

#: characters of a key, as a header of a request holds it
SENDABLE = re.compile(r"[\x21-\x7e]+")

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

#: a host, and its port, without a scheme
HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?/?")


def find_aws_problems(given: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable that keeps boto3 from reaching S3."""
    yield from _partial_credentials(given)
    yield from _unsendable(given, CREDENTIALS)
    region = given.get("AWS_REGION_NAME")
    if region is not None and (problem := find_region_problem(region)):
        yield f"AWS_REGION_NAME: {problem}"
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        if name in given and not _is_server(given[name]):
            yield f"{name}: {_what_it_is(given[name])}"


def find_dandi_problems(given: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each variable that keeps DANDI's client from reaching an archive."""
    yield from _unsendable(given, ("DANDI_API_KEY",))
    name = "DANDI_INSTANCE_URL"
    if name in given and not _is_server(given[name]):
        yield f"{name}: {_what_it_is(given[name])}"


def find_dandiset_problems(given: Mapping[str, str]) -> Iterator[str]:
    """Yield why the units cannot go to the draft dandiset that is named, if one is."""
    if "TARGET_DANDISET" not in given:
        return
    if not re.search(r"\bnwb\b", given.get("EXPORTS", ""), re.IGNORECASE):
        yield "TARGET_DANDISET: takes the units as NWB; set EXPORTS=nwb as well"
    if is_true(given, "TEST_WITH_TOY_RECORDING") or given.get("DATA_TYPE", "nwb") != "nwb":
        yield (
            "TARGET_DANDISET: needs an NWB source, which has the subject and session; leave it out"
        )
    if is_true(given, "TEST_WITH_SUB_RECORDING"):
        yield (
            "TARGET_DANDISET: units of the first frames only are not for an archive; leave "
            "TEST_WITH_SUB_RECORDING or TARGET_DANDISET out"
        )


def _unsendable(given: Mapping[str, str], names: Iterable[str]) -> Iterator[str]:
    """Yield secrets that no header of a request can hold, without showing them."""
    for name in names:
        if name in given and not SENDABLE.fullmatch(given[name]):
            yield (
                f"{name}: holds a line end, a space or a letter that is not ASCII, which no key "
                "has; copy it again"
            )


def _partial_credentials(given: Mapping[str, str]) -> Iterator[str]:
    """Yield incomplete credentials."""
    pair = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    missing = [name for name in pair if name not in given]
    if len(missing) == 1:
        [one] = set(pair) - set(missing)
        yield f"{missing[0]}: missing, though {one} is given; give both, or use a job role instead"
    elif missing and "AWS_SESSION_TOKEN" in given:
        yield (
            f"AWS_SESSION_TOKEN: given without {' and '.join(pair)}; give all three, or use a job "
            "role instead"
        )


def find_region_problem(text: str) -> str | None:
    """Return why a text is not the name of a region; None if it may be one."""
    meant = re.sub(r"[_\s]+", "-", text.strip().lower())
    if AWS_REGION.fullmatch(zone := meant[:-1]) and meant[-1:].isalpha():
        meant = zone
    is_of_aws = AWS_REGION.fullmatch(meant) is not None
    if text == meant if is_of_aws else REGION.fullmatch(text):
        return None
    example = meant if is_of_aws else "us-east-1"
    return f"{text!r} is not the name of a region; write it like {example}"


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not re.search(r"\s", url)
        )
    except ValueError:  # a port that is none, a bracket that is not closed
        return False


def _what_it_is(url: str) -> str:
    if "@" in url:  # a password may stand before it
        return "is not the URL of a server; write one like http://localhost:9000"
    example = f"http://{url}" if HOST.fullmatch(url) else "one like http://localhost:9000"
    return f"{url!r} is not the URL of a server; write {example}"
