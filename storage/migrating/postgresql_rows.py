"""Rows of a daemon in PostgreSQL, read for a migration in short transactions.  Nothing is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

from holdfast.errors import StorageError
from holdfast.storage.migrating.catalog import LONG, Row, Table, facts_of
from holdfast.storage.migrating.labels import LABEL, STANDING
from holdfast.storage.migrating.ports import NO_BOUND, Facts
from holdfast.storage.migrating.sqlite_rows import listed
from holdfast.storage.postgresql.connection import (
    Connection,
    Values,
    connect,
    is_lost,
    named,
    storage_error,
    unreachable,
)
from holdfast.storage.postgresql.events import LAST_SEQ
from holdfast.storage.postgresql.schema import check_version
from holdfast.storage.postgresql.text import MARK, unescaped_row

__all__ = [
    "SETTINGS",
    "PostgresqlRows",
    "arrays",
    "by_column",
    "has_any",
    "matching",
    "named_error",
    "open_rows",
]

# Every question here goes by an index, whatever the planner thinks of tables that nobody has
# analysed yet.  The server notices that this machine is gone, and gives up the lock on the source.
SETTINGS: Final = """
SET search_path = holdfast; SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off;
SET enable_mergejoin = off; SET enable_bitmapscan = off; SET work_mem = '64MB';
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 5
"""
_TYPES: Final = {"int": "bigint", "real": "float8", "text": "text", "bytes": "bytea"}


def named_error(error: psycopg.Error, connection: Connection, where: str) -> StorageError:
    """Of a connection that is lost, too."""
    if is_lost(connection, error):
        return unreachable(where)
    return storage_error(error, where)


def open_rows(dsn: str, daemon: str, what: str) -> Connection:
    """A connection to tables that are there.

    Raises NoDatabaseError, UnreachableError, SchemaError, StorageError.
    """
    connection = connect(dsn, application=f"holdfast {daemon} {what}")
    try:
        check_version(connection, named(dsn))
        connection.run(SETTINGS)
    except psycopg.Error as error:
        connection.close()
        raise named_error(error, connection, named(dsn)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def arrays(table: Table, columns: Sequence[str]) -> str:
    """What the values of rows are given as, one array for each column."""
    types = (f"%s::{_TYPES[table.columns[column]]}[]" for column in columns)
    return f"unnest({', '.join(types)}) AS given ({listed(columns)})"


def matching(columns: Sequence[str], of: str) -> str:
    """That a row of that table is one of those given."""
    return " AND ".join(f'{of}."{column}" = given."{column}"' for column in columns)


def by_column(values: Sequence[Row]) -> list[list[Any]]:
    """Rows, as the arrays that are given."""
    return [list(column) for column in zip(*values, strict=True)]


def has_any(rows: Sequence[Row], columns: Iterable[int], *signs: str) -> bool:
    """Whether a text in those columns has one: looked for in all of a column at once."""
    found = list(zip(*rows, strict=True))
    for n in columns if found else ():
        texts = "".join(filter(None, found[n]))
        if any(sign in texts for sign in signs):
            return True
    return False


class PostgresqlRows:
    """Implements ``ports.Rows``."""

    def __init__(self, connection: Connection, daemon: str, where: str) -> None:
        self.where: Final = where
        self._connection = connection
        self._daemon = daemon

    def after(
        self, table: Table, key: Row | None, limit: int, max_bytes: int
    ) -> tuple[list[Row], bool]:
        """Rows in order of their key behind that one; whether they are the last.

        The server leaves out what does not fit, by bytes, which it knows without reading them.
        """
        columns, order = listed(tuple(table.columns)), listed(table.key)
        behind = "" if key is None else f"AND ({order}) > ({', '.join(['%s'] * len(key))})"
        long = [f'coalesce(octet_length("{each}"), 0)' for each in table.columns if each in LONG]
        asked = (
            f"SELECT {columns} FROM {table.name} WHERE daemon = %s {behind}"
            f" ORDER BY {order} LIMIT {limit}"
        )
        if not long or max_bytes >= NO_BOUND:
            rows = self._rows_of(table, asked, (self._daemon, *(key or ())))
            return rows, len(rows) < limit
        sql = (
            f"SELECT {columns}, many FROM (SELECT *, count(*) OVER () AS many,"
            f" sum({' + '.join(long)}) OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND"
            f" 1 PRECEDING) AS taken FROM ({asked}) AS asked) AS measured"
            f" WHERE taken IS NULL OR taken <= {max_bytes} ORDER BY {order}"
        )
        found = self._rows_of(table, sql, (self._daemon, *(key or ())))
        is_last = not found or (found[-1][-1] == len(found) < limit)
        return [row[:-1] for row in found], is_last

    def having(self, table: Table, columns: Sequence[str], values: Sequence[Row]) -> list[Row]:
        """The rows with one of the values in those columns, which an index begins with."""
        if not values:
            return []
        found = ", ".join(f'found."{column}"' for column in table.columns)
        sql = (
            f"SELECT {found} FROM {arrays(table, columns)} JOIN {table.name} AS found"
            f" ON found.daemon = %s AND {matching(columns, 'found')}"
        )
        return self._rows_of(table, sql, (*by_column(values), self._daemon))

    def count(self, table: Table) -> int:
        """All of them: slow."""
        sql = f"SELECT count(*) FROM {table.name} WHERE daemon = %s"
        return int(self._rows(sql, (self._daemon,))[0][0])

    def facts(self) -> Facts:
        """Those that there are."""
        rows = self._rows("SELECT name, value FROM meta WHERE daemon = %s", (self._daemon,))
        return facts_of(rows)

    def last_seq(self) -> int:
        """The number of the newest event ever committed."""
        return int(self._rows(LAST_SEQ, {"daemon": self._daemon})[0][0])

    def epoch(self) -> int:
        """Of the last writer."""
        rows = self._rows("SELECT epoch FROM daemons WHERE daemon = %s", (self._daemon,))
        return int(rows[0][0]) if rows else 0

    def home(self) -> str:
        """Of the last writer, or who filled it."""
        rows = self._rows("SELECT home FROM daemons WHERE daemon = %s", (self._daemon,))
        return str(rows[0][0]) if rows else ""

    def label(self) -> str | None:
        """As it is."""
        return self._meta(LABEL)

    def standing(self) -> str | None:
        """How far a target has come."""
        return self._meta(STANDING)

    def _meta(self, name: str) -> str | None:
        sql = "SELECT value FROM meta WHERE daemon = %s AND name = %s"
        rows = self._rows(sql, (self._daemon, name))
        return rows[0][0] if rows else None

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise named_error(error, self._connection, self.where) from error

    def _rows(self, sql: str, values: Values = ()) -> list[Row]:
        with self._naming():
            return self._connection.cursor(binary=True).execute(sql, values or None).fetchall()

    def _rows_of(self, table: Table, sql: str, values: Values) -> list[Row]:
        with self._naming():
            cursor = self._connection.cursor(binary=True, row_factory=tuple_row)
            found = cursor.execute(sql, values).fetchall()
        if has_any(found, table.texts, MARK):
            return [unescaped_row(row) for row in found]
        return found
