"""Credentials that a service beside the job gives, as AWS Batch's does, and settings that AWS's
client cannot begin with."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import AwsSettings
from spikeinterface_cloud.errors import SettingsError, TransferError
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.remote_file import s3_files
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.upload import upload
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY, S3Server, free_port
from tests.support.transfers import STEADY, tree

pytestmark = pytest.mark.integration

#: of the container's own service
SERVICE = "AWS_CONTAINER_CREDENTIALS_FULL_URI"

#: AWS's client asks this often before it says that there are none
ASKED = 3


class CredentialService(ThreadingHTTPServer):
    """Gives credentials that must be requested each time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/role"
        #: how many of the next requests it is too busy for
        self.busy = 0


class _Handler(BaseHTTPRequestHandler):
    server: CredentialService

    def do_GET(self) -> None:
        if self.server.busy:
            self.server.busy -= 1
            self.send_error(500)
            return
        soon = datetime.now(UTC) + timedelta(seconds=60)
        body = json.dumps(
            {
                "AccessKeyId": ACCESS_KEY,
                "SecretAccessKey": SECRET_KEY,
                "Token": "token",
                "Expiration": f"{soon:%Y-%m-%dT%H:%M:%SZ}",
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[CredentialService]:
    with CredentialService() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CredentialService]:
    """The only place where there are credentials."""
    leave_none(monkeypatch, tmp_path)
    with serving() as server:
        monkeypatch.setenv(SERVICE, server.url)
        yield server


def leave_none(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Take away whatever credentials the machine has."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "no-credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "no-config"))


@pytest.fixture
def spikes(tmp_path: Path) -> Path:
    """A file to send."""
    file = tmp_path / "spikes.npy"
    file.write_bytes(b"spikes")
    return file


def access(server: S3Server) -> AwsSettings:
    return AwsSettings(endpoint_url=server.url, region_name=REGION)


def test_busy_credential_service_is_retried(
    service: CredentialService, moto_s3: S3Server, bucket: str, spikes: Path, tmp_path: Path
) -> None:
    storage = Storage(access(moto_s3), timeouts=STEADY)
    target = S3Location(bucket=bucket, key="results")
    service.busy = ASKED
    upload([(spikes, target.child("spikes.npy"))], storage)
    assert service.busy == 0

    fresh = Storage(access(moto_s3), timeouts=STEADY)
    files = s3_files(fresh, storage.list_objects(target), target)
    service.busy = ASKED
    download(files, tmp_path / "fetched", timeouts=STEADY)
    assert service.busy == 0
    assert tree(tmp_path / "fetched") == {"spikes.npy": b"spikes"}


def test_failing_credential_service_is_a_transfer_error(
    service: CredentialService, moto_s3: S3Server, bucket: str, spikes: Path
) -> None:
    storage = Storage(access(moto_s3), timeouts=STEADY)
    service.busy = 1000  # more than anybody asks
    with pytest.raises(TransferError, match="retrieving credentials from container-role") as caught:
        upload([(spikes, S3Location(bucket=bucket, key="spikes.npy"))], storage)
    assert caught.value.exit_code == 75


def test_unreachable_credential_service_is_a_transfer_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    leave_none(monkeypatch, tmp_path)
    monkeypatch.setenv(SERVICE, f"http://127.0.0.1:{free_port()}/role")
    with pytest.raises(TransferError, match=r"get credentials for S3 .*container-role") as caught:
        Storage(AwsSettings())
    assert caught.value.exit_code == 75


@pytest.mark.parametrize(
    ("access", "profile", "message"),
    [
        ({"endpoint_url": "localhost:9000"}, None, "Invalid endpoint: localhost:9000"),
        ({"region_name": "us east 1"}, None, "'us east 1' doesn't match a supported format"),
        ({}, "nope", r"\(nope\) could not be found"),
    ],
)
def test_invalid_session_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    access: dict[str, str],
    profile: str | None,
    message: str,
) -> None:
    leave_none(monkeypatch, tmp_path)
    if profile is not None:
        monkeypatch.setenv("AWS_PROFILE", profile)
    with pytest.raises(SettingsError, match=message) as caught:
        Storage(AwsSettings.model_validate(access))
    assert caught.value.exit_code == 78
    assert "\n" not in str(caught.value)
