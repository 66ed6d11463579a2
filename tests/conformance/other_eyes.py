"""What is in a database, read by sqlite3 and psycopg alone: nothing of holdfast's has a part in it.

Whatever a migration says of itself is held against this.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import psycopg

Rows = set[tuple[Any, ...]]

# Kept by each backend for itself, beside the index of texts, which its writer builds.
OWN_TABLES: Final = {"meta", "daemons", "schema_version", "sqlite_sequence", "properties"}
# As the daemon's name in front of each row is.
LEFT_OUT: Final = {"daemon"}


def all_rows(where: str, daemon: str) -> dict[str, Rows]:
    """By table; a path of SQLite's, or a DSN."""
    if where.startswith(("host=", "postgresql:")):
        return postgresql_rows(where, daemon)
    return sqlite_rows(where)


def sqlite_rows(path: str) -> dict[str, Rows]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        sql = (
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'swap_log%'"
            " AND name NOT LIKE 'events_text%'"
        )
        tables = {name for (name,) in connection.execute(sql)} - OWN_TABLES
        found = {}
        for table in tables:
            cursor = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            found[table] = {_row(names, row) for row in cursor}
        found["properties"] = {
            (entity, name, type, kind, worth(kind, key, rest), *texts(kind, key, rest))
            for entity, name, type, kind, key, rest in connection.execute(
                "SELECT entity, name, type, kind, key, rest FROM properties"
            )
        }
    connection.close()
    return found


def postgresql_rows(dsn: str, daemon: str) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    with psycopg.connect(dsn) as connection:
        connection.execute("SET search_path = holdfast")
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'holdfast'"
            " AND tablename NOT LIKE 'swap_log%' AND tablename <> 'events_text'"
        ).fetchall()
        for table in {name for (name,) in tables} - OWN_TABLES:
            cursor = connection.execute(
                f"SELECT * FROM {table} WHERE daemon = %s", (_stored(daemon),)
            )
            assert cursor.description is not None
            names = [column.name for column in cursor.description]
            found[table] = {_row(names, tuple(map(_read, row))) for row in cursor}
        found["properties"] = {
            tuple(map(_read, (entity, name, type, kind, worth(kind, number, 0), key, rest)))
            for entity, name, type, kind, number, key, rest in connection.execute(
                "SELECT entity, name, type, kind, key_number, key_text, rest FROM properties"
                " WHERE daemon = %s",
                (_stored(daemon),),
            )
        }
    found["session_totals"] = found["session_totals"] or {(0, 0)}
    return found


def worth(kind: int, key: Any, rest: Any) -> Fraction | None:
    """Of a number: exactly."""
    if kind > 2:
        return None
    if rest and not isinstance(key, Decimal):
        least = -(1 << 14_400)
        return Fraction((least if key == float("-inf") else int(key)) + int(str(rest)[4:], 16))
    return Fraction(key)


def texts(kind: int, key: Any, rest: Any) -> tuple[str, str]:
    """Of anything else: as PostgreSQL has it."""
    return ("", "") if kind <= 2 else (key, "" if rest == 0 else str(rest))


def _row(names: list[str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    left_out = LEFT_OUT | ({"id"} if names == ["id", "count", "bytes"] else set())
    pairs = sorted(zip(names, row, strict=True))
    return tuple(value for name, value in pairs if name not in left_out)


def _stored(text: str) -> str:
    return text.replace("\1", "\1\2").replace("\0", "\1\1")


def _read(value: Any) -> Any:
    """A NUL is stored as two characters."""
    if isinstance(value, str):
        return value.replace("\1\1", "\0").replace("\1\2", "\1")
    return bytes(value) if isinstance(value, memoryview) else value
