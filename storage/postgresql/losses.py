"""What was not delivered, as data: rows of ``dropped``, and whole messages in ``dead_letters``.

Written within the caller's transaction, so that a loss is recorded by the COMMIT that moves the
sender's mark past it, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from holdfast.storage.dead_letters import readable_body
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.records import DeadLetter, Discarded, Kept, Origin

__all__ = ["LossTable"]

_NOTE_DROPPED: Final = """
INSERT INTO dropped (daemon, id, time_us, sender, incarnation, stream, first, last, count, reason)
SELECT %(daemon)s, coalesce(max(id), 0) + 1, %(time_us)s, %(sender)s, %(incarnation)s, %(stream)s,
       %(first)s, %(last)s, %(count)s, %(reason)s
FROM dropped WHERE daemon = %(daemon)s
"""
# An id that somebody noted never comes to mean another letter.
_NEXT: Final = """
INSERT INTO meta AS m (daemon, name, value) VALUES (%s, 'last_dead_letter', '1')
ON CONFLICT (daemon, name) DO UPDATE SET value = (m.value::bigint + 1)::text
RETURNING value::bigint
"""
_KEEP: Final = """
INSERT INTO dead_letters (daemon, id, actor, sender, incarnation, stream, number, kind, reason,
                          deaths, time_us, body, message)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_FIND: Final = """
SELECT id FROM dead_letters
WHERE daemon = %s AND actor = %s AND sender = %s AND incarnation = %s AND kind = %s
    AND number = %s
"""


class LossTable:
    """Both tables; owns no state of its own."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon

    def note(
        self, now_us: int, origin: Origin | None, first: int | None, count: int, reason: str
    ) -> None:
        """The ``count`` numbers of the origin's sender from ``first`` on will not come."""
        values = {
            "daemon": self._daemon,
            "time_us": now_us,
            "sender": origin and origin.sender,
            "incarnation": origin and origin.incarnation,
            "stream": origin and origin.stream,
            "first": first,
            "last": None if first is None else first + count - 1,
            "count": count,
            "reason": reason,
        }
        self._connection.run(_NOTE_DROPPED, values)

    def note_restored(
        self, time_us: Callable[[], int], origin: Origin, first: int, count: int
    ) -> None:
        """Numbers that were acknowledged before the database was restored from a copy."""
        self.note(time_us(), origin, first, count, "restored")

    def note_refused(
        self, now_us: int, origin: Origin | None, first: int, refused: Iterable[tuple[int, str]]
    ) -> None:
        """A row for each event that the table refused; the indexes count from ``first``."""
        for index, reason in refused:
            self.note(now_us, origin, None if origin is None else first + index, 1, reason)

    def keep(self, letter: DeadLetter) -> Kept:
        """Store it under a new id, or find the one that it has."""
        who = (self._daemon, letter.actor, letter.sender, letter.incarnation)
        known = self._connection.value(_FIND, (*who, letter.kind, letter.number))
        if known is not None:
            return Kept(known)
        id: int = self._connection.value(_NEXT, (self._daemon,))
        why = (letter.reason, letter.deaths, letter.time_us)
        row = (self._daemon, id, *who[1:], letter.stream, letter.number, letter.kind, *why)
        self._connection.run(_KEEP, (*row, letter.body, readable_body(letter.body)))
        return Kept(id)

    def discard(self, id: int) -> Discarded:
        """Delete it."""
        sql = "DELETE FROM dead_letters WHERE daemon = %s AND id = %s"
        return Discarded(self._connection.did(sql, (self._daemon, id)))
