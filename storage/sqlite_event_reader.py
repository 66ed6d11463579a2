"""Events, reading side."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.event_sql import conditions, index_of, join, seq_conditions
from holdfast.storage.filters import EventFilter
from holdfast.storage.records import Position, Row, StoredEvent
from holdfast.storage.sqlite_events import LAST_SEQ
from holdfast.storage.sqlite_reading import Reading, check_limit
from holdfast.storage.timelines import decode_forks

__all__ = ["EVENT", "EventReading"]

# The columns of a StoredEvent.
EVENT: Final = (
    "seq, daemon, time_us, type, source, subject, session, correlation, cause, root, depth, key,"
    " data, payload"
)

# Events next to where a query begins are read in order, which ends as soon as there are enough
# and is all that following needs.  Only what is further away is worth an index and a sort.
NEAR: Final = 5_000
# To look for types an index is read from end to end, at an eighth of what an event costs: so many
# events are worth a look first, and no question takes twice the time of the better way.
INDEX_SHARE: Final = 8


class EventReading(Reading):
    """Implements ``holdfast.storage.reader_ports.EventReader``."""

    def last_seq(self) -> int:
        """The number of the newest event ever committed; 0 before the first."""
        return self._number(LAST_SEQ)

    def position(self) -> Position:
        """That, the epoch of the writer that opened the database last, and what was restored."""
        sql = (
            f"SELECT ({LAST_SEQ}), (SELECT value FROM meta WHERE name = 'epoch'),"
            " (SELECT value FROM meta WHERE name = 'forks')"
        )
        last_seq, epoch, forks = cast("tuple[int, int, str | None]", self._read(sql)[0])
        return Position(last_seq, epoch, decode_forks(forks))

    def events(self, filter: EventFilter, limit: int, reverse: bool = False) -> list[StoredEvent]:
        """The first ``limit`` events asked for by number, or the last, newest first."""
        filter.check()
        check_limit(limit)
        first, last = self._bounds(filter)
        if (how := index_of(filter)) is not None:
            rows = self._select(filter, (first, last), limit, reverse, how)
            return [StoredEvent(*row) for row in rows]
        size = NEAR if _is_timed(filter) else max(NEAR, (last - first) // INDEX_SHARE)
        edge = max(first, last - size + 1) if reverse else min(last, first + size - 1)
        near = (edge, last) if reverse else (first, edge)
        far = (first, edge - 1) if reverse else (edge + 1, last)
        rows = self._select(filter, near, limit, reverse, "NOT INDEXED")
        if len(rows) < limit and far[0] <= far[1]:
            rows += self._far(filter, far, limit - len(rows), reverse)
        return [StoredEvent(*row) for row in rows]

    def count(self, filter: EventFilter) -> int:
        """How many events are asked for."""
        filter.check()
        where, values = join([*conditions(filter), *seq_conditions(filter)])
        how = index_of(filter) or ""
        return self._number(f"SELECT count(*) FROM events {how} WHERE {where}", values)

    def newest(self, limit: int) -> list[Row]:
        """The last ``limit`` events, oldest first."""
        check_limit(limit)
        sql = f"SELECT {EVENT} FROM events ORDER BY seq DESC LIMIT ?"
        rows = cast("list[Row]", self._read(sql, (limit,)))
        rows.reverse()
        return rows

    def before(self, seq: int, limit: int) -> list[Row]:
        """The last ``limit`` events of lower numbers, oldest first."""
        check_limit(limit)
        sql = f"SELECT {EVENT} FROM events WHERE seq < ? ORDER BY seq DESC LIMIT ?"
        rows = cast("list[Row]", self._read(sql, (seq, limit)))
        rows.reverse()
        return rows

    def range(self, after_seq: int, until_seq: int) -> list[Row]:
        """The events with ``after_seq < seq <= until_seq``, in order."""
        sql = f"SELECT {EVENT} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq"
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
        where, values = join([*conditions(filter), ("seq BETWEEN ? AND ?", span)])
        sql = f"SELECT {EVENT} FROM events {how} WHERE {where} {_order(reverse)}"
        return cast("list[Row]", self._read(sql, (*values, limit)))

    def _far(
        self, filter: EventFilter, span: tuple[int, int], limit: int, reverse: bool
    ) -> list[Row]:
        if filter.source is not None or _is_only_numbers(filter):
            return self._select(filter, span, limit, reverse, "NOT INDEXED")
        # The index holds all that is looked at: only the rows found are read from the table.
        where, values = join([*conditions(filter), ("seq BETWEEN ? AND ?", span)])
        found = f"SELECT seq FROM events INDEXED BY events_by_time WHERE {where} {_order(reverse)}"
        sql = f"SELECT {EVENT} FROM events WHERE seq IN ({found}) {_order(reverse)}"
        return cast("list[Row]", self._read(sql, (*values, limit, limit)))


def _is_only_numbers(filter: EventFilter) -> bool:
    return not filter.types and not _is_timed(filter)


def _is_timed(filter: EventFilter) -> bool:
    return filter.since_us is not None or filter.until_us is not None


def _order(reverse: bool) -> str:
    return f"ORDER BY seq {'DESC' if reverse else 'ASC'} LIMIT ?"
