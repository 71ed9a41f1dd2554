"""S3 as the container's settings reach it: botocore's client, and obstore's stores beside it.

botocore finds the credentials, by its own chain; obstore's stores get them from it.
"""

from __future__ import annotations

import logging
import threading
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.session
import obstore
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.utils import parse_timestamp
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError
from obstore.store import S3Store

from spikeinterface_cloud.aws_errors import explain_session
from spikeinterface_cloud.aws_models import read_models_as_dicts
from spikeinterface_cloud.aws_replies import refuse_foreign_replies
from spikeinterface_cloud.errors import CloudJobError, SourceError, TargetError, TransferError
from spikeinterface_cloud.storage.retries import final_status, first_line
from spikeinterface_cloud.storage.s3 import S3Objects
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts, client_options, retry_config

if TYPE_CHECKING:
    from obstore.store import S3Config

    from spikeinterface_cloud.config.locations import S3Location
    from spikeinterface_cloud.config.settings import AwsSettings

logger = logging.getLogger(__name__)

#: below the ten minutes before their end when boto3 renews temporary credentials
CREDENTIALS_TTL = timedelta(minutes=5)


class Storage(S3Objects):
    """S3, or a server that speaks its language, with one set of credentials."""

    def __init__(
        self,
        access: AwsSettings,
        *,
        unsigned: bool = False,
        timeouts: NetworkTimeouts | None = None,
    ) -> None:
        """Open no connection yet; `unsigned` sends no credentials, as to public buckets."""
        self._access = access
        self.timeouts = timeouts or NetworkTimeouts()
        try:
            self._session = _botocore_session(access)
            unsigned = unsigned or self._session.get_credentials() is None
            client: Any = self._session.create_client(
                "s3",
                endpoint_url=access.endpoint_url,
                config=_client_config(self.timeouts, unsigned=unsigned),
            )
        except (BotoCoreError, ValueError) as error:
            raise explain_session(error) from error
        refuse_foreign_replies(client)
        super().__init__(client, unsigned=unsigned, requester_pays=access.requester_pays)
        self._stores: dict[tuple[str, bool], S3Store] = {}
        self._lock = threading.Lock()

    def with_timeouts(self, timeouts: NetworkTimeouts) -> Storage:
        """Return the same storage with other timeouts."""
        return Storage(self._access, unsigned=self._unsigned, timeouts=timeouts)

    def object_store(self, bucket: str, *, retries: bool = True) -> S3Store:
        """Return the obstore store of a bucket; the same one, with its connections, each time.

        Without `retries`, it sends each request once.
        """
        with self._lock:
            if (bucket, retries) not in self._stores:
                self._stores[bucket, retries] = self._new_store(bucket, retries=retries)
            return self._stores[bucket, retries]

    def target_store(self, bucket: str, *, retries: bool = True) -> S3Store:
        """Return the obstore store of a bucket to write to. Raises TargetError."""
        try:
            return self.object_store(bucket, retries=retries)
        except SourceError as error:  # its words are about any bucket, its code is not
            raise TargetError(str(error)) from error

    def check_writable(self, target: S3Location) -> None:
        """Write a tiny object into `target`, by both clients that will, and delete it again.

        A role that may write but not delete passes, with a warning that names what it leaves
        behind.
        """
        trial = target.child(f".write-test-{uuid.uuid4()}")
        with self._translate_errors("write", target, TargetError):
            self._put(trial, b"")
        try:
            obstore.put(self.target_store(trial.bucket), trial.key, b"")
        except BaseError as error:
            if final_status(error) is None:
                raise TransferError("write", "a test", str(target), first_line(error)) from error
            raise TargetError(f"cannot write {target}: {first_line(error)}") from error
        try:
            self.remove_object(trial)
        except CloudJobError as error:
            logger.warning("the empty test object %s could not be deleted again: %s", trial, error)

    def _new_store(self, bucket: str, *, retries: bool) -> S3Store:
        endpoint = str(self._client.meta.endpoint_url)
        host = urlsplit(endpoint).hostname or ""
        region = self._client.meta.region_name
        if region in (None, "aws-global"):
            region = "us-east-1"
        config: S3Config = {
            "skip_signature": self._unsigned,
            "request_payer": self._access.requester_pays,
        }
        if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
            config["region"] = self.bucket_region(bucket) or region
        else:
            # both names: obstore would let AWS_ENDPOINT_URL_S3 of the environment win over one
            config |= {"region": region, "endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
        return S3Store(
            bucket,
            config=config,
            client_options=client_options(self.timeouts, allow_http=endpoint.startswith("http:")),
            retry_config=retry_config(self.timeouts, retries=retries),
            credential_provider=None
            if self._unsigned
            else Boto3CredentialProvider(self._session, ttl=CREDENTIALS_TTL),
        )


def _botocore_session(access: AwsSettings) -> botocore.session.Session:
    """Return a session that reads timestamps without dateutil, two thirds of a listing's CPU.

    boto3's own would do no more for S3, and takes 20 ms longer for each client.
    """
    session = botocore.session.get_session()
    read_models_as_dicts(session)
    if access.access_key_id is not None and access.secret_access_key is not None:
        session.set_credentials(
            access.access_key_id.get_secret_value(),
            access.secret_access_key.get_secret_value(),
            None if access.session_token is None else access.session_token.get_secret_value(),
        )
    if access.region_name is not None:
        session.set_config_variable("region", access.region_name)
    factory = session.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=_timestamp)
    return session


def _timestamp(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):  # headers have other formats
        return parse_timestamp(value)


def _client_config(timeouts: NetworkTimeouts, *, unsigned: bool) -> Config:
    return Config(
        retries={"mode": "standard", "total_max_attempts": timeouts.attempts},
        connect_timeout=timeouts.connect_s,
        read_timeout=timeouts.stall_s,
        max_pool_connections=32,
        # digests are checked here, and some servers state the whole object's for a range
        response_checksum_validation="when_required",
        signature_version=UNSIGNED if unsigned else None,
    )
