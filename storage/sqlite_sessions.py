"""The table of sessions, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final

import apsw
import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage.session_records import SessionsStored, StoreSessions
from holdfast.storage.sqlite_events import EventTable

__all__ = ["SessionTable"]

_PUT: Final = """
INSERT OR REPLACE INTO sessions
    (id, data, version, created_us, touched_us, expires_us, ttl, max_age)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


class SessionTable:
    """Puts and deletions, and the events that tell of them."""

    def __init__(self, connection: apsw.Connection, *, events: EventTable) -> None:
        self._connection = connection
        self._events = events

    def store(self, command: StoreSessions) -> SessionsStored:
        """Raises InvalidInputError, apsw.Error; the caller undoes what was done by then."""
        self._connection.executemany(_PUT, map(msgspec.structs.astuple, command.put))
        self._connection.executemany(
            "DELETE FROM sessions WHERE id = ?", [(id,) for id in command.delete]
        )
        stored = self._events.append(command.events)
        if stored.refused:
            index, reason = stored.refused[0]
            raise InvalidInputError(f"events[{index}]: {reason}")
        return SessionsStored(stored.first_seq, stored.count, command.answer)
