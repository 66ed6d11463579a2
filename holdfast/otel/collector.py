"""A collector, over HTTP: one request at a time, on a connection that is kept.

Lost with its process: nothing; what was not answered is sent again.
"""

from __future__ import annotations

import gzip
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

__all__ = ["LOGS", "SPANS", "Accepted", "Answer", "Away", "Collector", "Refused"]

LOGS: Final = "/v1/logs"
SPANS: Final = "/v1/traces"
SHOWN: Final = 200  # characters of what it says
READ: Final = 64 * 1024  # bytes of an answer
# It says that of these very records: sent again they would be refused again.  All else, such as a
# token that is not accepted, may be put right while the records wait.
_REFUSALS: Final = frozenset((400, 413, 422))


class Accepted(msgspec.Struct, frozen=True):
    """It has them, but for so many that it rejected, and does not name."""

    rejected: int = 0
    said: str = ""


class Refused(msgspec.Struct, frozen=True):
    """It does not take these records, now or later."""

    said: str


class Away(msgspec.Struct, frozen=True):
    """It may have them or not; to be tried again, not earlier than in ``after`` seconds."""

    said: str
    after: float = 0.0


Answer = Accepted | Refused | Away


class Collector:
    """``endpoint`` is a URL without a query; a request is over after ``timeout`` seconds."""

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        certificate: str,
        compress: bool,
        timeout: float,
    ) -> None:
        url = urlsplit(endpoint)
        self._path = url.path.rstrip("/")
        self._headers = {"Content-Type": "application/x-protobuf", "User-Agent": "holdfast"}
        self._headers |= {"Content-Encoding": "gzip"} if compress else {}
        self._headers |= headers
        self._compress = compress
        self._timeout = timeout
        self._connection = _connection(url.scheme, url.netloc, certificate, timeout)

    def post(self, path: str, body: bytes) -> Answer:
        """Send a request; what became of it."""
        packed = gzip.compress(body, 1) if self._compress else body
        try:
            response, content = self._ask(path, packed)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Away(f"{type(error).__name__}: {error}"[:SHOWN])
        except ValueError:  # its text would show the header, which may be a secret
            self.close()
            return Away("a header, or the endpoint, cannot be sent as it is")
        if 200 <= response.status < 300:
            return _accepted(path, content)
        said = f"{response.status} {response.reason} {_text(content)}"[:SHOWN].strip()
        if response.status in _REFUSALS:
            return Refused(said)
        return Away(said, _seconds(response.headers.get("Retry-After")))

    def _ask(self, path: str, packed: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        is_old = self._connection.sock is not None
        deadline = _Deadline(self._connection, self._timeout)
        try:
            self._connection.request("POST", self._path + path, packed, self._headers)
            response = deadline.response()
            content = response.read(READ)
        except ConnectionError:
            if not is_old or deadline.is_over:
                raise
            self.close()  # the other end did, since nothing came for a while
            return self._ask(path, packed)
        finally:
            deadline.cancel()
        if deadline.is_over:
            raise TimeoutError(f"not answered within {self._timeout:g} s")
        if not response.isclosed():  # more than anybody has to say
            self.close()
        return response, content

    def close(self) -> None:
        """Hang up; the next request connects."""
        with suppress(OSError):
            self._connection.close()


class _Deadline(threading.Timer):
    """The socket's own timeout is for each byte: who sends one now and then would hold us up."""

    def __init__(self, connection: http.client.HTTPConnection, timeout: float) -> None:
        super().__init__(timeout, self._cut)
        self.daemon = True
        self.is_over = False
        self._of = connection
        self._read: socket.socket | None = None  # the connection forgets it, if it is to be closed
        self.start()

    def response(self) -> http.client.HTTPResponse:
        """The head of the answer."""
        self._read = self._of.sock
        return self._of.getresponse()

    def _cut(self) -> None:
        self.is_over = True
        for each in (self._of.sock, self._read):
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def _connection(
    scheme: str, place: str, certificate: str, timeout: float
) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(place, timeout=timeout)
    context = ssl.create_default_context()
    if certificate:
        context.load_verify_locations(certificate)
    return http.client.HTTPSConnection(place, timeout=timeout, context=context)


def _accepted(path: str, content: bytes) -> Accepted:
    try:
        if path == LOGS:
            logs = ExportLogsServiceResponse.FromString(content).partial_success
            return Accepted(logs.rejected_log_records, _text(logs.error_message.encode()))
        spans = ExportTraceServiceResponse.FromString(content).partial_success
        return Accepted(spans.rejected_spans, _text(spans.error_message.encode()))
    except DecodeError:  # a proxy's page: it was a 2xx all the same
        return Accepted()


def _text(content: bytes) -> str:
    text = content.decode(errors="replace")
    return "".join(each if each.isprintable() else " " for each in text)[:SHOWN]


def _seconds(header: str | None) -> float:
    """Of Retry-After; a date is not read."""
    return float(header) if header is not None and header.isascii() and header.isdecimal() else 0.0
