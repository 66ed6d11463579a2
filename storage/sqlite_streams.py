"""The tables of streams, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import apsw

from holdfast.errors import Conflict, InvalidInputError
from holdfast.storage.records import RawEvent
from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.stream_records import AppendStream, StreamAppended

__all__ = ["StreamTable"]

_MOVE: Final = """
INSERT INTO streams (name, version) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET version = excluded.version
"""


class StreamTable:
    """Compare-and-append."""

    def __init__(self, connection: apsw.Connection, *, events: EventTable) -> None:
        self._connection = connection
        self._events = events

    def append(self, command: AppendStream) -> StreamAppended:
        """Raises InvalidInputError, Conflict, apsw.Error; the caller undoes what was done then."""
        name, events = command.stream, command.events
        if not events:
            raise InvalidInputError(f"stream {name!r}: no events to append")
        self._check(name, events)
        current = self._version(name)
        if command.expected is not None and command.expected != current:
            raise Conflict(f"stream {name!r}", expected=command.expected, current=current)
        stored = self._events.append(events)
        if stored.refused:
            index, reason = stored.refused[0]
            raise InvalidInputError(f"stream {name!r}: events[{index}]: {reason}")
        if stored.repeated:
            index, seq = stored.repeated[0]
            raise InvalidInputError(f"stream {name!r}: events[{index}]: its key is event {seq}'s")
        self._connection.execute(_MOVE, (name, current + stored.count))
        self._connection.executemany(
            "INSERT INTO stream_events (seq, stream, version) VALUES (?, ?, ?)",
            [(stored.first_seq + n, name, current + 1 + n) for n in range(stored.count)],
        )
        return StreamAppended(current + stored.count, stored.first_seq, stored.count)

    def _version(self, name: str) -> int:
        sql = "SELECT version FROM streams WHERE name = ?"
        return cast("int | None", self._connection.execute(sql, (name,)).get) or 0

    @staticmethod
    def _check(name: str, events: Sequence[RawEvent]) -> None:
        """The subject is where readers look for a stream's events."""
        for index, event in enumerate(events):
            if event[3] != name:
                raise InvalidInputError(
                    f"stream {name!r}: events[{index}] has the subject {event[3]!r}; it has to be "
                    "the stream's name"
                )
