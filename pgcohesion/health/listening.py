"""A small HTTP server that a slow, silent or rude client cannot hold up: GET and HEAD, one request a connection."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from ..output.logs import Log

PATIENCE = 15.0
"""Seconds for a whole request, from its first byte to the last of its answer."""
MOST = 64
"""Requests at once; when one more comes, the oldest is given up."""
LARGEST = 1 << 16
"""Bytes of a body that are read, to be ignored."""
TEXT = "text/plain; charset=utf-8"


class Response(Struct, frozen=True):
    """What is sent."""

    status: int
    body: bytes
    type: str = TEXT
    headers: Mapping[str, str] = {}


Answering = Callable[[str, Message], Response]
"""What is at a target, for these headers."""


class _Handler(BaseHTTPRequestHandler):
    """One request a connection: nothing is kept open, nothing is read twice."""

    server: Listener
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pgcohesion", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        try:
            response = self.server.answering(self.path, self.headers)
        except Exception as error:
            self.server.log.warning("http request failed", exc_info=error)
            response = Response(500, b"something went wrong here\n")
        self.send(response)

    def do_HEAD(self) -> None:
        self.do_GET()

    def send(self, response: Response) -> None:
        """Send an answer and end the connection."""
        self.close_connection = True
        self.request_version = self.protocol_version  # whatever was read, the answer has a status line
        self.send_response(response.status)
        headers = {
            "Content-Type": response.type,
            "Content-Length": str(len(response.body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Connection": "close",
            **response.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what could not be read, or another method, without repeating any of it."""
        self.command = self.command or ""
        if code != HTTPStatus.NOT_IMPLEMENTED:
            self.send(Response(code, b"this is no request that is understood here\n"))
            return
        with suppress(ValueError):  # a body that nobody has read would reset the connection under the answer
            self.rfile.read(max(0, min(int(self.headers.get("Content-Length", "0")), LARGEST)))
        self.send(Response(405, b"only GET and HEAD\n", headers={"Allow": "GET, HEAD"}))

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002  (its name in the standard library)
        self.server.log.debug("http", request=repr(format % values), client=self.client_address[0])


class Listener(ThreadingHTTPServer):
    """A thread a request, at most MOST at once, none of them for longer than PATIENCE."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, family: socket.AddressFamily, address: tuple[Any, ...], answering: Answering, log: Log) -> None:
        self.address_family, self.answering, self.log = family, answering, log
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self.served = 0
        super().__init__(address[:2], _Handler)

    def server_bind(self) -> None:
        """Bind, without asking the name service for our name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the request's thread."""
        with self._lock:
            if len(self._open) >= MOST:
                self._give_up(next(iter(self._open)))
            self._open[request] = time.monotonic()
            self.served += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Give up who takes too long: a byte now and then would otherwise keep a thread for ever."""
        with self._lock:
            late = time.monotonic() - PATIENCE
            for request in [request for request, since in self._open.items() if since < late]:
                self._give_up(request)

    def _give_up(self, request: socket.socket) -> None:
        del self._open[request]
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)  # its thread reads the end, and closes it

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong: mostly, a client has gone."""
        self.log.debug("http connection lost", client=client_address[0], why=repr(sys.exception()))
