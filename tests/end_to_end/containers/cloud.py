"""A cloud that containers of this machine reach: moto's S3, Batch and logs, on every address."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.end_to_end.containers.containers import HOST
from tests.support.job import s3_access
from tests.support.servers import S3Server, access_to, client_of, free_port, running


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
    cloud = Cloud(port=port)
    with running(command, cloud.server.url):
        yield cloud
