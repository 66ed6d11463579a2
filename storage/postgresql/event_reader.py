"""Events, reading side."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.filters import EventFilter
from holdfast.storage.postgresql.event_sql import Condition, conditions, join, seq_conditions
from holdfast.storage.postgresql.events import LAST_SEQ
from holdfast.storage.postgresql.reading import Reading, check_limit
from holdfast.storage.records import Position, Row, StoredEvent
from holdfast.storage.timelines import decode_forks

__all__ = ["EVENT", "EventReading"]

# The columns of a StoredEvent.
EVENT: Final = (
    "seq, daemon, time_us, type, source, subject, session, correlation, cause, root, depth, key,"
    " data, payload"
)
# Events next to where a query begins are read in order, which ends as soon as there are enough
# and is all that following needs.
NEAR: Final = 5_000
_POSITION: Final = f"""
SELECT ({LAST_SEQ}), (SELECT epoch FROM daemons WHERE daemon = %(daemon)s),
    (SELECT value FROM meta WHERE daemon = %(daemon)s AND name = 'forks')
"""


class EventReading(Reading):
    """Implements ``holdfast.storage.reader_ports.EventReader``."""

    def last_seq(self) -> int:
        """The number of the newest event ever committed; 0 before the first."""
        return self._number(LAST_SEQ, {"daemon": self._daemon}) or 0

    def position(self) -> Position:
        """That, the epoch of the writer that opened the database last, and what was restored."""
        last_seq, epoch, forks = self._read(_POSITION, {"daemon": self._daemon})[0]
        return Position(last_seq or 0, epoch or 0, decode_forks(forks))

    def events(self, filter: EventFilter, limit: int, reverse: bool = False) -> list[StoredEvent]:
        """The first ``limit`` events asked for by number, or the last, newest first."""
        filter.check()
        check_limit(limit)
        wanted = conditions(filter)
        if not wanted or _has_index(filter):
            rows = self._select([*wanted, *seq_conditions(filter)], limit, reverse)
            return [StoredEvent(*row) for row in rows]
        first, last = self._bounds(filter)
        edge = max(first, last - NEAR + 1) if reverse else min(last, first + NEAR - 1)
        near = (edge, last) if reverse else (first, edge)
        far = (first, edge - 1) if reverse else (edge + 1, last)
        rows = self._select([*wanted, ("seq BETWEEN %s AND %s", near)], limit, reverse)
        if len(rows) < limit and far[0] <= far[1]:
            far_away: Condition = ("seq BETWEEN %s AND %s", far)
            rows += self._select([*wanted, far_away], limit - len(rows), reverse)
        return [StoredEvent(*row) for row in rows]

    def count(self, filter: EventFilter) -> int:
        """How many events are asked for."""
        filter.check()
        where, values = join([*conditions(filter), *seq_conditions(filter)])
        sql = f"SELECT count(*) FROM events WHERE daemon = %s AND {where}"
        return self._number(sql, (self._daemon, *values))

    def newest(self, limit: int) -> list[Row]:
        """The last ``limit`` events, oldest first."""
        check_limit(limit)
        return self._select([], limit, reverse=True)[::-1]

    def before(self, seq: int, limit: int) -> list[Row]:
        """The last ``limit`` events of lower numbers, oldest first."""
        check_limit(limit)
        return self._select([("seq < %s", (seq,))], limit, reverse=True)[::-1]

    def range(self, after_seq: int, until_seq: int) -> list[Row]:
        """The events with ``after_seq < seq <= until_seq``, in order."""
        sql = (
            f"SELECT {EVENT} FROM events WHERE daemon = %s AND seq > %s AND seq <= %s ORDER BY seq"
        )
        return cast("list[Row]", self._read(sql, (self._daemon, after_seq, until_seq)))

    def _bounds(self, filter: EventFilter) -> tuple[int, int]:
        """The lowest and the highest number that can be asked for."""
        sql = (
            "SELECT coalesce(min(seq), 1)::bigint, coalesce(max(seq), 0)::bigint FROM events"
            " WHERE daemon = %s"
        )
        first, last = self._read(sql, (self._daemon,))[0]
        if filter.after is not None:
            first = max(first, filter.after + 1)
        if filter.before is not None:
            last = min(last, filter.before - 1)
        return first, last

    def _select(self, wanted: list[Condition], limit: int, reverse: bool) -> list[Row]:
        where, values = join(wanted)
        sql = (
            f"SELECT {EVENT} FROM events WHERE daemon = %s AND {where}"
            f" ORDER BY seq {'DESC' if reverse else 'ASC'} LIMIT %s"
        )
        return cast("list[Row]", self._read(sql, (self._daemon, *values, limit)))


def _has_index(filter: EventFilter) -> bool:
    """Whether an index leads to the events in order of their numbers."""
    return not (filter.correlation is None and filter.subject is None and filter.session is None)
