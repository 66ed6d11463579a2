"""A daemon with the HTTP door, and clients of it as anybody would write them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx

from tests.daemon import CONFIG, TIMEOUT, Daemon

__all__ = ["Door", "config", "free_port", "hears"]

LIMITS = """
max_clients = 110
max_streams = 6
max_body = 65_536
max_answer = 200_000
patience = 3.0
grace = 1.0
heartbeat = 0.3
origins = ["https://page.example"]
hosts = ["door.example"]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def config(port: int, limits: str = LIMITS) -> str:
    """Its supervisor allows any number of kills, as those of CONFIG do."""
    return f"""{CONFIG}
[supervisors.edge]
max_restarts = 1000
stable_after = 0.0
[http]
enabled = true
port = {port}
{limits}
"""


class Door:
    """The daemon, where its door is, and a client that has the token."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self.daemon, self.port = daemon, port
        self.address = "127.0.0.1", port
        self.url = f"http://127.0.0.1:{port}"
        self.token = Path(daemon.run_dir, "http.token").read_text(encoding="ascii").strip()
        self.headers = {"Authorization": f"Bearer {self.token}"}
        self.client = self.another()

    def another(self) -> httpx.Client:
        """One with connections of its own."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=TIMEOUT)

    def ask(self, method: str, path: str, *, code: int = 200, **given: Any) -> Any:
        """The answer's JSON; it has that status."""
        answer = self.client.request(method, path, **given)
        assert answer.status_code == code, answer.text
        return answer.json() if answer.content else None

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(self.address, timeout=TIMEOUT)

    def request(self, path: str = "/system/health", *, body: bytes = b"", head: str = "") -> bytes:
        """The bytes of a request."""
        method = "POST" if body else "GET"
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", head.strip()]
        lines += [f"Authorization: Bearer {self.token}"]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([line for line in lines if line] + ["", ""]).encode() + body

    def figure(self, name: str) -> int:
        """What the door counts."""
        found: int = self.ask("GET", "/system/health")["gateway"][name]
        return found

    def close(self) -> None:
        self.client.close()


def hears(sock: socket.socket) -> bytes:
    """All until the end of the connection."""
    parts = []
    try:
        while part := sock.recv(65_536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)
