"""A stand-in for the metadata service of an EC2 instance, over real HTTP (IMDSv2 only)."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

IDENTITY = {
    "accountId": "123456789012",
    "availabilityZone": "us-east-1d",
    "imageId": "ami-0abc",
    "instanceId": "i-0abc",
    "instanceType": "g4dn.2xlarge",
    "region": "us-east-1",
}


class MetadataStandIn(ThreadingHTTPServer):
    """The server at 169.254.169.254 on an instance; it requires a token."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.documents: dict[str, bytes] = {
            "/latest/dynamic/instance-identity/document": json.dumps(IDENTITY).encode(),
            "/latest/meta-data/instance-life-cycle": b"spot",
        }
        #: seconds until the token, as with packets that never arrive
        self.token_delay_s = 0.0
        self.requests: list[tuple[str, str]] = []

    @property
    def environ(self) -> dict[str, str]:
        """The variable that points AWS's own tools to the server."""
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{self.server_port}/"}


class _Handler(BaseHTTPRequestHandler):
    server: MetadataStandIn

    def do_PUT(self) -> None:
        self.server.requests.append(("PUT", self.path))
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "0")
        time.sleep(self.server.token_delay_s)
        if self.path != "/latest/api/token" or not 1 <= int(ttl) <= 21600:
            self._answer(400, b"")
        else:
            self._answer(200, b"the-token")

    def do_GET(self) -> None:
        self.server.requests.append(("GET", self.path))
        if self.headers.get("X-aws-ec2-metadata-token") != "the-token":
            self._answer(401, b"")
        elif self.path in self.server.documents:
            self._answer(200, self.server.documents[self.path])
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""


@contextmanager
def metadata_stand_in() -> Iterator[MetadataStandIn]:
    """Run the service."""
    with MetadataStandIn() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
