"""Real PostgreSQL servers for tests: Debian's, run as an ordinary user, on a Unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import pytest

from holdfast.testing.processes import Process, descendants, is_alive, lasting, send

__all__ = [
    "PostgresqlServer",
    "find_postgresql",
    "needs_postgresql",
    "running_postgresql",
    "shared_postgresql",
    "stop_shared",
]

_stack = ExitStack()  # of the shared server
START_TIMEOUT = 30.0  # seconds
# A server that forgets everything on power loss, and is quick: no test takes the power away.
QUICK = ("fsync=off", "full_page_writes=off", "autovacuum=off")


def find_postgresql() -> Path | None:
    """The folder with the newest server's programs."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).parent
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    numbered = sorted(folders, key=lambda folder: float(folder.parent.name))
    return numbered[-1] if numbered else None


def needs_postgresql() -> Path:
    """The folder; without a server the test is skipped, on CI it fails."""
    folder = find_postgresql()
    if folder is None:
        reason = "no PostgreSQL server here: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


class PostgresqlServer:
    """One server in a folder of its own; it makes empty databases in no time.

    ``port``: where it listens on ``address``, besides its socket; 0 nowhere.  ``namespace``: of the
    network, that it is in.  ``within``: what runs its programs elsewhere.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: tuple[str, ...] = QUICK,
        port: int = 0,
        address: str = "127.0.0.1",
        namespace: str = "",
        within: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self._programs = needs_postgresql()
        listen = (f"port={port}", f"listen_addresses={address}") if port else ("listen_addresses=",)
        self._within = ["ip", "netns", "exec", namespace] if namespace else [*within]
        self._options = (f"unix_socket_directories={folder}", *listen, *options)
        self._port = port or 5432
        self._is_remote = bool(namespace)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)
        self._make()

    def _make(self) -> None:
        options = ("-U", "holdfast", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        command = [
            *self._within,
            *_as_somebody(),
            str(self._programs / "initdb"),
            "-D",
            str(self.data),
            *options,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if self._is_remote:
            with (self.data / "pg_hba.conf").open("a") as file:
                file.write("host all all 0.0.0.0/0 trust\n")

    def start(self) -> None:
        """And wait until it lets somebody in."""
        options = [word for each in self._options for word in ("-c", each)]
        command = [
            *self._within,
            *_as_somebody(),
            str(self._programs / "postgres"),
            "-D",
            str(self.data),
            *options,
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        deadline, pause = time.monotonic() + START_TIMEOUT, threading.Event()
        while not self._lets_in():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            pause.wait(0.02)

    def _lets_in(self) -> bool:
        try:
            psycopg.connect(self.dsn("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """At once, as after a crash."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """SIGKILL to all of it, and wait until it is gone: it shares memory."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)  # it makes no more
            mine = [*descendants(self._process.pid).values()]
            self._end(signal.SIGKILL)
            for process in mine:
                send(process, signal.SIGKILL)

            def left() -> dict[int, Process]:
                return {process.pid: process for process in mine if is_alive(process)}

            assert not lasting(left, within=START_TIMEOUT)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_TIMEOUT)
            self._process = None

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def dsn(self, database: str) -> str:
        """By its socket."""
        return f"host={self.folder} port={self._port} user=holdfast dbname={database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """As somebody else would."""
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """The DSN of an empty one."""
        name = f"t{os.getpid()}_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.dsn(name)


@cache
def shared_postgresql() -> PostgresqlServer:
    """The server of this process, started by whoever asks first; ``stop_shared`` ends it."""
    needs_postgresql()
    server = _stack.enter_context(running_postgresql())
    return server


def stop_shared() -> None:
    """The last thing a process of tests does with it."""
    _stack.close()
    shared_postgresql.cache_clear()


@contextmanager
def running_postgresql(**options: object) -> Iterator[PostgresqlServer]:
    """A server of one's own.  In a short folder: a socket's path has 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="hf-pg-"))
    try:
        server = PostgresqlServer(folder, **options)  # type: ignore[arg-type]  # as they are there
        server.start()
        try:
            yield server
        finally:
            with suppress(subprocess.TimeoutExpired):
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root; its files stay root's."""
    if os.getuid() != 0:
        return []
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
