"""The base of the stand-in's two HTTP servers."""

from __future__ import annotations

import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from tests.support.dandi_stand_in.records import Fault, Request, ServerName

if TYPE_CHECKING:
    from tests.support.dandi_stand_in.archive import DandiStandIn


class Bare:
    """A body that is a text in JSON, not an object."""

    def __init__(self, text: str) -> None:
        self.text = text


class Refusal(Exception):
    """An error response of the API: an object with the detail, or any other body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.status = status
        self.body = {"detail": body} if isinstance(body, str) else body


class Handler(BaseHTTPRequestHandler):
    """Answers requests, and records each."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    server_name: ClassVar[ServerName]
    #: the key of the request
    user: str | None = None

    def __init__(self, archive: DandiStandIn, *arguments: Any) -> None:
        self.archive = archive
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer, unless the client has gone."""
        with suppress(ConnectionError):
            #: the request body, which is always read
            self.content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = self.archive.take_fault(self.server_name, self.command)
            if fault is Fault.STALL:
                self.archive.closing.wait()
            if fault in (Fault.STALL, Fault.BROKEN):
                self.close_connection = True
                return
            self.fault = fault
            self.answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def answer(self) -> None:
        """Answer the current request."""
        raise NotImplementedError

    def log_message(self, *_: Any) -> None:
        """Log nothing: requests are recorded."""

    def begin(self, status: int, headers: dict[str, str], size_bytes: int) -> None:
        """Record the request and send the response headers."""
        if self.fault is Fault.LOST_ANSWER:
            status, headers = 502, {}
        self.archive.record(
            Request(
                server=self.server_name,
                method=self.command,
                path=urlsplit(self.path).path,
                status=status,
                range=self.headers.get("Range"),
                authorised="Authorization" in self.headers or "X-Amz-Signature" in self.path,
            )
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size_bytes))
        self.end_headers()

    def send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        """Send a short response."""
        self.begin(status, headers, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_json(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        """Send a short response in JSON."""
        described = {"Content-Type": "application/json"} | (headers or {})
        self.send(status, described, json.dumps(body).encode())
