"""The session with AWS: the one place that makes clients.

Only what the user gave is passed on; the rest is left to botocore's own chain of profiles, roles
and endpoints.
"""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from spikeinterface_cloud.aws_errors import translate_errors


class AwsSession:
    """botocore's session, made when the first client is asked for.

    boto3's own would do no more for these clients, and takes as long again to import.
    """

    def __init__(
        self, profile: str | None = None, region: str | None = None, max_attempts: int = 10
    ) -> None:
        self._profile = profile
        self._region = region
        self._max_attempts = max_attempts
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The client of the service, like `batch`; the same one each time.

        Raises
        ------
        AwsError
            There is no such profile, or no region.
        """
        if service not in self._clients:
            with translate_errors(f"connect to AWS ({service})"):
                self._clients[service] = self._new_client(service)
        return self._clients[service]

    def head_bucket(self, bucket: str, endpoint_url: str | None) -> int | None:
        """The status that S3 answers for a bucket with; None where there is no answer to be had.

        One signed request without a client of S3, which takes longer to make than all the rest of
        a submission's requests. It is tried once, for a few seconds.

        Parameters
        ----------
        endpoint_url
            the server to ask; None for the one that botocore is told of, or else AWS
        """
        session = self._botocore_session()
        region = self.client("batch").meta.region_name
        credentials = session.get_credentials()
        if credentials is None:
            return None
        configured = ConfiguredEndpointProvider(
            session.full_config, session.get_scoped_config(), "s3"
        ).provide()
        resolver = session.get_component("endpoint_resolver")
        hostname = resolver.construct_endpoint("s3", region)["hostname"]
        server = (endpoint_url or configured or f"https://{hostname}").rstrip("/")
        request = AWSRequest("HEAD", f"{server}/{bucket}")
        S3SigV4Auth(credentials, "s3", region).add_auth(request)
        http = URLLib3Session(
            verify=session.get_config_variable("ca_bundle") or True,
            proxies=get_environ_proxies(server),
            timeout=(3, 5),  # type: ignore[arg-type]  # the stubs know one number only
        )
        try:
            return int(http.send(request.prepare()).status_code)
        except HTTPClientError:
            return None

    def _new_client(self, service: str) -> Any:
        # adaptive: it slows down as a whole while AWS throttles
        retries: Any = {"mode": "adaptive", "max_attempts": self._max_attempts}
        config = Config(retries=retries, max_pool_connections=32)
        session = self._botocore_session()
        return session.create_client(service, region_name=self._region, config=config)

    def _botocore_session(self) -> Any:
        if self._session is None:
            self._session = botocore.session.Session(profile=self._profile)
        return self._session
