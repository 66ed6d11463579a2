"""Events into their table: the sequencer.

A number is given inside the transaction that stores the row, one after the other, and never
again: a trigger keeps the newest number that was deleted.  (To keep the newest one given would
cost one more page in every commit.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import apsw
from msgspec.structs import astuple

from holdfast.storage.event_records import Stored
from holdfast.storage.records import Event, RawEvent
from holdfast.storage.sqlite_connection import REFUSALS
from holdfast.storage.sqlite_payloads import PayloadTable
from holdfast.storage.sqlite_text import TextIndex

__all__ = ["LAST_SEQ", "EventTable", "Stored"]

LAST_SEQ: Final = """
SELECT max((SELECT coalesce(max(seq), 0) FROM events),
           (SELECT value FROM meta WHERE name = 'deleted_seq'))
"""
_INSERT: Final = """
INSERT INTO events (seq, daemon, time_us, type, source, subject, session, correlation, cause,
                    root, depth, key, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_APART: Final = """
INSERT INTO events (seq, daemon, time_us, type, source, subject, session, correlation, cause,
                    root, depth, key, data, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ONCE: Final = "ON CONFLICT (source, key) WHERE key IS NOT NULL DO NOTHING"


class EventTable:
    """Appends within the caller's transaction; ``last_seq`` is ahead of the file until COMMIT."""

    def __init__(
        self, connection: apsw.Connection, *, daemon: str, payloads: PayloadTable, text: TextIndex
    ) -> None:
        self._connection = connection
        self._daemon = daemon
        self._payloads = payloads
        self._text = text
        self.last_seq = 0
        self.load()

    def load(self) -> None:
        """Read again where the sequence stands."""
        self.last_seq = self._connection.execute(LAST_SEQ).get

    def append(self, events: Sequence[RawEvent] | Sequence[Event]) -> Stored:
        """Store in order; a repeated key or a refused event costs that event only.

        Raises apsw.Error; then the transaction may be gone.
        """
        rows = _raw(events)
        if len(rows) > 1:
            # A frame is one statement in one savepoint: a savepoint an event costs two thirds
            # of the rate.  What can go wrong with it is rare; then it is run again singly.
            stored = self._append_frame(rows)
            if stored is not None:
                return stored
        return self._append_singly(rows)

    def _append_frame(self, rows: Sequence[RawEvent]) -> Stored | None:
        """None when at least one of them cannot be stored; then none is."""
        daemon, first = self._daemon, self.last_seq + 1
        execute = self._connection.execute
        execute("SAVEPOINT frame")
        apart: list[tuple[int, str]] = []
        try:
            if self._payloads.is_any_large(rows):
                apart = self._insert_apart(rows)
            else:
                self._connection.executemany(
                    _INSERT, [(seq, daemon, *row) for seq, row in enumerate(rows, first)]
                )
        except REFUSALS:
            if not self._connection.in_transaction:
                raise
            execute("ROLLBACK TO frame")
            execute("RELEASE frame")
            return None
        execute("RELEASE frame")
        self._text.note(first, rows)
        self.last_seq += len(rows)
        return Stored(first, len(rows), payloads=apart)

    def _insert_apart(self, rows: Sequence[RawEvent]) -> list[tuple[int, str]]:
        """Insert all, the data of the large ones apart; which those are, and where it is."""
        apart: list[tuple[int, str]] = []
        whole: list[tuple[object, ...]] = []
        for index, row in enumerate(rows):
            payload = self._payloads.taken_from(row)
            values: tuple[object, ...] = (*row, None)
            if payload is not None:
                self._payloads.keep(payload)
                apart.append((index, payload.ref))
                values = (*row[:-1], "null", payload.ref)
            whole.append((self.last_seq + 1 + index, self._daemon, *values))
        self._connection.executemany(_INSERT_APART, whole)
        return apart

    def _append_singly(self, rows: Sequence[RawEvent]) -> Stored:
        """An INSERT of one row undoes itself when it fails: no savepoints are needed."""
        first = self.last_seq + 1
        repeated: list[tuple[int, int]] = []
        refused: list[tuple[int, str]] = []
        apart: list[tuple[int, str]] = []
        for index, row in enumerate(rows):
            try:
                ref = self._insert_one(row)
            except REFUSALS as error:
                refused.append((index, str(error)))
                continue
            if ref is None:
                repeated.append((index, self._seq_of(source=row[2], key=row[9])))
                continue
            self.last_seq += 1
            self._text.note(self.last_seq, [row])
            if ref:
                apart.append((index, ref))
        return Stored(first, self.last_seq + 1 - first, repeated, refused, apart)

    def _insert_one(self, row: RawEvent) -> str | None:
        """None when its key is there already; where its data is, "" for in the row itself."""
        head = (self.last_seq + 1, self._daemon)
        payload = self._payloads.taken_from(row)
        if payload is None:
            self._connection.execute(_INSERT + _ONCE, (*head, *row))
            return "" if self._connection.changes() else None
        self._connection.execute(_INSERT_APART + _ONCE, (*head, *row[:-1], "null", payload.ref))
        if not self._connection.changes():
            return None
        self._payloads.keep(payload)  # not before: without the event nothing would point at it
        return payload.ref

    def _seq_of(self, *, source: str, key: str | None) -> int:
        """The number of the event that has the key."""
        seq: int = self._connection.execute(
            "SELECT seq FROM events WHERE source = ? AND key = ?", (source, key)
        ).get
        return seq


def _raw(events: Sequence[RawEvent] | Sequence[Event]) -> Sequence[RawEvent]:
    """A frame from the wire is rows already; all its events are of one kind."""
    if events and isinstance(events[0], Event):
        return [cast(RawEvent, astuple(event)) for event in cast(Sequence[Event], events)]
    return cast(Sequence[RawEvent], events)
