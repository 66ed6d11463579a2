"""How many events there are, by what and by when, from the database."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.storage import event_groups
from holdfast.storage.event_groups import check_grouping, groups_of
from holdfast.storage.event_sql import conditions, index_of, join, seq_conditions
from holdfast.storage.filters import EventFilter
from holdfast.storage.records import Grouped
from holdfast.storage.sqlite_reading import Reading

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
        if bucket_us is not None:  # a whole number, checked
            rest = f"((time_us % {bucket_us} + {bucket_us}) % {bucket_us})"
            keys.append(f"time_us - {rest}")
        keys += by
        numbers = ", ".join(str(number) for number in range(1, len(keys) + 1))
        grouping = f"GROUP BY {numbers} ORDER BY {numbers}" if keys else ""
        sql = (
            f"SELECT {', '.join([*keys, 'count(*)'])} FROM events {index_of(filter) or ''}"
            f" WHERE {where} {grouping} LIMIT {event_groups.MAX_GROUPS + 1}"
        )
        return groups_of(self._read(sql, values), has_bucket=bucket_us is not None)
