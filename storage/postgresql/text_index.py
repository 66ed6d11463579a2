"""The full-text index over the data of events, where it is asked for; the writing side.

As on SQLite (``holdfast.storage.sqlite_text``): what is committed is in it with the same COMMIT, a
trigger takes out what is deleted, and turned on it covers what comes from then on, and older events
slice by slice, the newest first, down to ``full_text_from`` in table ``meta``.  Turned off, its
rows are deleted slice by slice.

A row has the words of an event with their places, as FTS5 finds them.  PostgreSQL keeps 255 places
of a word, up to the 16,383rd, and 1 MiB of words: a text with more has its words without places,
and one with more words than that none.  They are marked, so that a search looks at the text itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Final, cast

from holdfast.storage.full_text import Words
from holdfast.storage.payloads import unpack
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.text_queries import LONGEST, kept_word
from holdfast.storage.records import RawEvent

__all__ = ["UNLISTED", "UNPLACED", "TextIndex", "listed_words"]

# What stands among the words; no word begins with a space.
UNPLACED: Final = "' unplaced'"
UNLISTED: Final = "' unlisted'"

_PLACES: Final = 16_383
_PLACES_OF_ONE: Final = 255
# Of words and places as text: a tsvector takes 2 ** 20, with up to 4 more for each place.
_BYTES: Final = 2**20 - 4 * _PLACES - 1
_PLACED: Final = tuple(f":{place} " for place in range(1, _PLACES + 1))

_INSERT: Final = "INSERT INTO events_text (daemon, seq, words) VALUES (%s, %s, %s::tsvector)"
_COPY: Final = "COPY events_text (daemon, seq, words) FROM STDIN"
_COPY_FROM: Final = 8  # rows, as of events
# Rows may be there: it was turned off, and on again before all of them were gone.
_AGAIN: Final = f"{_INSERT} ON CONFLICT DO NOTHING"
_OLDER: Final = """
SELECT e.seq, e.data, p.bytes, p.codec, p.body
FROM events AS e LEFT JOIN payloads AS p ON p.daemon = e.daemon AND p.ref = e.payload
WHERE e.daemon = %s AND e.seq < %s ORDER BY e.seq DESC LIMIT %s
"""
_SET: Final = """
INSERT INTO meta (daemon, name, value) VALUES (%s, 'full_text_from', %s)
ON CONFLICT (daemon, name) DO UPDATE SET value = excluded.value
"""
_FROM: Final = "SELECT value::bigint FROM meta WHERE daemon = %s AND name = 'full_text_from'"
_OFF: Final = "DELETE FROM meta WHERE daemon = %s AND name = 'full_text_from'"
_ANY: Final = "SELECT EXISTS (SELECT FROM events_text WHERE daemon = %s)"
_SOME: Final = """
DELETE FROM events_text WHERE daemon = %(daemon)s AND seq IN
    (SELECT seq FROM events_text WHERE daemon = %(daemon)s ORDER BY seq LIMIT %(rows)s)
"""
# A row of that: number, data, and where that is stored apart its size, codec and packed text.
_Older = tuple[int, str, int, str, bytes | None]
_ROWS: Final = 64  # events looked at in one statement
_GIVEN_BACK: Final = 1_000  # rows deleted in one statement


class TextIndex:
    """Works within the caller's transactions."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon
        self._words: Words | None = None  # from when it is on
        self._from: int | None = None  # events from there on are in it; None: it is off
        self._has_rows = False  # although it is off
        self._pending: dict[int, str] = {}  # by number, until the COMMIT

    def open(self, *, is_wanted: bool, last_seq: int) -> None:
        """Turn it on or off."""
        self.load()
        if is_wanted and self._from is None:
            self._move(last_seq + 1)
        elif not is_wanted:
            if self._from is not None:
                self._connection.run(_OFF, (self._daemon,))
                self._from = None
            self._has_rows = self._connection.value(_ANY, (self._daemon,))

    def load(self) -> None:
        """Read again where it stands, after a transaction that was taken back."""
        self._pending.clear()
        self._from = self._connection.value(_FROM, (self._daemon,))

    @property
    def is_on(self) -> bool:
        """Whether events are to be noted."""
        return self._from is not None

    @property
    def has_work(self) -> bool:
        """Whether ``work`` has something to do."""
        return self._has_rows if self._from is None else self._from > 1

    def note(self, first_seq: int, rows: Sequence[RawEvent]) -> None:
        """Events that are to be stored as ``first_seq``, ``first_seq + 1``, ..."""
        if self._from is not None:
            self._pending.update(enumerate((row[-1] for row in rows), first_seq))

    def flush(self, last_seq: int) -> None:
        """Add what was noted, behind the events; numbers over ``last_seq`` were taken back."""
        if not self._pending:
            return
        rows = [self._row(seq, text) for seq, text in self._pending.items() if seq <= last_seq]
        self._pending.clear()
        if len(rows) < _COPY_FROM:
            self._connection.many(_INSERT, rows)
            return
        self._connection.settle()  # there is no COPY in a pipeline
        with self._connection.cursor().copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)

    def work(self, seconds: float) -> None:
        """Add older events, or delete rows, for about so long."""
        end = time.monotonic() + seconds
        while self.has_work and time.monotonic() < end:
            if self._from is not None:
                self._add_older(self._from, end)
                continue
            values = {"daemon": self._daemon, "rows": _GIVEN_BACK}
            self._has_rows = self._connection.run(_SOME, values).rowcount == _GIVEN_BACK

    def _move(self, seq: int) -> None:
        self._from = seq
        self._connection.run(_SET, (self._daemon, str(seq)))

    def _add_older(self, first: int, end: float) -> None:
        found = self._connection.rows(_OLDER, (self._daemon, first, _ROWS))
        rows: list[tuple[str, int, str]] = []
        for seq, data, size, codec, body in cast("list[_Older]", found):
            text = data if body is None else unpack(codec, body, size).decode()
            rows.append(self._row(seq, text))
            if time.monotonic() > end:
                break
        self._connection.many(_AGAIN, rows)
        self._move(1 if len(rows) == len(found) < _ROWS else rows[-1][1])

    def _row(self, seq: int, text: str) -> tuple[str, int, str]:
        if self._words is None:
            self._words = Words()
        return self._daemon, seq, listed_words(self._words.of_data(text))


def listed_words(words: list[str]) -> str:
    """A tsvector, as text; the server sorts it, and puts the places of a word together."""
    if not words:
        return ""
    if max(map(len, words)) > LONGEST:
        words = [kept_word(word) for word in words]
        words = [f"'{word}'" if word.endswith(" ") else word for word in words]
    if len(words) <= _PLACES_OF_ONE or (
        len(words) <= _PLACES and max(Counter(words).values()) <= _PLACES_OF_ONE
    ):
        text = "".join(chain.from_iterable(zip(words, _PLACED, strict=False)))
        if _fits(text):
            return text
    text = f"{UNPLACED} {' '.join(set(words))}"
    return text if _fits(text) else UNLISTED


def _fits(text: str) -> bool:
    return len(text) <= _BYTES // 4 or len(text.encode()) <= _BYTES
