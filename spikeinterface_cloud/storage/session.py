"""A session with S3: who asks, over which connections, and what an error means.

boto3 finds the credentials, by its own chain; obstore's stores get them from it.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from spikeinterface_cloud.aws_errors import explain_session, translate_errors
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import CloudJobError, SourceError
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts, client_options, retry_config

if TYPE_CHECKING:
    from obstore.store import S3Config
    from pydantic import SecretStr

    from spikeinterface_cloud.config.settings import AwsSettings

#: boto3 renews temporary credentials ten minutes before they end: what obstore keeps is never that
#: old
CREDENTIALS_KEPT = timedelta(minutes=5)

#: what boto3 calls the region when none was configured
NO_REGION = (None, "aws-global")


class S3Session:
    """boto3's client, and the obstore stores that share its credentials."""

    def __init__(self, access: AwsSettings, *, unsigned: bool, patience: NetworkTimeouts) -> None:
        """Connect to nothing yet.

        Raises SettingsError for what boto3 cannot begin with, TransferError where the machine's own
        service does not give credentials.
        """
        self.patience = patience
        try:
            self._session = boto3.Session(
                aws_access_key_id=_secret(access.access_key_id),
                aws_secret_access_key=_secret(access.secret_access_key),
                aws_session_token=_secret(access.session_token),
                region_name=access.region_name,
            )
            self._unsigned = unsigned or self._session.get_credentials() is None
            self.client = self._session.client(
                "s3", endpoint_url=access.endpoint_url, config=self._client_config()
            )
        except (BotoCoreError, ValueError) as error:
            raise explain_session(error) from error
        self._stores: dict[str, S3Store] = {}
        self._lock = threading.Lock()

    def object_store(self, bucket: str) -> S3Store:
        """The obstore store of a bucket; the same one, with its connections, each time."""
        with self._lock:
            if bucket not in self._stores:
                self._stores[bucket] = self._new_store(bucket)
            return self._stores[bucket]

    def translate_errors(
        self, operation: str, location: S3Location, raises: type[CloudJobError]
    ) -> AbstractContextManager[None]:
        """Raise botocore's errors as our own."""
        return translate_errors(operation, location, raises=raises, unsigned=self._unsigned)

    def _client_config(self) -> Config:
        unsigned = {"signature_version": UNSIGNED} if self._unsigned else {}
        return Config(
            retries={"mode": "standard", "total_max_attempts": self.patience.attempts},
            connect_timeout=self.patience.connect_s,
            read_timeout=self.patience.stall_s,
            max_pool_connections=32,
            # digests are checked here, and rclone's server states the whole object's for a range
            response_checksum_validation="when_required",
            **unsigned,
        )

    def _new_store(self, bucket: str) -> S3Store:
        endpoint = str(self.client.meta.endpoint_url)
        custom = not (urlsplit(endpoint).hostname or "").endswith(
            (".amazonaws.com", ".amazonaws.com.cn")
        )
        config: S3Config = {
            "region": self._region() if custom else self._bucket_region(bucket),
            "skip_signature": self._unsigned,
        }
        if custom:
            # both names: obstore would let AWS_ENDPOINT_URL_S3 of the environment win over one
            config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
        provider = (
            None if self._unsigned else Boto3CredentialProvider(self._session, ttl=CREDENTIALS_KEPT)
        )
        return S3Store(
            bucket,
            config=config,
            client_options=client_options(self.patience, allow_http=endpoint.startswith("http:")),
            retry_config=retry_config(self.patience),
            credential_provider=provider,
        )

    def _region(self) -> str:
        region = self.client.meta.region_name
        return "us-east-1" if region in NO_REGION else str(region)

    def _bucket_region(self, bucket: str) -> str:
        """The region that S3 names in its answer about a bucket, which it does even when it denies
        access."""
        with self.translate_errors("look up the region of", S3Location(bucket=bucket), SourceError):
            try:
                reply: Any = self.client.head_bucket(Bucket=bucket)
            except ClientError as error:
                reply = error.response
                if "x-amz-bucket-region" not in reply["ResponseMetadata"]["HTTPHeaders"]:
                    raise
        headers = reply["ResponseMetadata"]["HTTPHeaders"]
        return str(headers.get("x-amz-bucket-region") or self._region())


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()
