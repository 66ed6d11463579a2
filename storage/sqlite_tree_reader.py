"""What led to an event, and what it led to, from the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, cast

from holdfast.storage.causes import chain_from, number_in
from holdfast.storage.records import Row, StoredEvent
from holdfast.storage.sqlite_event_reader import EVENT, EventReading
from holdfast.storage.sqlite_reading import check_limit

__all__ = ["TreeReading"]

NAMESAKES: Final = 64  # events of one key, of different sources, that are looked at

# The numbers of the events that have one of the names in one of the columns, in order.
_WITH: Final = """
SELECT seq FROM (SELECT seq FROM events INDEXED BY events_by_{column}
                 WHERE {column} IN (SELECT value FROM json_each(?1)) AND seq > ?2
                 ORDER BY seq LIMIT ?3)
"""
_BELOW: Final = _WITH.format(column="root")
_AROUND: Final = " UNION ".join(
    _WITH.format(column=name) for name in ("key", "root", "correlation")
)


class TreeReading(EventReading):
    """Implements ``holdfast.storage.reader_ports.TreeReader``."""

    def causes(self, start: int | str, limit: int) -> list[StoredEvent]:
        """An event and what led to it, the first cause last.

        The event is given by number or by name.  The chain ends where a cause is not there (any
        more), and before an event that is in it already.
        """
        check_limit(limit)
        event = self._numbered(start) if isinstance(start, int) else self._newest_named(start)
        return chain_from(event, self._named, limit)

    def around(self, name: str, after: int, limit: int) -> list[StoredEvent]:
        """The events with this key, root or correlation, in order of their numbers."""
        return self._with(_AROUND, [name], after, limit)

    def below(self, roots: Sequence[str], after: int, limit: int) -> list[StoredEvent]:
        """The events whose root is one of those, in order of their numbers."""
        return self._with(_BELOW, roots, after, limit)

    def _with(self, found: str, names: Sequence[str], after: int, limit: int) -> list[StoredEvent]:
        check_limit(limit)
        sql = f"SELECT {EVENT} FROM events WHERE seq IN ({found}) ORDER BY seq LIMIT ?3"
        return self._events(sql, (json.dumps(names), after, limit))

    def _numbered(self, seq: int) -> StoredEvent | None:
        found = self._events(f"SELECT {EVENT} FROM events WHERE seq = ?", (seq,))
        return found[0] if found else None

    def _newest_named(self, name: str) -> StoredEvent | None:
        return max(self._named(name), key=lambda event: event.seq, default=None)

    def _named(self, name: str) -> list[StoredEvent]:
        """Those with the key; else the one of the number that the name has in it."""
        sql = f"SELECT {EVENT} FROM events WHERE key = ? ORDER BY seq DESC LIMIT {NAMESAKES}"
        found = self._events(sql, (name,))
        if not found and (numbered := number_in(name)) is not None:
            daemon, seq = numbered
            sql = f"SELECT {EVENT} FROM events WHERE seq = ? AND daemon = ?"
            found = self._events(sql, (seq, daemon))
        return found

    def _events(self, sql: str, values: tuple[str | int, ...]) -> list[StoredEvent]:
        return [StoredEvent(*row) for row in cast("list[Row]", self._read(sql, values))]
