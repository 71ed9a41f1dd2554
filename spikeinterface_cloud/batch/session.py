"""The session with AWS: the one place that makes clients.

Only what the user gave is passed on; the rest is left to botocore's own chain of profiles, roles
and endpoints.
"""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config

from spikeinterface_cloud.batch.refusals import explained


class AwsSession:
    """botocore's session, made when the first client is asked for.

    boto3's own would do no more for these clients, and takes as long again to import.
    """

    def __init__(self, profile: str | None = None, region: str | None = None) -> None:
        self._profile = profile
        self._region = region
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The client of the service, like `batch`; the same one each time.

        Raises
        ------
        AwsRefusal
            There is no such profile, or no region.
        """
        if service not in self._clients:
            with explained(f"connect to AWS ({service})"):
                self._clients[service] = self._new_client(service)
        return self._clients[service]

    def impatient_client(self, service: str, endpoint_url: str | None) -> Any:
        """A client that gives up soon, for a question whose answer can be done without.

        Parameters
        ----------
        endpoint_url
            the server to ask; None for botocore's own choice

        Raises
        ------
        AwsRefusal
            There is no such profile, or no region.
        """
        config = Config(retries={"total_max_attempts": 2}, connect_timeout=3, read_timeout=5)
        with explained(f"connect to AWS ({service})"):
            return self._botocore_session().create_client(
                service, region_name=self._region, config=config, endpoint_url=endpoint_url
            )

    def _new_client(self, service: str) -> Any:
        # adaptive: it slows down as a whole while AWS throttles
        config = Config(retries={"mode": "adaptive", "max_attempts": 10}, max_pool_connections=32)
        session = self._botocore_session()
        return session.create_client(service, region_name=self._region, config=config)

    def _botocore_session(self) -> Any:
        if self._session is None:
            self._session = botocore.session.Session(profile=self._profile)
        return self._session
