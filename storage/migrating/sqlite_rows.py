"""Rows of an SQLite database, read for a migration in short transactions.  Nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import apsw

from holdfast.storage.migrating.catalog import Row, Table, facts_of
from holdfast.storage.migrating.labels import LABEL, STANDING
from holdfast.storage.migrating.ports import Facts
from holdfast.storage.sqlite_connection import storage_error
from holdfast.storage.sqlite_events import LAST_SEQ

__all__ = ["SqliteRows", "equal", "listed", "marks", "naming"]

_LAST_LETTER: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'dead_letters'"


def listed(columns: Sequence[str]) -> str:
    """Their names, as SQL has them."""
    return ", ".join(f'"{column}"' for column in columns)


def equal(columns: Sequence[str]) -> str:
    """That each is what is given."""
    return " AND ".join(f'"{column}" = ?' for column in columns)


def marks(columns: Sequence[str]) -> str:
    """A question mark for each."""
    return ", ".join("?" for _ in columns)


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Raises StorageError for what SQLite raises, and for a text that is none."""
    try:
        yield
    except (apsw.Error, UnicodeDecodeError) as error:
        raise storage_error(error, path) from error


_SOME: Final = 50  # rows, each of which may have megabytes


def _cut(table: Table, rows: list[Row], max_bytes: int) -> list[Row]:
    """As many as fit, at least one."""
    size = 0
    for n, row in enumerate(rows):
        size += table.size_of((row,))
        if size > max_bytes and n:
            return rows[:n]
    return rows


class SqliteRows:
    """Implements ``ports.Rows``."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self.path: Final = path
        self._connection = connection

    def after(
        self, table: Table, key: Row | None, limit: int, max_bytes: int
    ) -> tuple[list[Row], bool]:
        """Rows in order of their key behind that one; whether they are the last."""
        where = "" if key is None else f"WHERE ({listed(table.key)}) > ({marks(table.key)})"
        sql = (
            f"SELECT {listed(tuple(table.columns))} FROM {table.name} {where}"
            f" ORDER BY {listed(table.key)} LIMIT {limit}"
        )
        rows: list[Row] = []
        size = 0
        with naming(self.path):
            cursor = self._connection.execute(sql, key or ())
            while some := list(islice(cursor, _SOME)):
                rows += some
                size += table.size_of(some)
                if size > max_bytes:
                    cursor.close()
                    return _cut(table, rows, max_bytes), False
        return rows, len(rows) < limit

    def having(self, table: Table, columns: Sequence[str], values: Sequence[Row]) -> list[Row]:
        """The rows with one of the values in those columns, which an index begins with."""
        return self._having(table.name, tuple(table.columns), columns, values)

    def count(self, table: Table) -> int:
        """All of them: slow."""
        return self._value(f"SELECT count(*) FROM {table.name}")  # type: ignore[no-any-return]

    def facts(self) -> Facts:
        """Those that there are."""
        with naming(self.path):
            found = facts_of(self._connection.execute("SELECT name, value FROM meta").fetchall())
            letter = self._connection.execute(_LAST_LETTER).get
        if letter:
            found["last_dead_letter"] = letter
        return found

    def last_seq(self) -> int:
        """The number of the newest event ever committed."""
        return self._value(LAST_SEQ)  # type: ignore[no-any-return]

    def epoch(self) -> int:
        """Of the last writer."""
        return self._value("SELECT value FROM meta WHERE name = 'epoch'")  # type: ignore[no-any-return]

    def label(self) -> str | None:
        """As it is."""
        return self._value(f"SELECT value FROM meta WHERE name = '{LABEL}'")  # type: ignore[no-any-return]

    def standing(self) -> str | None:
        """How far a target has come."""
        return self._value(f"SELECT value FROM meta WHERE name = '{STANDING}'")  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def _value(self, sql: str) -> Any:
        with naming(self.path):
            return self._connection.execute(sql).get

    def _having(
        self, table: str, selected: Sequence[str], columns: Sequence[str], values: Sequence[Row]
    ) -> list[Row]:
        sql = f"SELECT {listed(selected)} FROM {table} WHERE {equal(columns)}"
        with naming(self.path):
            return self._connection.executemany(sql, values).fetchall()
