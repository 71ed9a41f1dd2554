"""The session with AWS: the one place that makes clients.

Only what the user gave is passed on; the rest is left to botocore's own chain of profiles, roles
and endpoints. What AWS or that chain refuses is an AwsError.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import SSLError

from spikeinterface_cloud.aws.credentials import load_credentials
from spikeinterface_cloud.aws.regions import check_region
from spikeinterface_cloud.aws_errors import UNTRUSTED, AwsError, one_line, translate_errors
from spikeinterface_cloud.aws_models import read_models_as_dicts
from spikeinterface_cloud.aws_replies import refuse_foreign_replies

if TYPE_CHECKING:
    from spikeinterface_cloud.storage.s3 import S3Objects


class AwsSession:
    """botocore's session, created with the first client.

    boto3's own would do no more for these clients, and takes as long again to import.
    """

    def __init__(
        self,
        profile: str | None = None,
        region: str | None = None,
        *,
        fallback_region: str | None = None,
        max_attempts: int = 10,
        requester_pays: bool = False,
    ) -> None:
        """Open no connection yet.

        `fallback_region` is for a profile without a region; `requester_pays` charges the account
        for requests to buckets of others.
        """
        self._profile = profile
        self._region = region
        self._fallback_region = fallback_region
        self._max_attempts = max_attempts
        self._requester_pays = requester_pays
        self._session: Any = None
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._quick_storage: dict[str | None, S3Objects] = {}

    def client(self, service: str, region: str | None = None) -> Any:
        """Return the client of the service, like `batch`; the same one each time."""
        if (service, region) not in self._clients:
            with translate_errors(f"connect to AWS ({service})"):
                self._clients[service, region] = self._new_client(service, region)
        return self._clients[service, region]

    @property
    def region(self) -> str | None:
        """The region that options, variables or the profile name, without credentials."""
        if self._region is None and self._session is None:
            with translate_errors("read the profile"):
                session = botocore.session.Session(profile=self._profile)
                return session.get_scoped_config().get("region") or self._fallback_region
        return self._region

    def account(self) -> str | None:
        """Return the number of the account; None if AWS does not say."""
        try:
            with translate_errors("look up the account"):
                return str(self.client("sts").get_caller_identity()["Account"])
        except AwsError:
            return None

    @property
    def storage(self) -> S3Objects:
        """S3 as this session reaches it."""
        return self._objects(self.client("s3"))

    def quick_storage(self, endpoint_url: str | None) -> S3Objects:
        """S3 at that server, or at the session's own, for questions that may stay unanswered."""
        if endpoint_url not in self._quick_storage:
            retries: Any = {"mode": "standard", "total_max_attempts": 1}
            config = Config(retries=retries, connect_timeout=3, read_timeout=5)
            with translate_errors("connect to AWS (s3)"):
                client = self._new_client("s3", endpoint_url=endpoint_url, config=config)
            self._quick_storage[endpoint_url] = self._objects(client)
        return self._quick_storage[endpoint_url]

    def _objects(self, client: Any) -> S3Objects:
        from spikeinterface_cloud.storage.s3 import S3Objects  # not for commands without S3

        return S3Objects(client, raises=AwsError, requester_pays=self._requester_pays)

    def _new_client(self, service: str, region: str | None = None, **options: Any) -> Any:
        # adaptive: it slows down as a whole while AWS throttles
        retries: Any = {"mode": "adaptive", "max_attempts": self._max_attempts}
        options = {"config": Config(retries=retries, max_pool_connections=32), **options}
        session = self._botocore_session()
        client = session.create_client(service, region_name=region or self._region, **options)
        refuse_foreign_replies(client)
        return client

    def _botocore_session(self) -> Any:
        if self._session is None:
            session = botocore.session.Session(profile=self._profile)
            read_models_as_dicts(session)
            _check_ca_bundle(session)
            session.register("needs-retry", _raise_untrusted)
            of_profile = session.get_scoped_config().get("region")
            self._region = self._region or of_profile or self._fallback_region
            if self._region:
                check_region(session, self._region)
            load_credentials(session)
            self._session = session
        return self._session


def _check_ca_bundle(session: Any) -> None:
    """Raise AwsError for a file without certificates, which botocore takes for a bad network."""
    bundle = session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    if not bundle:
        return
    remedy = "correct AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or ca_bundle in ~/.aws/config"
    if not Path(bundle).exists():
        raise AwsError(f"there is no file {bundle} with the certificates of servers; {remedy}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
    except OSError as error:
        raise AwsError(
            f"{bundle} holds no certificates of servers that can be read: {one_line(error)}; "
            f"{remedy}"
        ) from error


def _raise_untrusted(caught_exception: Exception | None = None, **_: Any) -> None:
    """End botocore's retries of a server that will not be trusted the next time either."""
    if isinstance(caught_exception, SSLError) and UNTRUSTED in str(caught_exception):
        raise caught_exception
