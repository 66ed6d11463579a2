"""A client of the gateway as anybody would write one: a socket, and lines of JSON."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from tests.daemon import CONFIG, TIMEOUT, Daemon

__all__ = ["GATEWAY", "Client", "call"]

GATEWAY = (
    CONFIG
    + """
[actors.gateway]
enabled = true
max_clients = 110
max_line = 4096
max_answer = 1_000_000
grace = 1.0
"""
)

Answer = dict[str, Any]


class Client:
    """One connection."""

    def __init__(self, daemon: Daemon, timeout: float = TIMEOUT) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.path = Path(daemon.run_dir, "gateway.sock")
        self.sock.connect(str(self.path))
        self._file = self.sock.makefile("rb")

    def say(self, event: str, data: Any = None, **more: Any) -> None:
        """Send a request."""
        line = {"event": event, "data": {} if data is None else data, **more}
        self.sock.sendall(json.dumps(line).encode() + b"\n")

    def hear(self) -> Answer:
        """The next line.  Raises EOFError at the end."""
        line = self._file.readline()
        if not line:
            raise EOFError
        return cast("Answer", json.loads(line))

    def hear_all(self) -> list[Answer]:
        """All lines until the end."""
        return [json.loads(line) for line in self._file]

    def ask(self, event: str, /, **data: Any) -> Any:
        """The ``data`` of the answer, or all of it when it is an error."""
        self.say(event, data)
        answer = self.hear()
        assert answer["event"] == event
        return answer if "error" in answer else answer["data"]

    def close(self) -> None:
        self._file.close()
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def call(daemon: Daemon, event: str, /, **data: Any) -> Any:
    """One request on a connection of its own."""
    with Client(daemon) as client:
        return client.ask(event, **data)
