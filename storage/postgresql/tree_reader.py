"""What led to an event, and what it led to, from the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.storage.causes import chain_from, number_in
from holdfast.storage.postgresql.event_reader import EVENT, EventReading
from holdfast.storage.postgresql.reading import check_limit
from holdfast.storage.records import StoredEvent

__all__ = ["TreeReading"]

NAMESAKES: Final = 64  # events of one key, of different sources, that are looked at

# The numbers of the events that have one of the names in one of the columns: a search for each
# name in the index that has them in order.
_WITH: Final = """
SELECT found.seq FROM unnest(%(names)s::text[]) AS name,
    LATERAL (SELECT seq FROM events WHERE daemon = %(daemon)s AND {column} = name
             AND seq > %(after)s ORDER BY seq LIMIT %(limit)s) AS found
"""
# All of one key, unordered, before any is left out: in search of the newest ones a planner that
# knows little of the table would read all events backwards.
_OF_KEY: Final = "SELECT * FROM events WHERE daemon = %(daemon)s AND key = %(name)s OFFSET 0"
_KEYED: Final = """
SELECT found.seq FROM unnest(%(names)s::text[]) AS name,
    LATERAL (SELECT seq FROM events WHERE daemon = %(daemon)s AND key = name OFFSET 0) AS found
    WHERE found.seq > %(after)s
"""
_BELOW: Final = _WITH.format(column="root")
_AROUND: Final = " UNION ".join(
    [_KEYED, _WITH.format(column="root"), _WITH.format(column="correlation")]
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
        sql = (
            f"SELECT {EVENT} FROM events WHERE daemon = %(daemon)s AND seq IN ({found})"
            " ORDER BY seq LIMIT %(limit)s"
        )
        return self._found(sql, names=list(names), after=after, limit=limit)

    def _numbered(self, seq: int) -> StoredEvent | None:
        sql = f"SELECT {EVENT} FROM events WHERE daemon = %(daemon)s AND seq = %(seq)s"
        found = self._found(sql, seq=seq)
        return found[0] if found else None

    def _newest_named(self, name: str) -> StoredEvent | None:
        return max(self._named(name), key=lambda event: event.seq, default=None)

    def _named(self, name: str) -> list[StoredEvent]:
        """Those with the key; else the one of the number that the name has in it."""
        sql = f"SELECT {EVENT} FROM ({_OF_KEY}) AS keyed ORDER BY seq DESC LIMIT {NAMESAKES}"
        found = self._found(sql, name=name)
        if not found and (numbered := number_in(name)) is not None:
            daemon, seq = numbered
            event = self._numbered(seq) if daemon == self._daemon else None
            found = [] if event is None else [event]
        return found

    def _found(self, sql: str, **values: object) -> list[StoredEvent]:
        return [StoredEvent(*row) for row in self._read(sql, {"daemon": self._daemon, **values})]
