"""What was not delivered, as data: rows of ``dropped``, and whole messages in ``dead_letters``.

Written within the caller's transaction, so that a loss is recorded by the COMMIT that moves the
sender's mark past it, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import apsw

from holdfast.storage.dead_letters import readable_body
from holdfast.storage.records import (
    DeadLetter,
    Discarded,
    Kept,
    Origin,
)

__all__ = ["LossTable"]

_NOTE_DROPPED: Final = """
INSERT INTO dropped (time_us, sender, incarnation, stream, first, last, count, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_KEEP: Final = """
INSERT INTO dead_letters (actor, sender, incarnation, stream, number, kind, reason, deaths,
                          time_us, body, message)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIND: Final = """
SELECT id FROM dead_letters
WHERE actor = ? AND sender = ? AND incarnation = ? AND kind = ? AND number = ?
"""


class LossTable:
    """Both tables; owns no state of its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def note(self, now_us: int, origin: Origin, first: int, count: int, reason: str) -> None:
        """The ``count`` numbers of the origin's sender from ``first`` on will not come."""
        who = (origin.sender, origin.incarnation, origin.stream)
        row = (now_us, *who, first, first + count - 1, count, reason)
        self._connection.execute(_NOTE_DROPPED, row)

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
            if origin is not None:
                self.note(now_us, origin, first + index, 1, reason)
            else:
                row = (now_us, None, None, None, None, None, 1, reason)
                self._connection.execute(_NOTE_DROPPED, row)

    def keep(self, letter: DeadLetter) -> Kept:
        """Store it under a new id, or find the one that it has."""
        who = (letter.actor, letter.sender, letter.incarnation)
        # Looked for first: an INSERT that meets the UNIQUE uses up an id.
        known = self._connection.execute(_FIND, (*who, letter.kind, letter.number)).get
        if known is not None:
            return Kept(known)
        why = (letter.reason, letter.deaths, letter.time_us)
        row = (*who, letter.stream, letter.number, letter.kind, *why)
        self._connection.execute(_KEEP, (*row, letter.body, readable_body(letter.body)))
        return Kept(self._connection.last_insert_rowid())

    def discard(self, id: int) -> Discarded:
        """Delete it."""
        self._connection.execute("DELETE FROM dead_letters WHERE id = ?", (id,))
        return Discarded(bool(self._connection.changes()))
