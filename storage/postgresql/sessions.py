"""The tables of sessions, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec.structs import astuple, replace

from holdfast.errors import InvalidInputError
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.events import EventTable
from holdfast.storage.session_records import Session, SessionsStored, StoreSessions

__all__ = ["SessionTable"]

_DELETE: Final = "DELETE FROM sessions WHERE daemon = %s AND id = ANY(%s::text[])"
# An earlier session of the id has ended: its items go with it.
_REPLACED: Final = """
DELETE FROM sessions AS s USING unnest(%s::text[], %s::bigint[]) AS n (id, created_us)
WHERE s.daemon = %s AND s.id = n.id AND s.created_us <> n.created_us
"""
# Each argument is a column of as many sessions as there are: one statement, one call of a trigger.
_PUT: Final = """
INSERT INTO sessions (daemon, id, data, version, created_us, touched_us, expires_us, ttl, max_age,
                      owner, holders, items, item_bytes)
SELECT %s, * FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::float8[],
    %s::float8[], %s::text[], %s::text[], %s::bigint[], %s::bigint[])
ON CONFLICT (daemon, id) DO UPDATE SET
    data = excluded.data, version = excluded.version, touched_us = excluded.touched_us,
    expires_us = excluded.expires_us, ttl = excluded.ttl, max_age = excluded.max_age,
    owner = excluded.owner, holders = excluded.holders, items = excluded.items,
    item_bytes = excluded.item_bytes
"""
_USE: Final = """
UPDATE sessions AS s SET touched_us = n.touched_us, expires_us = n.expires_us, owner = n.owner,
    holders = n.holders, items = n.items, item_bytes = n.item_bytes
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
            %s::text[], %s::bigint[])
    AS n (touched_us, expires_us, owner, holders, items, item_bytes, id, created_us)
WHERE s.daemon = %s AND s.id = n.id AND s.created_us = n.created_us
"""
_ITEMS: Final = """
INSERT INTO session_items (daemon, number, time_us, key, data, session)
SELECT s.daemon, n.number, n.time_us, n.key, n.data, s.id
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    WITH ORDINALITY AS n (number, time_us, key, data, session, created_us, turn)
JOIN sessions AS s ON s.daemon = %s AND s.id = n.session AND s.created_us = n.created_us
ORDER BY n.turn
ON CONFLICT DO NOTHING
"""


class SessionTable:
    """Puts and deletions, items, and the events that tell of them."""

    def __init__(self, connection: Connection, daemon: str, *, events: EventTable) -> None:
        self._connection = connection
        self._daemon = daemon
        self._events = events

    def store(self, command: StoreSessions) -> SessionsStored:
        """Raises InvalidInputError, psycopg.Error; the caller undoes what was done by then."""
        run, daemon = self._connection.run, self._daemon
        if command.delete:
            run(_DELETE, (daemon, list(command.delete)))
        if command.put:
            ids = [session.id for session in command.put]
            run(_REPLACED, (ids, [session.created_us for session in command.put], daemon))
        for sessions in _runs(command.put):
            run(_PUT, (daemon, *_columns(map(_row, sessions))))
        if command.use:
            last = {(use.id, use.created_us): use for use in command.use}
            run(_USE, (*_columns(map(astuple, last.values())), daemon))
        if command.items:
            run(_ITEMS, (*_columns(map(astuple, command.items)), daemon))
        stored = self._events.append(command.events)
        if stored.refused:
            index, reason = stored.refused[0]
            raise InvalidInputError(f"events[{index}]: {reason}")
        return SessionsStored(stored.first_seq, stored.count, command.answer)


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _row(session: Session) -> tuple[object, ...]:
    """The numbers of a column are all of one kind."""
    age = session.max_age
    whole = replace(session, ttl=float(session.ttl), max_age=None if age is None else float(age))
    return astuple(whole)


def _runs(sessions: Sequence[Session]) -> Iterator[list[Session]]:
    """In order; no id twice in one: a statement changes a row once."""
    run: dict[str, Session] = {}
    for session in sessions:
        if session.id in run:
            yield [*run.values()]
            run = {}
        run[session.id] = session
    if run:
        yield [*run.values()]
