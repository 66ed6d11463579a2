"""What events may be counted by, and the counts as they are read.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast

from holdfast.errors import InvalidInputError
from holdfast.storage.records import Grouped

__all__ = ["COLUMNS", "MAX_GROUPS", "check_grouping", "groups_of"]

# By what may be counted.
COLUMNS: Final = ("type", "source", "session", "subject")

MAX_GROUPS: Final = 10_000


def check_grouping(by: Sequence[str], bucket_us: int | None) -> None:
    """Raises InvalidInputError."""
    for column in by:
        if column not in COLUMNS:
            raise InvalidInputError(f"by = {column!r}: expected one of {', '.join(COLUMNS)}")
    if len(set(by)) != len(by):
        raise InvalidInputError(f"by = {list(by)!r}: each may be named once")
    if bucket_us is not None and not 0 < bucket_us < 2**62:
        raise InvalidInputError(f"bucket = {bucket_us / 1e6:g}: expected seconds > 0")


def groups_of(rows: Iterable[tuple[object, ...]], *, has_bucket: bool) -> list[Grouped]:
    """Rows of the bucket's start, if there is one, the columns, and the count.

    Raises InvalidInputError for more than an answer holds.
    """
    found = [_grouped(row, has_bucket=has_bucket) for row in rows]
    if len(found) > MAX_GROUPS:
        raise InvalidInputError(
            f"more than {MAX_GROUPS} groups: take a larger bucket, or narrow the question "
            "(types, since, until)"
        )
    return found


def _grouped(row: tuple[object, ...], *, has_bucket: bool) -> Grouped:
    start = cast(int, row[0]) if has_bucket else None
    keys = cast("tuple[str | None, ...]", row[1 if has_bucket else 0 : -1])
    return Grouped(start, keys, cast(int, row[-1]))
