"""A daemon's rows in PostgreSQL, copied to where the checker looks: SQLite in memory.

Tables and columns are called alike there and in SQLite, so all checks are the same.  Read with
psycopg and no word of holdfast's: a mistake in there cannot hide itself here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

__all__ = ["copied", "is_dsn"]

BATCH: Final = 5_000  # rows
_TABLES: Final = """
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'holdfast' AND table_type = 'BASE TABLE'
GROUP BY table_name HAVING 'daemon' = ANY(array_agg(column_name::text))
"""


def is_dsn(database: str) -> bool:
    """Whether that names a PostgreSQL database rather than a file."""
    return database.startswith(("postgresql://", "postgres://")) or "dbname=" in database


def copied(dsn: str, daemon: str) -> sqlite3.Connection:
    """All rows of the daemon as of one moment.  Raises sqlite3.Error where it has none."""
    import psycopg

    viewer = sqlite3.connect(":memory:")
    try:
        with psycopg.connect(dsn) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            tables = connection.execute(_TABLES).fetchall()
            known = "SELECT 1 FROM holdfast.daemons WHERE daemon = %s"
            if not tables or connection.execute(known, (daemon,)).fetchone() is None:
                raise sqlite3.OperationalError(f"PostgreSQL: there is no daemon {daemon!r}")
            for table, columns in tables:
                columns.remove("daemon")
                names = ", ".join(f'"{name}"' for name in columns)
                viewer.execute(f'CREATE TABLE "{table}" ({names})')
                rows = _rows(connection, f'SELECT {names} FROM holdfast."{table}"', daemon)
                marks = ", ".join("?" * len(columns))
                viewer.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)
    except psycopg.Error as error:
        viewer.close()
        raise sqlite3.OperationalError(f"PostgreSQL: {error}") from error
    except BaseException:
        viewer.close()
        raise
    viewer.execute("UPDATE meta SET value = CAST(value AS INTEGER) WHERE name = 'deleted_seq'")
    viewer.commit()
    return viewer


def _rows(connection: Any, sql: str, daemon: str) -> Iterator[list[object]]:
    with connection.cursor("rows") as cursor:
        cursor.itersize = BATCH
        cursor.execute(f"{sql} WHERE daemon = %s", (daemon,))
        for row in cursor:
            yield [_as_given(value) for value in row]


def _as_given(value: object) -> object:
    """PostgreSQL's texts have no NUL: character 1 stands before what stands for it."""
    if isinstance(value, str) and "\1" in value:
        return value.replace("\1\1", "\0").replace("\1\2", "\1")
    return str(value) if isinstance(value, Decimal) else value
