"""A collector for tests: takes OTLP over HTTP, decodes it by the protocol's own types, keeps it."""

from __future__ import annotations

import gzip
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["Receiver", "attributes"]


def attributes(of: LogRecord | Span | Resource) -> dict[str, object]:
    return {each.key: _value(each) for each in of.attributes}


def _value(each: KeyValue) -> object:
    kind = each.value.WhichOneof("value")
    return None if kind is None else cast(object, getattr(each.value, kind))


class Receiver(ThreadingHTTPServer):
    """Keeps what it takes; ``answers`` are statuses for the next requests, then it is 200.

    ``refuses`` says of a record whether a request with it is answered by 400.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.port: int = self.server_address[1]
        self.logs: list[LogRecord] = []
        self.spans: list[Span] = []
        self.resources: list[Resource] = []
        self.headers: list[dict[str, str]] = []
        self.sizes: list[int] = []  # records of each request
        self.answers: deque[tuple[int, dict[str, str]]] = deque()
        self.refuses: Callable[[LogRecord | Span], bool] = lambda record: False
        self.rejects = 0
        self.connections: list[socket.socket] = []
        self.changed = threading.Condition()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def wait(self, is_there: Callable[[], bool], timeout: float = 30.0) -> None:
        with self.changed:
            assert self.changed.wait_for(is_there, timeout), (len(self.logs), len(self.spans))

    def seqs(self) -> list[object]:
        return [attributes(record)["holdfast.seq"] for record in self.logs]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.shutdown()
        self.server_close()
        for each in self.connections:  # kept alive by who sends
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """That a connection broke is what a test wanted."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        receiver = cast(Receiver, self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        with receiver.changed:
            receiver.headers.append({key.lower(): value for key, value in self.headers.items()})
            status, headers = receiver.answers.popleft() if receiver.answers else (200, {})
            content = b""
            if status == 200:
                status, content = self._take(receiver, body)
            receiver.changed.notify_all()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _take(self, receiver: Receiver, body: bytes) -> tuple[int, bytes]:
        if self.path == "/v1/logs":
            logs = ExportLogsServiceRequest.FromString(body).resource_logs[0]
            records = list(logs.scope_logs[0].log_records)
            if any(map(receiver.refuses, records)):
                return 400, b"no"
            receiver.logs += records
            receiver.resources.append(logs.resource)
            answer = ExportLogsServiceResponse()
            answer.partial_success.rejected_log_records = receiver.rejects
            receiver.sizes.append(len(records))
            return 200, answer.SerializeToString()
        assert self.path == "/v1/traces"
        spans = ExportTraceServiceRequest.FromString(body).resource_spans[0]
        found = list(spans.scope_spans[0].spans)
        if any(map(receiver.refuses, found)):
            return 400, b"no"
        receiver.spans += found
        return 200, ExportTraceServiceResponse().SerializeToString()

    def log_message(self, format: str, *args: object) -> None:
        """Not in a test's output."""
