"""The EC2 instance of the job, from its metadata service (IMDSv2).

The service is only queried if there is a sign of AWS, so that a job on a laptop does not wait.

Neither ec2-metadata nor botocore's public fetchers fit: the first has no timeout or endpoint, and
sends the token through proxies; the second fetch credentials and the region only.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

#: the default, which the variable overrides
ENDPOINT = "http://169.254.169.254"
ENDPOINT_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
DISABLED_VARIABLE = "AWS_EC2_METADATA_DISABLED"

#: what AWS sets in the containers that it starts
AWS_VARIABLES = ("AWS_BATCH_JOB_ID", "AWS_EXECUTION_ENV", "ECS_CONTAINER_METADATA_URI_V4")

#: names the maker of the (virtual) machine, inside containers too
MACHINE_VENDOR = Path("/sys/devices/virtual/dmi/id/sys_vendor")
AMAZON = "Amazon EC2"

#: the service is on the machine itself and answers in milliseconds, or not at all
TIMEOUT_S = 1.0

TOKEN_TTL_S = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """The EC2 instance of the job."""

    #: as `g4dn.2xlarge`
    instance_type: str
    region: str
    availability_zone: str
    #: `on-demand`, `spot`, `scheduled` or `capacity-block`
    life_cycle: str
    identifier: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownInstance:
    """No known instance."""

    #: why
    reason: str


def find_instance(
    environ: Mapping[str, str],
    machine_vendor: Path = MACHINE_VENDOR,
    timeout_s: float = TIMEOUT_S,
) -> Instance | UnknownInstance:
    """Query the metadata service for this instance, if there is a sign of AWS.

    Each of its three answers may take `timeout_s`.
    """
    if environ.get(DISABLED_VARIABLE, "").strip().lower() == "true":
        return UnknownInstance(reason=f"{DISABLED_VARIABLE} is set")
    if not _on_aws(environ, machine_vendor):
        return UnknownInstance(reason="this machine is not an EC2 instance")
    endpoint = _endpoint(environ)
    try:
        return _ask(endpoint, timeout_s)
    except (OSError, HTTPException, ValueError) as error:
        return UnknownInstance(
            reason=f"the instance's metadata at {endpoint} cannot be read "
            f"({error or type(error).__name__}); a container reaches them where the instance's "
            "HttpPutResponseHopLimit is 2 or more"
        )


def read_metadata(
    environ: Mapping[str, str], path: str, timeout_s: float = TIMEOUT_S
) -> str | None:
    """Return one item of the instance's metadata, or None if it is not available."""
    endpoint = _endpoint(environ)
    try:
        return _request(endpoint, "GET", path, _token(endpoint, timeout_s), timeout_s)
    except (OSError, HTTPException, ValueError):
        return None


def _endpoint(environ: Mapping[str, str]) -> str:
    return environ.get(ENDPOINT_VARIABLE, "").strip() or ENDPOINT


def _on_aws(environ: Mapping[str, str], machine_vendor: Path) -> bool:
    if any(environ.get(name, "").strip() for name in (ENDPOINT_VARIABLE, *AWS_VARIABLES)):
        return True
    try:
        return machine_vendor.read_text().strip() == AMAZON
    except OSError:
        return False


def _ask(endpoint: str, timeout_s: float) -> Instance:
    with_token = _token(endpoint, timeout_s)
    document = "/latest/dynamic/instance-identity/document"
    identity = json.loads(_request(endpoint, "GET", document, with_token, timeout_s))
    life_cycle = "/latest/meta-data/instance-life-cycle"
    try:
        return Instance(
            instance_type=identity["instanceType"],
            region=identity["region"],
            availability_zone=identity["availabilityZone"],
            life_cycle=_request(endpoint, "GET", life_cycle, with_token, timeout_s).strip(),
            identifier=identity["instanceId"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no {error} in the identity document") from error


def _token(endpoint: str, timeout_s: float) -> dict[str, str]:
    """Return the header with a session token."""
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_TTL_S)}
    token = _request(endpoint, "PUT", "/latest/api/token", ttl, timeout_s)
    return {"X-aws-ec2-metadata-token": token}


def _request(
    endpoint: str, method: str, path: str, headers: Mapping[str, str], timeout_s: float
) -> str:
    """Return the answer's text, without proxies or redirects, because the token is secret."""
    address = urlsplit(endpoint)
    if address.scheme != "http" or address.hostname is None:
        raise ValueError(f"{endpoint} is not an address like {ENDPOINT}")
    connection = HTTPConnection(address.hostname, address.port, timeout=timeout_s)
    try:
        connection.request(method, f"{address.path.rstrip('/')}{path}", headers=dict(headers))
        reply = connection.getresponse()
        text = reply.read().decode()
    finally:
        connection.close()
    if reply.status != 200:
        raise ValueError(f"{method} {path} was answered with {reply.status}")
    return text
