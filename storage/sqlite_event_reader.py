"""Events, reading side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from holdfast.storage.filters import EventFilter, is_glob
from holdfast.storage.records import Position, Row, StoredEvent
from holdfast.storage.sqlite_events import LAST_SEQ
from holdfast.storage.sqlite_reading import Reading, check_limit

__all__ = ["EventReading"]

_EVENT: Final = (
    "seq, daemon, time_us, type, source, subject, session, correlation, cause, root, depth, key,"
    " data"
)

# Fields that have an index of the rows that have a value; the one that finds the fewest first.
_INDEXED: Final = ("correlation", "subject", "session")

# Events next to where a query begins are read in order, which ends as soon as there are enough
# and is all that following needs.  Only what is further away is worth an index and a sort.
NEAR: Final = 5_000

# A condition in SQL and the values of its parameters.
_Condition = tuple[str, tuple[str | int, ...]]


class EventReading(Reading):
    """Implements ``holdfast.storage.reader_ports.EventReader``."""

    def last_seq(self) -> int:
        """The number of the newest event ever committed; 0 before the first."""
        return self._number(LAST_SEQ)

    def position(self) -> Position:
        """That, and the epoch of the writer that opened the database last."""
        sql = f"SELECT ({LAST_SEQ}), (SELECT value FROM meta WHERE name = 'epoch')"
        last_seq, epoch = cast("tuple[int, int]", self._read(sql)[0])
        return Position(last_seq, epoch)

    def events(self, filter: EventFilter, limit: int, reverse: bool = False) -> list[StoredEvent]:
        """The first ``limit`` events asked for by number, or the last, newest first."""
        filter.check()
        check_limit(limit)
        first, last = self._bounds(filter)
        if (how := _index_of(filter)) is not None:
            rows = self._select(filter, (first, last), limit, reverse, how)
            return [StoredEvent(*row) for row in rows]
        edge = max(first, last - NEAR + 1) if reverse else min(last, first + NEAR - 1)
        near = (edge, last) if reverse else (first, edge)
        far = (first, edge - 1) if reverse else (edge + 1, last)
        rows = self._select(filter, near, limit, reverse, "NOT INDEXED")
        if len(rows) < limit and far[0] <= far[1]:
            rows += self._far(filter, far, limit - len(rows), reverse)
        return [StoredEvent(*row) for row in rows]

    def count(self, filter: EventFilter) -> int:
        """How many events are asked for."""
        filter.check()
        where, values = _join([*_conditions(filter), *_seq_conditions(filter)])
        how = _index_of(filter) or ""
        return self._number(f"SELECT count(*) FROM events {how} WHERE {where}", values)

    def newest(self, limit: int) -> list[Row]:
        """The last ``limit`` events, oldest first."""
        check_limit(limit)
        sql = f"SELECT {_EVENT} FROM events ORDER BY seq DESC LIMIT ?"
        rows = cast("list[Row]", self._read(sql, (limit,)))
        rows.reverse()
        return rows

    def range(self, after_seq: int, until_seq: int) -> list[Row]:
        """The events with ``after_seq < seq <= until_seq``, in order."""
        sql = f"SELECT {_EVENT} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq"
        return cast("list[Row]", self._read(sql, (after_seq, until_seq)))

    def _bounds(self, filter: EventFilter) -> tuple[int, int]:
        """The lowest and the highest number that can be asked for."""
        first = self._number("SELECT coalesce(min(seq), 1) FROM events")
        last = self._number("SELECT coalesce(max(seq), 0) FROM events")
        if filter.after is not None:
            first = max(first, filter.after + 1)
        if filter.before is not None:
            last = min(last, filter.before - 1)
        return first, last

    def _select(
        self, filter: EventFilter, span: tuple[int, int], limit: int, reverse: bool, how: str
    ) -> list[Row]:
        """What is asked for within a span of numbers; NOT INDEXED walks the table in order."""
        where, values = _join([*_conditions(filter), ("seq BETWEEN ? AND ?", span)])
        sql = f"SELECT {_EVENT} FROM events {how} WHERE {where} {_order(reverse)}"
        return cast("list[Row]", self._read(sql, (*values, limit)))

    def _far(
        self, filter: EventFilter, span: tuple[int, int], limit: int, reverse: bool
    ) -> list[Row]:
        if filter.source is not None or _is_only_numbers(filter):
            return self._select(filter, span, limit, reverse, "NOT INDEXED")
        # The index holds all that is looked at: only the rows found are read from the table.
        where, values = _join([*_conditions(filter), ("seq BETWEEN ? AND ?", span)])
        found = f"SELECT seq FROM events INDEXED BY events_by_time WHERE {where} {_order(reverse)}"
        sql = f"SELECT {_EVENT} FROM events WHERE seq IN ({found}) {_order(reverse)}"
        return cast("list[Row]", self._read(sql, (*values, limit, limit)))


def _index_of(filter: EventFilter) -> str | None:
    """The index to use, unless it is the order of numbers or of time that leads to the events."""
    for field in _INDEXED:
        if getattr(filter, field) is not None:
            return f"INDEXED BY events_by_{field}"
    return None


def _is_only_numbers(filter: EventFilter) -> bool:
    return not filter.types and filter.since_us is None and filter.until_us is None


def _order(reverse: bool) -> str:
    return f"ORDER BY seq {'DESC' if reverse else 'ASC'} LIMIT ?"


def _join(conditions: Sequence[_Condition]) -> tuple[str, tuple[str | int, ...]]:
    """All of them, as the text behind WHERE and its values."""
    if not conditions:
        return "true", ()
    where = " AND ".join(sql for sql, _ in conditions)
    return where, tuple(value for _, values in conditions for value in values)


def _conditions(filter: EventFilter) -> list[_Condition]:
    """The filter but for sequence numbers; agrees with ``EventFilter.compile``."""
    found: list[_Condition] = []
    if filter.types:
        alternatives = [_type_condition(pattern) for pattern in filter.types]
        sql, values = zip(*alternatives, strict=True)
        found.append((f"({' OR '.join(sql)})", values))
    if filter.subject is not None:
        found.append(("subject = ?", (filter.subject,)))
    if filter.session is not None:
        found.append(("session = ?", (filter.session,)))
    if filter.correlation is not None:
        found.append(("correlation = ?", (filter.correlation,)))
    if filter.source is not None:
        found.append(("source = ?", (filter.source,)))
    if filter.since_us is not None:
        found.append(("time_us >= ?", (filter.since_us,)))
    if filter.until_us is not None:
        found.append(("time_us < ?", (filter.until_us,)))
    return found


def _seq_conditions(filter: EventFilter) -> list[_Condition]:
    found: list[_Condition] = []
    if filter.after is not None:
        found.append(("seq > ?", (filter.after,)))
    if filter.before is not None:
        found.append(("seq < ?", (filter.before,)))
    return found


def _type_condition(pattern: str) -> tuple[str, str]:
    """SQLite's GLOB also knows ``[...]``; a bracket in a set of its own is only a bracket."""
    if is_glob(pattern):
        return "type GLOB ?", pattern.replace("[", "[[]")
    return "type = ?", pattern
