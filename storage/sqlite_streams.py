"""The tables of streams, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.stream_keeping import StreamKeeping

__all__ = ["StreamTable"]

_MOVE: Final = """
INSERT INTO streams (name, version) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET version = excluded.version
"""


class StreamTable(StreamKeeping):
    """Compare-and-append."""

    def __init__(self, connection: apsw.Connection, *, events: EventTable) -> None:
        super().__init__(events=events)
        self._connection = connection

    def _version(self, name: str) -> int:
        sql = "SELECT version FROM streams WHERE name = ?"
        return cast("int | None", self._connection.execute(sql, (name,)).get) or 0

    def _move(self, name: str, version: int, first_seq: int, count: int) -> None:
        self._connection.execute(_MOVE, (name, version + count))
        self._connection.executemany(
            "INSERT INTO stream_events (seq, stream, version) VALUES (?, ?, ?)",
            [(first_seq + n, name, version + 1 + n) for n in range(count)],
        )
