"""The tables of streams, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.events import EventTable
from holdfast.storage.stream_keeping import StreamKeeping

__all__ = ["StreamTable"]

_MOVE: Final = """
INSERT INTO streams (daemon, name, version) VALUES (%s, %s, %s)
ON CONFLICT (daemon, name) DO UPDATE SET version = excluded.version
"""
_APPEND: Final = """
INSERT INTO stream_events (daemon, seq, stream, version)
SELECT %s, %s + n, %s, %s + n FROM generate_series(0, %s) AS n
"""


class StreamTable(StreamKeeping):
    """Compare-and-append."""

    def __init__(self, connection: Connection, daemon: str, *, events: EventTable) -> None:
        super().__init__(events=events)
        self._connection = connection
        self._daemon = daemon

    def _version(self, name: str) -> int:
        sql = "SELECT version FROM streams WHERE daemon = %s AND name = %s"
        return self._connection.value(sql, (self._daemon, name)) or 0

    def _move(self, name: str, version: int, first_seq: int, count: int) -> None:
        daemon = self._daemon
        self._connection.run(_MOVE, (daemon, name, version + count))
        self._connection.run(_APPEND, (daemon, first_seq, name, version + 1, count - 1))
