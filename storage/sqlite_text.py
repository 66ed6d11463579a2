"""The full-text index over the data of events, where it is asked for; the writing side.

``events_text`` holds the words of every text and number in an event's data, not the data itself.
What is committed is in it with the same COMMIT; a trigger takes out what is deleted.  Turned on,
it first covers what comes from then on, and older events slice by slice, the newest first, down
to ``full_text_from`` in table ``meta``.  Turned off, it is forgotten at once and its pages are
given back slice by slice: to drop a large table in one go would hold every commit up.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, cast

import apsw

from holdfast.storage.full_text import ADD, CREATE
from holdfast.storage.payloads import unpack
from holdfast.storage.records import RawEvent

__all__ = ["TextIndex"]

_CREATE: Final = f"""
{CREATE}
CREATE TRIGGER events_text_ends_with_its_event AFTER DELETE ON events
BEGIN
    DELETE FROM events_text WHERE rowid = old.seq;
END;
"""
_OLDER: Final = """
SELECT seq, data, bytes, codec, body FROM events LEFT JOIN payloads ON ref = payload
WHERE seq < ? ORDER BY seq DESC LIMIT ?
"""
_SET: Final = "INSERT OR REPLACE INTO meta (name, value) VALUES ('full_text_from', ?)"
# A row of that: number, data, and where that is stored apart its size, codec and packed text.
_Older = tuple[int, str, int, str, bytes | None]
_ROWS: Final = 64  # events looked at in one statement
_PAGES: Final = 64  # of 4 KB, given back in one statement
# The tables behind the index, and what names one of their rows.
_BEHIND: Final = (
    ("events_text_data", "id"),
    ("events_text_docsize", "id"),
)


class TextIndex:
    """Works within the caller's transactions."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._is_wanted = False
        self._is_there = False  # the table, with or without use for it
        self._from: int | None = None  # events from there on are in it; None: it is off
        self._pending: dict[int, str] = {}  # by number, until the COMMIT

    def open(self, *, is_wanted: bool, last_seq: int) -> None:
        """Turn it on or off."""
        self._is_wanted = is_wanted
        self.load()
        if is_wanted and not self._is_there:
            self._create(last_seq)
        elif not is_wanted and self._from is not None:
            self._connection.execute("DELETE FROM meta WHERE name = 'full_text_from'")
            self._connection.execute("DROP TRIGGER events_text_ends_with_its_event")
            self._from = None

    def load(self) -> None:
        """Read again where it stands, after a transaction that was taken back."""
        self._pending.clear()
        execute = self._connection.execute
        found = execute("SELECT 1 FROM sqlite_schema WHERE name = 'events_text'").get
        self._is_there = found is not None
        self._from = execute("SELECT value FROM meta WHERE name = 'full_text_from'").get

    @property
    def is_on(self) -> bool:
        """Whether events are to be noted."""
        return self._from is not None

    @property
    def has_work(self) -> bool:
        """Whether ``work`` has something to do."""
        if self._from is None:
            return self._is_there
        return self._from > 1

    def note(self, first_seq: int, rows: Sequence[RawEvent]) -> None:
        """Events that were stored as ``first_seq``, ``first_seq + 1``, ...

        They are added all at once before the COMMIT: each savepoint between would cost a segment.
        """
        if self._from is not None:
            self._pending.update(enumerate((row[-1] for row in rows), first_seq))

    def flush(self, last_seq: int) -> None:
        """Add what was noted; numbers over ``last_seq`` were taken back."""
        if self._pending:
            noted = [(seq, text) for seq, text in self._pending.items() if seq <= last_seq]
            self._pending.clear()
            self._connection.executemany(ADD, noted)

    def work(self, seconds: float, last_seq: int) -> None:
        """Add older events, or give pages back, for about so long."""
        end = time.monotonic() + seconds
        while self.has_work and time.monotonic() < end:
            if self._from is None:
                self._give_back(last_seq)
            else:
                self._add_older(self._from, end)

    def _create(self, last_seq: int) -> None:
        self._connection.execute(_CREATE)
        self._is_there = True
        self._move(last_seq + 1)

    def _move(self, seq: int) -> None:
        self._from = seq
        self._connection.execute(_SET, (seq,))

    def _add_older(self, first: int, end: float) -> None:
        rows = cast("list[_Older]", self._connection.execute(_OLDER, (first, _ROWS)).fetchall())
        for count, (seq, data, size, codec, body) in enumerate(rows, 1):
            text = data if body is None else unpack(codec, body, size).decode()
            self._connection.execute(ADD, (seq, text))
            if time.monotonic() > end:
                self._move(1 if count == len(rows) < _ROWS else seq)
                return
        self._move(1 if len(rows) < _ROWS else rows[-1][0])

    def _give_back(self, last_seq: int) -> None:
        """Some pages; with the last of them the table itself."""
        for table, name in _BEHIND:
            some = f"SELECT {name} FROM {table} LIMIT {_PAGES}"
            self._connection.execute(f"DELETE FROM {table} WHERE {name} IN ({some})")
            if self._connection.changes():
                return
        self._connection.execute("DROP TABLE events_text")
        self._is_there = False
        if self._is_wanted:
            self._create(last_seq)
