"""What tests of swaps share: senders that note all they were told, and a look at the data itself.

``stored`` reads with sqlite3 and psycopg alone.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Final

import psycopg

import holdfast
from holdfast.actors.messages.reload import Reloaded
from holdfast.actors.messages.swap import SwapRecord
from holdfast.errors import Conflict, HoldfastError
from tests.daemon import ForkedDaemon

__all__ = [
    "PATIENCE",
    "Senders",
    "check",
    "commit_point",
    "configured",
    "data",
    "last_swap",
    "move",
    "triggers",
]

PATIENCE: Final = 60.0  # seconds; a bound on failure
EVENTS: Final = "SELECT data FROM events WHERE session = 'load' ORDER BY seq"
VERSIONS: Final = "SELECT id, version FROM entities WHERE type = 'counter'"


class Senders:
    """Emits numbered events and updates entities until it is left; notes what was acknowledged."""

    def __init__(
        self, run_dir: Path, *, events: int = 200, updates: int = 50, behind: Senders | None = None
    ) -> None:
        """So many a second, at most; ``behind``: go on where others have ended."""
        self._run_dir = run_dir
        self._batch, self._pause = max(1, events // 100), 1 / updates
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._emit),
            threading.Thread(target=self._update),
            threading.Thread(target=self._read),
        ]
        self.emitted: int = 0 if behind is None else behind.emitted
        self.version: int = 0 if behind is None else behind.version  # the entity's, as acknowledged
        self.slowest = 0.0  # seconds that an update took
        self.errors: list[str] = []
        self.stale: list[str] = []  # what was read, though something newer was acknowledged

    def __enter__(self) -> Senders:
        with holdfast.connect(self._run_dir) as hub:
            if hub.state.get("counter") is None:
                hub.state.create("counter", {"n": 1}, id="counter")
                self.version = 1
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not self.errors, self.errors[:3]
        assert not self.stale, self.stale[:3]

    def wait_for(self, more: int, *, timeout: float = PATIENCE) -> None:
        """Until so many more updates were acknowledged."""
        wanted, deadline = self.version + more, time.monotonic() + timeout
        while self.version < wanted:
            assert time.monotonic() < deadline, f"at {self.version}, {self.errors}"
            self._enough.wait(0.002)

    def _emit(self) -> None:
        with holdfast.connect(self._run_dir) as hub:
            while not self._enough.wait(0.01):
                for _ in range(self._batch):
                    hub.events.emit("load", {"n": self.emitted}, session="load")
                    self.emitted += 1
            hub.flush(timeout=PATIENCE)

    def _update(self) -> None:
        """Each with the version that was acknowledged last: a lost one is a conflict."""
        with holdfast.connect(self._run_dir) as hub:
            while not self._enough.wait(self._pause):
                began = time.monotonic()
                try:
                    n = self.version + 1
                    done = hub.state.update(
                        "counter", {"n": n}, expected_version=self.version, timeout=PATIENCE
                    )
                    self.version = done.version
                except Conflict as error:
                    self.errors.append(f"{error!r}: a change was lost or doubled")
                    return
                except HoldfastError as error:
                    self.errors.append(repr(error))
                    return
                self.slowest = max(self.slowest, time.monotonic() - began)

    def _read(self) -> None:
        """Nobody answers from a database that is not the one any more."""
        with holdfast.connect(self._run_dir) as hub:
            while not self._enough.wait(0.02):
                told = self.version
                try:
                    found = hub.state.get("counter", timeout=PATIENCE)
                except HoldfastError as error:
                    self.errors.append(repr(error))
                    return
                if found is None or found.version < told:
                    self.stale.append(f"{found} after version {told}")


def configured(base: str, storage: str) -> str:
    """A config with that table."""
    return f"{base}\n[storage]\n{storage}\n"


def move(daemon: ForkedDaemon, text: str) -> Reloaded:
    """Have it be what the text says."""
    daemon.config_file.write_text(text)
    done: Reloaded = daemon.hub.supervision.reload(timeout=PATIENCE)
    return done


def data(daemon: ForkedDaemon, name: str) -> Path:
    """A file of its data directory."""
    return daemon.folder / "var/lib" / name


def triggers(path: Path) -> int:
    """Of a log of changed rows, read without holdfast."""
    connection = sqlite3.connect(path)
    try:
        sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'swap_log%'"
        return int(connection.execute(sql).fetchone()[0])
    finally:
        connection.close()


def last_swap(daemon: ForkedDaemon) -> SwapRecord:
    return daemon.hub.supervision.swaps()[-1]


def commit_point(daemon: ForkedDaemon) -> dict[str, Any]:
    point: dict[str, Any] = json.loads((daemon.folder / "var/lib/backend").read_text())
    return point


def check(place: Path | str, senders: Senders) -> None:
    """Every event once and in order, and the version that was acknowledged; a str is a DSN."""
    events, versions = _rows(place, EVENTS), dict(_rows(place, VERSIONS))
    numbers = [json.loads(data)["n"] for (data,) in events]
    wanted = range(senders.emitted)
    doubled = len(numbers) - len(set(numbers))
    missing = sorted(set(wanted) - set(numbers))
    said = f"{len(wanted)} emitted, {len(missing)} are missing ({missing[:9]}), {doubled} doubled"
    assert numbers == list(wanted), said
    assert versions["counter"] == senders.version


def _rows(place: Path | str, sql: str) -> list[Any]:
    if isinstance(place, Path):
        connection = sqlite3.connect(f"{place.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()
    with psycopg.connect(place, options="-c search_path=holdfast") as postgresql:
        return postgresql.execute(sql.encode()).fetchall()
