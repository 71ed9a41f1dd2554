"""A cloud that containers of this machine reach: moto's S3, Batch and logs, on every address."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.end_to_end.containers.containers import HOST
from tests.end_to_end.job import s3_access
from tests.servers import S3Server, access_to, client_of, free_port

START_TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """A running moto server."""

    port: int

    @property
    def server(self) -> S3Server:
        """The server as this machine reaches it."""
        return S3Server(url=f"http://127.0.0.1:{self.port}")

    def client(self, service: str) -> Any:
        """A boto3 client of one of its services."""
        return client_of(access_to(self.server.url), service)

    @property
    def variables(self) -> dict[str, str]:
        """What a container has to be given to reach it."""
        return s3_access(f"http://{HOST}:{self.port}")


@contextmanager
def open_cloud() -> Iterator[Cloud]:
    """A server of its own process; its Batch starts containers in this machine's engine."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "0.0.0.0", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        cloud = Cloud(port=port)
        _wait_until_answers(cloud.server.url, process)
        yield cloud
    finally:
        process.terminate()
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
