"""The tables of sessions, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final

import apsw
from msgspec.structs import astuple

from holdfast.errors import InvalidInputError
from holdfast.storage.session_records import SessionsStored, StoreSessions
from holdfast.storage.sqlite_events import EventTable

__all__ = ["SessionTable"]

_DELETE: Final = "DELETE FROM sessions WHERE id = ?"
# An earlier session of the id has ended: its items go with it.
_REPLACED: Final = "DELETE FROM sessions WHERE id = ? AND created_us <> ?"
# No INSERT OR REPLACE: that deletes the row, and what refers to it.
_PUT: Final = """
INSERT INTO sessions (id, data, version, created_us, touched_us, expires_us, ttl, max_age, owner,
                      holders, items, item_bytes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    data = excluded.data, version = excluded.version, touched_us = excluded.touched_us,
    expires_us = excluded.expires_us, ttl = excluded.ttl, max_age = excluded.max_age,
    owner = excluded.owner, holders = excluded.holders, items = excluded.items,
    item_bytes = excluded.item_bytes
"""
_USE: Final = """
UPDATE sessions SET touched_us = ?, expires_us = ?, owner = ?, holders = ?, items = ?,
                    item_bytes = ?
WHERE id = ? AND created_us = ?
"""
# Its parameters are a SessionItem: 5 is the session, 6 when that was created.
_ITEM: Final = """
INSERT INTO session_items (number, time_us, key, data, session)
SELECT ?1, ?2, ?3, ?4, id FROM sessions WHERE id = ?5 AND created_us = ?6
ON CONFLICT DO NOTHING
"""


class SessionTable:
    """Puts and deletions, items, and the events that tell of them."""

    def __init__(self, connection: apsw.Connection, *, events: EventTable) -> None:
        self._connection = connection
        self._events = events

    def store(self, command: StoreSessions) -> SessionsStored:
        """Raises InvalidInputError, apsw.Error; the caller undoes what was done by then."""
        many = self._connection.executemany
        many(_DELETE, [(id,) for id in command.delete])
        many(_REPLACED, [(session.id, session.created_us) for session in command.put])
        many(_PUT, map(astuple, command.put))
        many(_USE, map(astuple, command.use))
        many(_ITEM, map(astuple, command.items))
        stored = self._events.append(command.events)
        if stored.refused:
            index, reason = stored.refused[0]
            raise InvalidInputError(f"events[{index}]: {reason}")
        return SessionsStored(stored.first_seq, stored.count, command.answer)
