"""How many events there are, by what and by when, from the database."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.storage import event_groups
from holdfast.storage.event_groups import check_grouping, groups_of
from holdfast.storage.filters import EventFilter
from holdfast.storage.postgresql.event_sql import conditions, join, seq_conditions
from holdfast.storage.postgresql.reading import Reading
from holdfast.storage.records import Grouped

__all__ = ["CountReading"]


class CountReading(Reading):
    """Implements ``holdfast.storage.reader_ports.CountReader``."""

    def grouped(
        self, filter: EventFilter, by: Sequence[str], bucket_us: int | None
    ) -> list[Grouped]:
        """The events asked for, counted by columns and, with a bucket, by time; in that order.

        A bucket begins at a multiple of ``bucket_us`` since 1970.
        """
        filter.check()
        check_grouping(by, bucket_us)
        where, values = join([*conditions(filter), *seq_conditions(filter)])
        keys: list[str] = []
        if bucket_us is not None:  # a whole number, checked; doubled for psycopg
            rest = f"((time_us %% {bucket_us} + {bucket_us}) %% {bucket_us})"
            keys.append(f"time_us - {rest}")
        keys += by
        numbers = range(1, len(keys) + 1)
        order = ", ".join(f"{number} NULLS FIRST" for number in numbers)
        grouping = f"GROUP BY {', '.join(map(str, numbers))} ORDER BY {order}" if keys else ""
        sql = (
            f"SELECT {', '.join([*keys, 'count(*)'])} FROM events WHERE daemon = %s AND {where}"
            f" {grouping} LIMIT {event_groups.MAX_GROUPS + 1}"
        )
        rows = self._read(sql, (self._daemon, *values))
        return groups_of(rows, has_bucket=bucket_us is not None)
