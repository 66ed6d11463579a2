"""How many events there are, by what and by when, from the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from holdfast.errors import InvalidInputError
from holdfast.storage.event_sql import conditions, index_of, join, seq_conditions
from holdfast.storage.filters import EventFilter
from holdfast.storage.records import Grouped
from holdfast.storage.sqlite_reading import Reading

__all__ = ["COLUMNS", "CountReading"]

# By what may be counted.
COLUMNS: Final = ("type", "source", "session", "subject")

MAX_GROUPS: Final = 10_000


class CountReading(Reading):
    """Implements ``holdfast.storage.reader_ports.CountReader``."""

    def grouped(
        self, filter: EventFilter, by: Sequence[str], bucket_us: int | None
    ) -> list[Grouped]:
        """The events asked for, counted by columns and, with a bucket, by time; in that order.

        A bucket begins at a multiple of ``bucket_us`` since 1970.
        """
        filter.check()
        _check(by, bucket_us)
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
            f" WHERE {where} {grouping} LIMIT {MAX_GROUPS + 1}"
        )
        rows = self._read(sql, values)
        if len(rows) > MAX_GROUPS:
            raise InvalidInputError(
                f"more than {MAX_GROUPS} groups: take a larger bucket, or narrow the question "
                "(types, since, until)"
            )
        return [_grouped(row, has_bucket=bucket_us is not None) for row in rows]


def _check(by: Sequence[str], bucket_us: int | None) -> None:
    for column in by:
        if column not in COLUMNS:
            raise InvalidInputError(f"by = {column!r}: expected one of {', '.join(COLUMNS)}")
    if len(set(by)) != len(by):
        raise InvalidInputError(f"by = {list(by)!r}: each may be named once")
    if bucket_us is not None and not 0 < bucket_us < 2**62:
        raise InvalidInputError(f"bucket = {bucket_us / 1e6:g}: expected seconds > 0")


def _grouped(row: tuple[object, ...], *, has_bucket: bool) -> Grouped:
    start = cast(int, row[0]) if has_bucket else None
    keys = cast("tuple[str | None, ...]", row[1 if has_bucket else 0 : -1])
    return Grouped(start, keys, cast(int, row[-1]))
