"""Three addresses over HTTP: ``/metrics``, ``/healthz``, ``/readyz``.

Each connection has a thread of its own, so many of them and no more, and none for longer than five
seconds: who reads slowly, or connects and says nothing, is alone with that.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast

from prometheus_client.exposition import choose_encoder

from holdfast.metrics.families import Families
from holdfast.metrics.reading import Reading, Readings, is_amiss, walk

__all__ = ["Server"]

MOST: Final = 16  # connections at a time
LONGEST: Final = 5.0  # seconds that one may take, whatever its other end does


class Server(ThreadingHTTPServer):
    """Refuses by closing when there are too many."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], readings: Readings) -> None:
        self.address_family = (
            socket.AF_INET6 if ipaddress.ip_address(address[0]).version == 6 else socket.AF_INET
        )
        self.readings = readings
        self._room = threading.BoundedSemaphore(MOST)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without the name of the host, which a resolver may take seconds to tell."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread, if there is room."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Until it is answered, or its time is up: then it is cut off."""
        end = threading.Timer(LONGEST, _cut, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up is no news."""


def _cut(request: socket.socket) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One request, then the end of the connection."""

    server_version = "holdfast"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer it."""
        server = cast(Server, self.server)
        match self.path.partition("?")[0]:
            case "/metrics":
                encode, kind = choose_encoder(self.headers.get("Accept", ""))
                self._answer(200, kind, encode(Families(server.readings.newest())))
            case "/healthz":
                self._tell(_unhealthy(server.readings.newest()))
            case "/readyz":
                self._tell(_unready(server.readings.newest()))
            case _:
                self._answer(404, "text/plain", b"there are /metrics, /healthz and /readyz\n")

    do_HEAD = do_GET

    def _tell(self, problems: list[str]) -> None:
        body = json.dumps({"ok": not problems, "problems": problems}).encode() + b"\n"
        self._answer(503 if problems else 200, "application/json", body)

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A scrape is no news."""


def _unhealthy(reading: Reading) -> list[str]:
    return [] if reading.tree is not None else ["the root does not answer"]


def _unready(reading: Reading) -> list[str]:
    found = _unhealthy(reading)
    found += [f"{child.id} is {child.state}" for child in walk(reading.tree) if is_amiss(child)]
    if reading.tree is not None and reading.writer is None:
        found.append("writer does not answer")
    elif reading.writer is not None and reading.writer.outage:
        found.append("the database's server does not answer")
    return found
