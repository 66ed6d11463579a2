"""That the target has what it was given, and which row it will not take.  Nothing is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.errors import SwapError
from holdfast.storage.migrating.canonical import digests
from holdfast.storage.migrating.catalog import Row, Table, shown
from holdfast.storage.migrating.ports import (
    ClashError,
    RefusedRowError,
    Target,
    UnequalError,
)

__all__ = ["proven", "refusal", "require_properties"]

Write = Callable[[Table, Sequence[Row]], None]


def proven(table: Table, rows: Sequence[Row], found: Sequence[Row]) -> list[bytes]:
    """The digests of the rows.  Raises SwapError when something else was read back."""
    wanted = digests(rows)
    if rows == found:  # all columns have one type each
        return wanted
    got = digests(found)
    if sorted(wanted) == sorted(got):
        return wanted
    strange = set(got) ^ set(wanted)
    both = zip([*wanted, *got], [*rows, *found], strict=True)
    key = next((table.key_of(row) for each, row in both if each in strange), ())
    raise UnequalError(
        f"table {table.name}: what was read back is not what was written, first of all row "
        f"({shown(key)}): the target does not keep what it is given",
        table=table.name,
        key=key,
    )


def require_properties(target: Target, table: Table, rows: Sequence[Row]) -> None:
    """Raise SwapError when entities are not found by what they are to be found by."""
    if table.name == "entities" and (id := target.wrong_properties(rows)) is not None:
        raise UnequalError(
            f"table properties: what entity {shown((id,))} is found by is not what was written",
            table="properties",
            key=(id,),
        )


def refusal(
    target: Target, table: Table, rows: Sequence[Row], write: Write, error: Exception
) -> SwapError:
    """Which of the rows it is, by halves."""
    while len(rows) > 1:
        half = rows[: len(rows) // 2]
        rows = half if _is_refused(target, table, half, write) else rows[len(half) :]
    key = table.key_of(rows[0])
    return SwapError(
        f"table {table.name}: the target cannot hold row ({shown(key)}): {error}; change or "
        "delete it, then swap again",
        table=table.name,
        key=key,
    )


class _TriedError(Exception):
    """Ends a transaction that was only to see."""


def _is_refused(target: Target, table: Table, rows: Sequence[Row], write: Write) -> bool:
    try:
        with target.transaction():
            write(table, rows)
            raise _TriedError
    except _TriedError:
        return False
    except (ClashError, RefusedRowError):
        return True
