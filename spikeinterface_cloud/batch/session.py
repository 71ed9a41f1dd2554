"""The session with AWS: the one place that makes clients.

Only what the user gave is passed on; profiles, roles and endpoints are left to boto3's own chain.
"""

from __future__ import annotations

from typing import Any

from spikeinterface_cloud.batch.refusals import explained


class AwsSession:
    """boto3's session, made when the first client is asked for."""

    def __init__(self, profile: str | None = None, region: str | None = None) -> None:
        self._given = {
            name: value
            for name, value in (("profile_name", profile), ("region_name", region))
            if value is not None
        }
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The client of the service, like `batch`; the same one each time.

        Raises
        ------
        AwsRefusal
            There is no such profile, or no region.
        """
        import boto3  # slow, and no job is refused for want of it
        from botocore.config import Config

        if service in self._clients:
            return self._clients[service]
        with explained(f"connect to AWS ({service})"):
            if self._session is None:
                self._session = boto3.Session(**self._given)
            # adaptive: it slows down as a whole while AWS throttles
            config = Config(
                retries={"mode": "adaptive", "max_attempts": 10}, max_pool_connections=32
            )
            self._clients[service] = self._session.client(service, config=config)
        return self._clients[service]
