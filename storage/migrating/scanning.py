"""All rows of a database that nobody changes any more: summed, compared, or found to be none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from holdfast.clock import Clock
from holdfast.errors import SwapError
from holdfast.storage.migrating.backends import open_source
from holdfast.storage.migrating.canonical import Sum, digests
from holdfast.storage.migrating.catalog import EVENTS, TABLES, Row, Table
from holdfast.storage.migrating.ports import Place, Proof, Rows, Source

__all__ = ["require_equal", "require_nothing", "scan"]

RANGE: Final = 5_000  # rows
RANGE_BYTES: Final = 8 * 2**20
# What any daemon that runs has: marks of its own actors, and what it says of itself.
_ITS_OWN: Final = (
    "senders",
    "results",
    "dropped",
    "retained",
    "deleted",
    "checkpoint_participants",
)
_MOST_EVENTS: Final = 10_000  # looked at


def scan(place: Place, *, swap: str, clock: Clock) -> Proof:
    """The sums of all of it.  Slow.  Raises StorageError."""
    start = clock.monotonic()
    source = open_source(place)
    try:
        sums = {table.name: Sum() for table in TABLES}
        for table in TABLES:
            for rows in ranges(source, table):
                sums[table.name].add(digests(rows))
        return Proof(
            swap=swap,
            tables=tuple(total.proof(name) for name, total in sums.items()),
            last_seq=source.last_seq(),
            tail=0,
            seconds=clock.monotonic() - start,
        )
    finally:
        source.close()


def ranges(source: Rows, table: Table) -> Iterator[Sequence[Row]]:
    """All rows of a table, some at a time."""
    after, is_last = None, False
    while not is_last:
        rows, is_last = source.after(table, after, RANGE, RANGE_BYTES)
        if rows:
            yield rows
            after = table.key_of(rows[-1])


def require_equal(wanted: Proof, found: Proof) -> None:
    """Raise SwapError that names the first table which differs."""
    for one, other in zip(wanted.tables, found.tables, strict=True):
        if one != other:
            raise SwapError(
                f"swap {wanted.swap}: table {one.name} has {one.rows} rows ({one.checksum}) at the "
                f"target, but {other.rows} ({other.checksum}) in the old data: stop, and keep both",
                table=one.name,
            )
    if wanted.last_seq != found.last_seq:
        raise SwapError(
            f"swap {wanted.swap}: the newest event is {wanted.last_seq} at the target, but "
            f"{found.last_seq} in the old data: stop, and keep both",
            table="meta",
        )


def require_nothing(source: Source, place: Place) -> None:
    """Raise SwapError when somebody would miss something; what a daemon says of itself is not."""
    for table in TABLES:
        if table is EVENTS:
            rows, is_last = source.after(table, None, _MOST_EVENTS, RANGE_BYTES)
            is_missed = not is_last or any(not _is_own(row) for row in rows)
        else:
            is_missed = table.name not in _ITS_OWN and bool(source.after(table, None, 1, 0)[0])
        if is_missed:
            raise SwapError(
                f"{place.where}: table {table.name} is not empty, and [storage] migrate = "
                '"require-empty": use "copy" to take it along, "empty" to leave it behind',
                table=table.name,
            )


def _is_own(event: Row) -> bool:
    return str(event[4]).startswith("supervisor/")
