"""Work for a daemon that fails on purpose, and the proof, read with another SQLite, of what is so.

What a call returned is noted here, outside of the tree.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any, Final

from holdfast.actors.messages.writer import Prune
from tests.daemon import ForkedDaemon as Daemon

__all__ = ["CONFIG", "Work"]

# Retention has a rule, so that it does something, and no round but those that are asked for.
CONFIG: Final = """
[retention]
period = 3600.0
[retention.types."noise"]
max_count = 1
"""


class Work:
    """Some of each kind of state, a round at a time; ``check`` says what became of all of it."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._sent = 0  # events; without keys, so that nothing but the marks keeps repeats out
        self._updates = 0
        self._puts = 0
        self._session: Any = None
        self._records = 0
        daemon.hub.state.create("thing", {"n": 0}, id="t", timeout=daemon.timeout)

    def do(self, rounds: int = 3) -> None:
        """Each call returns, whoever is killed meanwhile."""
        hub, timeout = self._daemon.hub, self._daemon.timeout
        for _ in range(rounds):
            for _ in range(20):
                hub.events.emit("n", self._sent)
                self._sent += 1
            hub.flush(timeout=timeout)
            self.command()
        hub.flush("disk", timeout=timeout)

    def command(self) -> None:
        """What has an answer: its second time gets the one of the first."""
        hub, timeout = self._daemon.hub, self._daemon.timeout
        self._updates += 1
        changed = hub.state.update("t", {"n": self._updates}, timeout=timeout)
        assert changed.version == self._updates + 1
        self._puts += 1
        assert hub.checkpoints.put("planner", {"n": self._puts}, timeout=timeout) == self._puts
        self._session = hub.sessions.put("s", self._puts, durability="committed", timeout=timeout)

    def checkpoint(self) -> None:
        """The daemon's as a whole."""
        self._daemon.hub.checkpoints.create_daemon(timeout=self._daemon.timeout)

    def prune(self) -> None:
        """All noise but the newest."""
        hub, timeout = self._daemon.hub, self._daemon.timeout
        for n in range(200):
            hub.events.emit("noise", n)
        hub.flush(timeout=timeout)
        hub.ask("writer", Prune(is_plan=False), timeout=timeout)

    def expire(self) -> None:
        """A session whose end is told once."""
        hub, timeout = self._daemon.hub, self._daemon.timeout
        hub.sessions.put("short", 1, ttl=0.1, durability="committed", timeout=timeout)
        self._daemon.next_event("session:expired", session="short")

    def append(self) -> None:
        """A line of a file."""
        self._records += 1
        appended = self._daemon.hub.files.append("talk", {"n": 1}, timeout=self._daemon.timeout)
        assert appended == self._records

    def check(self) -> None:
        """All that was acknowledged is stored, and nothing twice."""
        hub, timeout = self._daemon.hub, self._daemon.timeout
        hub.flush("disk", timeout=timeout)
        session = hub.sessions.get("s", timeout=timeout)
        assert session is not None
        assert (session.data, session.version) == (self._puts, self._session)
        path = f"file:{self._daemon.database}?mode=ro"
        with closing(sqlite3.connect(path, uri=True)) as viewer:

            def column(sql: str) -> list[Any]:
                return [value for (value,) in viewer.execute(sql)]

            events = column("SELECT data FROM events WHERE type = 'n' ORDER BY seq")
            assert [json.loads(each) for each in events] == list(range(self._sent))
            ends = "SELECT count(*) FROM events WHERE type = 'session:expired' GROUP BY session"
            assert set(column(ends)) <= {1}
            ids = column("SELECT id FROM checkpoints WHERE agent = 'planner' ORDER BY id")
            assert ids == list(range(1, self._puts + 1))
            entities = viewer.execute("SELECT version FROM entities WHERE id = 't'").fetchall()
            assert entities == [(self._updates + 1,)]
            assert column("SELECT count(*) FROM dropped") == [0]
            assert column("PRAGMA integrity_check") == ["ok"]
            assert column("PRAGMA foreign_key_check") == []
