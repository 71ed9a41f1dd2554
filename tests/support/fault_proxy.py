"""An HTTP proxy in front of a server, which counts requests and injects faults."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self
from urllib.parse import urlsplit

BLOCK_BYTES = 64 * 1024

#: Headers that belong to one connection and are not passed on.
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})

#: Faults that end the connection.
BREAKS = frozenset({"reset", "truncate", "stall"})

Kind = Literal["reset", "truncate", "stall", "corrupt", "status", "damage", "drip"]

#: bytes in a drip, and seconds between drips
DROP_BYTES = 512
DROP_S = 0.02
DROPS = 20


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that passed the proxy."""

    method: str
    #: with the query
    path: str
    headers: Mapping[str, str]

    @property
    def range(self) -> str | None:
        """The Range header."""
        return self.headers.get("range")


def is_read(request: Request) -> bool:
    """Return whether the request reads an object or part of one, not a listing."""
    return request.method == "GET" and "list-type" not in request.path


def is_write(request: Request) -> bool:
    """Return whether the request writes bytes."""
    return request.method == "PUT"


@dataclass(kw_only=True)
class Fault:
    """A fault: its kind, the requests that it affects, and how many times.

    The answer breaks off (`reset`, `truncate`), stands still (`stall`), comes by drops for a while
    (`drip`), has a wrong byte (`corrupt`) or is a mere `status`; or the request's own body is
    stored with a wrong byte (`damage`).
    """

    kind: Kind
    #: bytes of the body that arrive before, none of the headers either when it is 0;
    #: for `corrupt` the position of the wrong byte
    after_bytes: int = 0
    #: whether it breaks, stands still or drips while the request's own body is on its way, so that
    #: the server never sees a request that was broken
    in_request: bool = False
    #: for `status`, with S3's own name of the error, and its words, where the answer has a body
    status: int = 503
    code: str = ""
    message: str = ""
    times: int = 1
    matches: Callable[[Request], bool] = is_read


@dataclass(kw_only=True)
class Counts:
    """Requests and bytes since the start or the last `clear`."""

    requests: list[Request] = field(default_factory=list)
    #: bytes of response bodies
    sent_bytes: int = 0
    #: faults that happened, by kind
    faults: Counter[str] = field(default_factory=Counter)


class FaultProxy(ThreadingHTTPServer):
    """The proxy; a context manager that serves while entered."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        self.upstream = (parts.hostname, parts.port or 80)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.counts = Counts()
        #: called with each request before it is forwarded
        self.on_request: Callable[[Request], None] = lambda _: None
        #: returns the fault of a request that no injected fault matches
        self.weather: Callable[[Request], Fault | None] = lambda _: None
        #: response headers that replace the server's; names in lower case
        self.answer_headers: dict[str, str] = {}
        #: response headers that are not passed on; names in lower case
        self.left_out: frozenset[str] = frozenset()
        #: whether requests for ranges are passed on as such, or as requests for the whole
        self.knows_ranges = True
        #: request headers that are not passed on; names in lower case
        self.drop_headers: frozenset[str] = frozenset()
        self.requests_under_way = 0
        self.closing = threading.Event()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def inject(self, fault: Fault) -> None:
        """Inject `fault` into the next requests that it matches."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget faults and counts."""
        with self._lock:
            self._faults.clear()
            self.counts = Counts()

    def reads(self) -> list[Request]:
        """Return the requests that read objects."""
        return [request for request in self.counts.requests if is_read(request)]

    def take(self, request: Request) -> Fault | None:
        """Count a request and return its fault, if any."""
        with self._lock:
            self.counts.requests.append(request)
            for fault in self._faults:
                if fault.times > 0 and fault.matches(request):
                    fault.times -= 1
                    return fault
            return self.weather(request)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a request as in flight."""
        with self._lock:
            self.requests_under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self.requests_under_way -= 1

    def count_sent(self, size_bytes: int) -> None:
        """Count bytes of a body."""
        with self._lock:
            self.counts.sent_bytes += size_bytes

    def count_fault(self, fault: Fault) -> None:
        """Count a fault."""
        with self._lock:
            self.counts.faults[fault.kind] += 1

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def _pass_on(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(method=self.command, path=self.path, headers=headers)
        fault = self.server.take(request)
        length = int(headers.get("content-length", 0))
        if fault is not None and fault.in_request and fault.kind in BREAKS and length:
            self.rfile.read(min(fault.after_bytes, length - 1))
            self._break(fault)
            return
        body = self._read_body(length, fault)
        with self.server.under_way():
            self.server.on_request(request)
        if fault is not None and fault.kind == "status":
            self.server.count_fault(fault)
            self._answer_status(fault)
            return
        if not self.server.knows_ranges:
            headers.pop("range", None)
        headers = {name: headers[name] for name in headers.keys() - self.server.drop_headers}
        if fault is not None and fault.kind == "damage" and body:
            self.server.count_fault(fault)
            body = bytes([body[0] ^ 0xFF]) + body[1:]
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=60)
        try:
            upstream.request(
                self.command, self.path, body or None, headers | {"connection": "close"}
            )
            response = upstream.getresponse()
            if fault is not None and fault.kind in BREAKS and fault.after_bytes == 0:
                self._break(fault)
            else:
                self._answer(response, fault)
        finally:
            upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _read_body(self, length: int, fault: Fault | None) -> bytes:
        """Read the request body, in drips at first if that is the fault."""
        read = b""
        if fault is not None and fault.kind == "drip" and fault.in_request and length:
            self.server.count_fault(fault)
            for _ in range(DROPS):
                read += self.rfile.read(min(DROP_BYTES, length - len(read)))
                self.server.closing.wait(DROP_S)
        return read + self.rfile.read(length - len(read))

    def _answer_status(self, fault: Fault) -> None:
        body = (
            f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>".encode()
            if fault.code
            else b""
        )
        self.send_response(fault.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, response: http.client.HTTPResponse, fault: Fault | None) -> None:
        self.send_response_only(response.status)
        changed = self.server.answer_headers
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP | self.server.left_out:
                self.send_header(name, changed.get(name.lower(), value))
        whole = b"" if response.getheader("content-length") else response.read()
        if not response.getheader("content-length") and self.command != "HEAD":
            self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        if self.command == "HEAD":
            return
        position = 0
        while block := whole or response.read(BLOCK_BYTES):
            whole = b""
            if fault is not None and self._broke(fault, position, block):
                return
            block = self._dripped(block, fault) if position == 0 else block
            passed = _corrupted(block, position, fault)
            if fault is not None and passed != block:
                self.server.count_fault(fault)
            self._send(passed)
            position += len(block)

    def _dripped(self, block: bytes, fault: Fault | None) -> bytes:
        """Send the start of the first block in drips if that is the fault; return the rest."""
        if fault is None or fault.kind != "drip" or fault.in_request:
            return block
        self.server.count_fault(fault)
        end = min(DROPS * DROP_BYTES, len(block))
        for start in range(0, end, DROP_BYTES):
            self._send(block[start : min(start + DROP_BYTES, end)])
            self.wfile.flush()
            self.server.closing.wait(DROP_S)
        return block[end:]

    def _broke(self, fault: Fault, position: int, block: bytes) -> bool:
        """Send the last bytes before a break and break, if it is due in this block."""
        last = fault.after_bytes - position
        if fault.kind not in BREAKS or last > len(block):
            return False
        self._send(block[: max(last, 0)])
        self.wfile.flush()
        self._break(fault)
        return True

    def _break(self, fault: Fault) -> None:
        self.server.count_fault(fault)
        if fault.kind == "stall":
            self.server.closing.wait(60)
        if fault.kind == "reset":  # a linger of zero seconds makes close() send a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def _send(self, block: bytes) -> None:
        self.wfile.write(block)
        self.server.count_sent(len(block))

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


def _corrupted(block: bytes, position: int, fault: Fault | None) -> bytes:
    """Return the block, with one byte changed if that is the fault and the byte is in it."""
    if fault is None or fault.kind != "corrupt":
        return block
    at = fault.after_bytes - position
    if not 0 <= at < len(block):
        return block
    return block[:at] + bytes([block[at] ^ 0xFF]) + block[at + 1 :]


def charge_requester(request: Request) -> Fault | None:
    """Refuse a request that does not say who pays, as a requester-pays bucket does."""
    says = "x-amz-request-payer" in request.path.lower()
    if says or request.headers.get("x-amz-request-payer") == "requester":
        return None
    return Fault(kind="status", status=403, code="AccessDenied", message="Access Denied")
