"""What can be read of a damaged database, in a new one that is whole; the damaged one is kept.

Rows go through the schema as anything does: what is no row of its table is left out.  Then what
has lost what it stands on is taken out too, sums are made anew, and what is missing is written
down, so that a gap is known to be one: ``lost_events`` and ``lost_payloads`` in ``meta``.  Large
data and parts of checkpoints are known by their hashes; of other rows nobody can tell whether a
byte in a text was another one.  Nothing is kept here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, cast

import apsw
import msgspec

from holdfast.errors import DamagedError, StorageError
from holdfast.storage import timelines
from holdfast.storage.copying import as_one_file, room_for
from holdfast.storage.database_file import PAGE_SIZE
from holdfast.storage.mending import mend
from holdfast.storage.restoring import put_in_place
from holdfast.storage.salvaging import Salvage, Table, opened_pages
from holdfast.storage.sqlite_connection import storage_error
from holdfast.storage.sqlite_schema import APPLICATION_ID, MIGRATIONS, migrate
from holdfast.storage.verifying import Finding, verify_database
from holdfast.storage.wal_file import read_log

__all__ = ["Repaired", "TableSaved", "repair_database"]

BATCH: Final = 500  # rows put in with one statement each, and one savepoint for all
# Made anew: what triggers count, what retention counts, the index of texts.
_LEFT_OUT: Final = ("session_totals", "retained", "sqlite_stat1", "sqlite_sequence")
_OF_META: Final = ("full_text_from", "restored_turn")


class TableSaved(msgspec.Struct, kw_only=True):
    """Of a table: rows in the new database, and what is known of those that are not.

    ``lost``: of the rows that an index of it knew; None where no index says.  ``unreadable``: pages
    and rows that were none any more.  ``refused``: rows that the schema does not take.
    ``removed``: rows that stood on something that is lost.
    """

    saved: int = 0
    lost: int | None = None
    unreadable: int = 0
    refused: int = 0
    removed: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is known to be missing."""
        return not (self.lost or self.unreadable or self.refused or self.removed)


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; ``aside`` is the damaged database, with its log beside it."""

    path: str
    aside: str
    tables: dict[str, TableSaved]
    last_seq: int
    epoch: int
    findings: list[Finding]  # of the new one, where it is not whole


def repair_database(path: str, watch: Callable[[str], None]) -> Repaired:
    """Put a new database in place of the one at ``path``; the caller has the locks of both.

    Raises DamagedError when nothing of it can be read, StorageError; then it is as it was.
    """
    log = read_log(f"{path}-wal")
    pages = opened_pages(path, log)
    try:
        salvage = Salvage(pages)
        with room_for(path + ".repaired", replace=True) as draft:
            tables, last_seq, epoch = _made(draft, path, salvage, watch)
            as_one_file(draft)
            watch("verifying")
            findings = [one for one in verify_database(draft, watch=watch) if one.level == "error"]
            _sync(draft)
            aside = put_in_place(draft, path, "damaged")
    except apsw.Error as error:
        raise storage_error(error, path) from error
    finally:
        pages.close()
        log.close()
    return Repaired(
        path=path,
        aside=aside or "",
        tables=tables,
        last_seq=last_seq,
        epoch=epoch,
        findings=findings,
    )


def _made(
    draft: str, path: str, salvage: Salvage, watch: Callable[[str], None]
) -> tuple[dict[str, TableSaved], int, int]:
    connection = apsw.Connection(draft)
    try:
        connection.pragma("page_size", PAGE_SIZE)
        connection.pragma("auto_vacuum", "INCREMENTAL")
        connection.pragma("journal_mode", "OFF")
        connection.pragma("synchronous", "OFF")
        connection.pragma("foreign_keys", 0)
        for step in range(salvage.version):
            connection.execute(MIGRATIONS[step])
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", salvage.version)
        tables: dict[str, TableSaved] = {}
        seen = 0  # the highest number that an event is known to have had
        for table in salvage.tables:
            if table.name not in _LEFT_OUT:
                watch(f"reading {table.name}")
                tables[table.name] = _save(connection, salvage, table)
                if table.name == "events":
                    seen = _newest(salvage, table)
        if not any(saved.saved for saved in tables.values()):
            raise DamagedError(f"{path}: nothing in it can be read; `holdfast restore` a backup")
        migrate(connection, salvage.version)
        watch("mending")
        with connection:
            last_seq = mend(connection, tables, seen=seen)
            epoch = _set_forward(connection, tables)
        return tables, last_seq, epoch
    finally:
        connection.close()


def _save(connection: apsw.Connection, salvage: Salvage, table: Table) -> TableSaved:
    saved = TableSaved()
    marks = ", ".join("?" * len(table.columns))
    names = ", ".join(f'"{name}"' for name in table.columns)
    # What the migrations have put there is replaced, what comes twice is not.
    how = "REPLACE" if table.name == "meta" else "IGNORE"
    sql = f'INSERT OR {how} INTO "{table.name}" ({names}) VALUES ({marks})'
    known = _confirmed(salvage, table)
    rows = _trusted(salvage.rows(table), known, table, saved)
    while batch := list(islice(rows, BATCH)):
        _insert(connection, sql, batch, saved)
    saved.unreadable = salvage.damaged.get(table.name, 0)
    witnessed = salvage.witnessed(table)
    if witnessed is not None:
        saved.lost = max(0, witnessed - saved.saved)
    return saved


def _confirmed(salvage: Salvage, table: Table) -> set[int] | None:
    """Number, time and type of events by their index; None where that is damaged itself.

    A row with another number than it had cannot be told from one that was never there, but for
    this: that index has an entry for each.
    """
    if table.name != "events" or salvage.witnessed(table) is None:
        return None
    return {hash(tuple(entry)) for entry in salvage.entries(table)}


def _trusted(
    rows: Iterable[tuple[object, ...]],
    known: set[int] | None,
    table: Table,
    saved: TableSaved,
) -> Iterator[tuple[object, ...]]:
    if table.name == "meta":
        yield from (row for row in rows if row[0] not in _OF_META)
        return
    if known is None:
        yield from rows
        return
    seq, time_us, type = (table.columns.index(name) for name in ("seq", "time_us", "type"))
    for row in rows:
        if hash((row[time_us], row[type], row[seq])) in known:
            yield row
        else:
            saved.refused += 1


def _insert(
    connection: apsw.Connection, sql: str, rows: list[tuple[object, ...]], saved: TableSaved
) -> None:
    """All at once; row by row where one of them is refused."""
    with connection:
        for row in rows:
            try:
                connection.execute(sql, cast("tuple[apsw.SQLiteValue, ...]", row))
                taken = connection.changes()
            except (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, OverflowError):
                taken = 0
            saved.saved += taken
            saved.refused += 1 - taken


def _newest(salvage: Salvage, table: Table) -> int:
    """The highest number in an index that is whole; 0 where it is not."""
    if salvage.witnessed(table) is None:
        return 0
    return max((cast(int, entry[-1]) for entry in salvage.entries(table)), default=0)


def _set_forward(connection: apsw.Connection, tables: dict[str, TableSaved]) -> int:
    """The epoch goes on; where it is lost, beyond any that may have been."""
    execute = connection.execute
    is_known = not (tables["meta"].unreadable or tables["meta"].refused)
    epoch = cast(int, execute("SELECT value FROM meta WHERE name = 'epoch'").get)
    epoch = timelines.next_epoch(epoch, epoch if is_known else None)
    execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (epoch,))
    if not tables["senders"].is_whole:  # they go on where they are
        turn = execute("SELECT coalesce(max(turn), 0) FROM senders").get
        execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('restored_turn', ?)", (turn,))
    return epoch


def _sync(draft: str) -> None:
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise StorageError(f"{draft}: {error.strerror}") from error
    finally:
        os.close(descriptor)
