"""An SQLite database that is being filled: made anew, and nobody else's until it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

import apsw

from holdfast.errors import StorageError, SwapError
from holdfast.storage.atomic_files import disk_errors, sync_folder
from holdfast.storage.database_file import check_file
from holdfast.storage.migrating.catalog import FACTS, TABLES, Row, Table
from holdfast.storage.migrating.labels import LABEL, STANDING, Label, decode, encode
from holdfast.storage.migrating.ports import (
    AnewError,
    ClashError,
    Facts,
    Look,
    Place,
    RefusedRowError,
)
from holdfast.storage.migrating.sqlite_rows import SqliteRows, equal, listed, marks, naming
from holdfast.storage.ports import NoDatabaseError
from holdfast.storage.sqlite_connection import REFUSALS, open_reading, open_writing
from holdfast.storage.sqlite_lock import WriterLock
from holdfast.storage.sqlite_schema import VERSION, has_table
from holdfast.storage.state_values import comparable, parsed

__all__ = ["SqliteTarget", "label_of"]

_CLASHES: Final = (apsw.SQLITE_CONSTRAINT_UNIQUE, apsw.SQLITE_CONSTRAINT_PRIMARYKEY)
_PROPERTIES: Final = ("entity", "name", "type", "kind", "key", "rest")
_SET: Final = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"
_FILES: Final = ("", "-wal", "-shm", "-journal")


class SqliteTarget(SqliteRows):
    """Implements ``ports.Target``.  Raises SwapError when it is somebody's, StorageError."""

    def __init__(self, place: Place, label: Label, look: Look | None = None) -> None:
        path = os.path.realpath(place.path)
        self._label = label
        self._lock = WriterLock(path)
        try:
            if look is None:
                _clear(path)
            else:
                _look(path, look)
            super().__init__(open_writing(path, durability="committed", vfs=None), path)
            with naming(path):
                self._connection.pragma("foreign_keys", 0)  # whole only in the end
                self._connection.execute(_SET, (LABEL, encode(label)))
            with disk_errors(path):
                sync_folder(Path(path).parent)
        except BaseException:
            self._lock.release()
            raise

    def is_empty(self) -> bool:
        """It was made anew, or is to be gone on with."""
        return True

    def empty(self, seconds: float) -> bool:
        """It is."""
        return True

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; committed when it ends."""
        with naming(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with naming(self.path):
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                with suppress(apsw.Error):
                    self._connection.execute("ROLLBACK")

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """New ones.  Raises ClashError, RefusedRowError: the transaction is to be taken back."""
        columns = tuple(table.columns)
        sql = f"INSERT INTO {table.name} ({listed(columns)}) VALUES ({marks(columns)})"
        self._write(sql, rows)
        if table.name == "entities":
            self._add_properties(rows)

    def replace(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert, or change the row of the same key.  Raises as ``insert``."""
        columns = tuple(table.columns)
        others = columns[table.width :]
        changed = ", ".join(f'"{column}" = excluded."{column}"' for column in others)
        self._write(
            f"INSERT INTO {table.name} ({listed(columns)}) VALUES ({marks(columns)})"
            f" ON CONFLICT ({listed(table.key)}) DO"
            f" {f'UPDATE SET {changed}' if changed else 'NOTHING'}",
            rows,
        )
        if table.name == "entities":
            self._drop_properties([row[:1] for row in rows])
            self._add_properties(rows)

    def delete(self, table: Table, keys: Sequence[Row]) -> None:
        """Those that there are."""
        with naming(self.path):
            sql = f"DELETE FROM {table.name} WHERE {equal(table.key)}"
            self._connection.executemany(sql, keys)
        if table.name == "entities":
            self._drop_properties(keys)

    def keep(self, standing: str) -> None:
        """How far it is, within the transaction that it comes by."""
        with naming(self.path):
            self._connection.execute(_SET, (STANDING, standing))

    def wrong_properties(self, rows: Sequence[Row]) -> str | None:
        """Read back what entities are found by; the id of one where that is not as it has to be."""
        numbers = [row[:1] for row in rows]
        found = set(self._having("properties", _PROPERTIES, ("entity",), numbers))
        for row in rows:
            wanted = set(_properties_of(row))
            if not wanted <= found:
                return cast(str, row[1])
            found -= wanted
        if not found:
            return None
        stray = min(found)[0]
        return next(cast(str, row[1]) for row in rows if row[0] == stray)

    def settle(self, facts: Facts, epoch: int) -> None:
        """Replace the facts, and have the next writer's epoch be above that one."""
        given = dict(facts)
        letter = given.pop("last_dead_letter", None)
        with naming(self.path):
            execute = self._connection.execute
            for name in set(FACTS) - {"deleted_seq"}:  # which always is
                execute("DELETE FROM meta WHERE name = ?", (name,))
            self._connection.executemany(_SET, list(given.items()))
            execute("UPDATE meta SET value = max(value, ?) WHERE name = 'epoch'", (epoch,))
            if letter is not None:
                execute("DELETE FROM sqlite_sequence WHERE name = 'dead_letters'")
                sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ('dead_letters', ?)"
                execute(sql, (letter,))

    def complete(self) -> None:
        """Have all of it on the disk, labelled as complete, and let go of it."""
        whole = Label(
            state="complete", swap=self._label.swap, other=self._label.other, at=self._label.at
        )
        seq = self.last_seq()
        with naming(self.path):
            self._connection.pragma("synchronous", "FULL")
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(_SET, (LABEL, encode(whole)))
            self._connection.execute(_SET, ("synced_seq", seq))
            self._connection.execute("COMMIT")
        with disk_errors(self.path):
            sync_folder(Path(self.path).parent)
        self._lock.note_made()
        self.close()

    def analyse(self) -> None:
        """SQLite plans without."""

    def keep_short(self) -> None:
        """Now and then: what a last fsync would have to write is written before."""
        with suppress(apsw.BusyError), naming(self.path):
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        """Let go of it."""
        super().close()
        self._lock.release()

    def _write(self, sql: str, rows: Sequence[Row]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except REFUSALS as error:
            if getattr(error, "extendedresult", 0) in _CLASHES:
                raise ClashError from error
            raise RefusedRowError(str(error)) from error
        except apsw.Error:
            with naming(self.path):
                raise

    def _add_properties(self, rows: Sequence[Row]) -> None:
        sql = f"INSERT INTO properties ({listed(_PROPERTIES)}) VALUES ({marks(_PROPERTIES)})"
        self._write(sql, [each for row in rows for each in _properties_of(row)])

    def _drop_properties(self, keys: Sequence[Row]) -> None:
        with naming(self.path):
            self._connection.executemany("DELETE FROM properties WHERE entity = ?", keys)


def _properties_of(entity: Row) -> Iterator[Row]:
    """Rows of ``properties`` for a row of ``entities``."""
    number, type = entity[0], entity[2]
    for name, value in parsed(entity[6], "properties").items():
        yield number, name, type, *comparable(value)


def _clear(path: str) -> None:
    """Delete what an earlier try has left.  Raises SwapError when it is something else."""
    check_file(path, newest=VERSION)
    if os.path.exists(path) and os.path.getsize(path):
        with suppress(NoDatabaseError):
            _require_leftover(path)
    with disk_errors(path):
        for suffix in _FILES:
            with suppress(FileNotFoundError):
                os.unlink(path + suffix)


def _look(path: str, look: Look) -> None:
    """At what an earlier try has left.  Raises AnewError."""
    check_file(path, newest=VERSION)
    try:
        rows = SqliteRows(open_reading(path), path)
    except NoDatabaseError as error:
        raise AnewError("the target is not there any more") from error
    try:
        look(rows.label(), rows.standing())
    finally:
        rows.close()


def label_of(path: str) -> Label | None:
    """Of the database there, if there is one.  Raises StorageError."""
    try:
        rows = SqliteRows(open_reading(path), path)
    except NoDatabaseError:
        return None
    try:
        return decode(rows.label())
    finally:
        rows.close()


def _require_leftover(path: str) -> None:
    connection = open_reading(path)
    try:
        label = decode(SqliteRows(connection, path).label())
        if label is not None and label.state != "old":
            return
        if _is_untouched(connection):
            return
    except (apsw.Error, StorageError) as error:
        raise SwapError(f"{path}: cannot be told to be a leftover: {error}") from error
    finally:
        connection.close()
    raise SwapError(
        f"{path}: there is a database there already, which no swap has left half filled: move it "
        "away, or name another path"
    )


def _is_untouched(connection: apsw.Connection) -> bool:
    """Made by a try that ended before it could label it, perhaps before all tables were there."""
    if connection.execute("SELECT value FROM meta WHERE name = 'epoch'").get:
        return False  # of a writer
    tables = [table.name for table in TABLES if has_table(connection, table.name)]
    return not any(connection.execute(f"SELECT 1 FROM {name} LIMIT 1").get for name in tables)
