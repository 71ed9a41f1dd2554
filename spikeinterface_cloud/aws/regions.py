"""The region that a user names: whether there is one of this name, before AWS is called for it."""

from __future__ import annotations

import socket
from typing import Any

from botocore.configprovider import ConfiguredEndpointProvider
from botocore.utils import get_environ_proxies

from spikeinterface_cloud.config.aws import AWS_REGION, find_region_problem
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.errors import CloudJobError


class OptionError(CloudJobError, ValueError):
    """An option is missing or wrong (2)."""

    exit_code = 2


def check_region(session: Any, region: str) -> None:
    """Raise an OptionError for a region that AWS has not; other servers have names of their own.

    botocore may be older than a region, so one that it does not know is looked up by its server.
    """
    if problem := find_region_problem(region):
        raise OptionError(f"--region: {problem}")
    configured = ConfiguredEndpointProvider(
        session.full_config, session.get_scoped_config(), "batch"
    )
    if configured.provide():
        return
    partitions = session.get_available_partitions()
    known = [name for each in partitions for name in session.get_available_regions("ec2", each)]
    if region not in known and not (AWS_REGION.fullmatch(region) and _has_server(region)):
        remedy = nearest(region, known) or "; `aws ec2 describe-regions` lists the regions"
        raise OptionError(f"--region: AWS has no region {region} that is found from here{remedy}")


def _has_server(region: str) -> bool:
    host = f"batch.{region}.amazonaws.com"
    if get_environ_proxies(f"https://{host}"):
        return True  # names are looked up by the proxy
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True
