"""Events into their table: the sequencer.

A number is given inside the transaction that stores the row, one after the other, and never
again: a trigger keeps the newest number that was deleted.

In a pipeline the events of all commands are stored together, right before COMMIT: many by one COPY,
three times as fast as an INSERT each, few by INSERT, whose answer nobody waits for.  There is no
savepoint, and nobody asks beforehand which keys are there: that would cost answers of the server.
So a value that it refuses and a key that is repeated spoil the transaction, which is rare: all is
done again then, in savepoints and asking, and so are the next frames, for where there is one there
are more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from msgspec.structs import astuple

from holdfast.storage.event_records import Stored
from holdfast.storage.once import CAUTIOUS, HalfDone
from holdfast.storage.postgresql.connection import REFUSALS, Connection
from holdfast.storage.postgresql.payloads import PayloadTable
from holdfast.storage.postgresql.text import escaped_values
from holdfast.storage.postgresql.text_index import TextIndex
from holdfast.storage.records import Event, RawEvent

__all__ = ["COLUMNS", "LAST_SEQ", "EventTable", "Stored"]

LAST_SEQ: Final = """
SELECT greatest(
    (SELECT coalesce(max(seq), 0) FROM events WHERE daemon = %(daemon)s),
    (SELECT value::bigint FROM meta WHERE daemon = %(daemon)s AND name = 'deleted_seq'))
"""
COLUMNS: Final = (
    "daemon, seq, time_us, type, source, subject, session, correlation, cause, root, depth, key,"
    " data, payload"
)
_INSERT: Final = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join(['%s'] * 14)})"
# Rows from which on a COPY and the two answers that it waits for take less time than so many
# INSERTs (benchmarks/NOTES.md).
COPY_FROM: Final = 8
_COPY: Final = f"COPY events ({COLUMNS}) FROM STDIN"
# One look into the index for each, whatever the planner thinks of the table.
_KNOWN: Final = """
SELECT k.key, k.source, found.seq
FROM unnest(%(keys)s::text[], %(sources)s::text[]) AS k (key, source)
CROSS JOIN LATERAL (
    SELECT seq FROM events AS e
    WHERE e.daemon = %(daemon)s AND e.key = k.key AND e.source = k.source LIMIT 1
) AS found
"""
_Row = tuple[Any, ...]  # of the table, but for daemon and seq, and payload where it is none


class EventTable:
    """Appends within the caller's transaction; ``last_seq`` is ahead of the table until COMMIT."""

    def __init__(
        self, connection: Connection, daemon: str, *, payloads: PayloadTable, text: TextIndex
    ) -> None:
        self._connection = connection
        self._daemon = daemon
        self._payloads = payloads
        self._text = text
        self.is_cautious = False  # this transaction is done again, because of a refusal
        self._cautious = 0  # frames that are still to be in savepoints, after one
        self._waiting: list[_Row] = []  # of the transaction in a pipeline, whole
        self.last_seq = 0
        self.load()

    def load(self) -> None:
        """Read again where the sequence stands."""
        self._waiting.clear()
        self.last_seq = self._connection.value(LAST_SEQ, {"daemon": self._daemon})

    @property
    def is_wary(self) -> bool:
        """Whether the next frame is in a savepoint."""
        return self.is_cautious or self._cautious > 0

    def flush(self) -> None:
        """Store what waits for that; the last thing before COMMIT.  Raises psycopg.Error."""
        rows, self._waiting = self._waiting, []
        if len(rows) < COPY_FROM:
            self._connection.many(_INSERT, rows)
            return
        self._connection.settle()  # there is no COPY in a pipeline
        self._copy(map(escaped_values, rows))

    def append(self, events: Sequence[RawEvent] | Sequence[Event]) -> Stored:
        """Store in order; a repeated key or a refused event costs that event only.

        Raises HalfDone, psycopg.Error; then the transaction may be gone.
        """
        rows = _raw(events)
        if not rows:
            return Stored(self.last_seq + 1, 0)
        if self.is_wary:
            self._cautious = CAUTIOUS if self.is_cautious else self._cautious - 1
            return self._append_cautiously(rows)
        try:
            return self._append_frame(rows, asks=False)
        except REFUSALS as error:
            raise HalfDone from error

    def _append_cautiously(self, rows: Sequence[RawEvent]) -> Stored:
        """The frame in a savepoint, and when that is refused each event in one."""
        last_seq = self.last_seq
        self._connection.run("SAVEPOINT frame")
        try:
            stored = self._append_frame(rows, asks=True)
        except REFUSALS:
            self._connection.run("ROLLBACK TO SAVEPOINT frame; RELEASE SAVEPOINT frame")
            self.last_seq = last_seq
            return self._append_singly(rows)
        self._connection.run("RELEASE SAVEPOINT frame")
        return stored

    def _append_singly(self, rows: Sequence[RawEvent]) -> Stored:
        first = self.last_seq + 1
        repeated: list[tuple[int, int]] = []
        refused: list[tuple[int, str]] = []
        apart: list[tuple[int, str]] = []
        for index, row in enumerate(rows):
            last_seq = self.last_seq
            self._connection.run("SAVEPOINT event")
            try:
                stored = self._append_frame([row], asks=True)
            except REFUSALS as error:
                self._connection.run("ROLLBACK TO SAVEPOINT event; RELEASE SAVEPOINT event")
                self.last_seq = last_seq
                refused.append((index, str(error)))
                continue
            self._connection.run("RELEASE SAVEPOINT event")
            repeated += ((index, seq) for _, seq in stored.repeated)
            apart += ((index, ref) for _, ref in stored.payloads)
        return Stored(first, self.last_seq + 1 - first, repeated, refused, apart)

    def _append_frame(self, rows: Sequence[RawEvent], *, asks: bool) -> Stored:
        """All, or when it asks all but those whose key is there.

        Raises one of REFUSALS for any that is refused; without asking, for a repeated key too.
        """
        first, daemon = self.last_seq + 1, self._daemon
        repeated, kept = (
            self._sorted(rows) if asks and any(row[9] is not None for row in rows) else ([], rows)
        )
        self._text.note(first, kept)
        apart: list[tuple[int, str]] = []
        if self._payloads.is_any_large(rows):
            indexes = {index for index, _ in repeated}
            kept, apart = self._taken_apart(rows, indexes)
        whole = [
            (daemon, seq, *row, *_NO_PAYLOAD[len(row) :]) for seq, row in enumerate(kept, first)
        ]
        if self._connection.is_pipelined:
            self._waiting += whole
        else:
            self._copy(map(escaped_values, whole))
        self.last_seq += len(whole)
        return Stored(first, len(whole), repeated, payloads=apart)

    def _copy(self, rows: Iterable[Sequence[object]]) -> None:
        with self._connection.cursor().copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)

    def _sorted(self, rows: Sequence[RawEvent]) -> tuple[list[tuple[int, int]], list[RawEvent]]:
        """The repeated ones, with the numbers of the first, and the others.

        This is the only writer of these rows: nobody stores a key between asking and storing.
        """
        keyed = [(row[9], row[2]) for row in rows if row[9] is not None]
        keys, sources = zip(*keyed, strict=True)
        values = {"daemon": self._daemon, "keys": list(keys), "sources": list(sources)}
        found = self._connection.rows(_KNOWN, values)
        known: dict[tuple[str, str], int] = {(key, source): seq for key, source, seq in found}
        repeated: list[tuple[int, int]] = []
        others: list[RawEvent] = []
        seq = self.last_seq
        for index, row in enumerate(rows):
            if row[9] is not None:
                first = known.get((row[9], row[2]))
                if first is not None:
                    repeated.append((index, first))
                    continue
                known[(row[9], row[2])] = seq + 1
            seq += 1
            others.append(row)
        return repeated, others

    def _taken_apart(
        self, rows: Sequence[RawEvent], left_out: Iterable[int]
    ) -> tuple[list[_Row], list[tuple[int, str]]]:
        """The rows with the data of the large ones apart; which those are, and where it is."""
        apart: list[tuple[int, str]] = []
        whole: list[_Row] = []
        for index, row in enumerate(rows):
            if index in left_out:
                continue
            payload = self._payloads.taken_from(row)
            if payload is None:
                whole.append(row)
                continue
            self._payloads.keep(payload)
            apart.append((index, payload.ref))
            whole.append((*row[:-1], "null", payload.ref))
        return whole, apart


_NO_PAYLOAD: Final = (None,) * 12


def _raw(events: Sequence[RawEvent] | Sequence[Event]) -> Sequence[RawEvent]:
    """A frame from the wire is rows already; all its events are of one kind."""
    if events and isinstance(events[0], Event):
        return [cast(RawEvent, astuple(event)) for event in cast(Sequence[Event], events)]
    return cast(Sequence[RawEvent], events)
