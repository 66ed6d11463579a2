"""The catalog of what is moved, beside the tables that both backends make."""

from __future__ import annotations

import psycopg
import pytest

from holdfast.storage.migrating.catalog import COUNTERS, FACTS, NOT_MOVED, TABLES
from holdfast.storage.sqlite_schema import template
from tests.conformance.conftest import StillClock
from tests.conformance.moving import opened, postgresql_place

# Made by SQLite, or for one backend alone; the index of texts is built anew by the writer.
SQLITE_OWN = {"sqlite_sequence"}
KINDS = {"INTEGER": "int", "REAL": "real", "TEXT": "text", "BLOB": "bytes"}
POSTGRESQL_KINDS = {
    "bigint": "int",
    "smallint": "int",
    "double precision": "real",
    "text": "text",
    "bytea": "bytes",
}


@pytest.fixture(scope="module")
def columns(postgresql_dsn: str) -> dict[str, dict[str, str]]:
    """Of every table in PostgreSQL, and their types."""
    opened(postgresql_place(postgresql_dsn, "catalog"), StillClock()).close()
    found: dict[str, dict[str, str]] = {}
    with psycopg.connect(postgresql_dsn) as connection:
        rows = connection.execute(
            "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns AS c"
            " JOIN information_schema.tables AS t USING (table_schema, table_name)"
            " WHERE c.table_schema = 'holdfast' AND t.table_type = 'BASE TABLE'"
            " AND c.table_name NOT LIKE 'swap_log%' ORDER BY c.table_name, c.ordinal_position"
        )
        for table, column, kind in rows:
            found.setdefault(table, {})[column] = kind
    return found


def test_every_column_of_every_sqlite_table_is_moved_or_said_not_to_be() -> None:
    connection = template()
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    tables = {str(name) for (name,) in connection.execute(sql)}
    assert tables - SQLITE_OWN - set(NOT_MOVED) == {table.name for table in TABLES}
    for table in TABLES:
        info = connection.execute(f"PRAGMA table_info({table.name})").fetchall()
        made = {name: KINDS[str(kind)] for _, name, kind, *_ in info}
        assert made == table.columns, table.name
        key = [
            name for _, name, *_, place in sorted(info, key=lambda row: int(str(row[5]))) if place
        ]
        assert key == list(table.key), table.name
    connection.close()


def test_every_column_of_every_postgresql_table_is_moved_or_said_not_to_be(
    postgresql_dsn: str, columns: dict[str, dict[str, str]]
) -> None:
    assert columns.keys() - set(NOT_MOVED) == {table.name for table in TABLES}
    for table in TABLES:
        made = {name: POSTGRESQL_KINDS[kind] for name, kind in columns[table.name].items()}
        del made["daemon"]
        wanted = {name: kind for name, kind in table.columns.items() if name != "daemon"}
        assert made == wanted, table.name


def test_what_must_be_unique_is_known(postgresql_dsn: str) -> None:
    opened(postgresql_place(postgresql_dsn, "catalog"), StillClock()).close()
    with psycopg.connect(postgresql_dsn) as connection:
        rows = connection.execute(
            "SELECT c.relname, array_agg(a.attname::text ORDER BY k.place) FROM pg_index AS i"
            " JOIN pg_class AS c ON c.oid = i.indrelid"
            " JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place) ON true"
            " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number"
            " WHERE i.indisunique AND c.relnamespace = 'holdfast'::regnamespace"
            " AND c.relname NOT LIKE 'swap_log%' GROUP BY c.relname, i.indexrelid"
        ).fetchall()
    found: dict[str, set[tuple[str, ...]]] = {}
    for table, names in rows:
        if table not in NOT_MOVED:
            found.setdefault(table, set()).add(tuple(name for name in names if name != "daemon"))
    assert found == {table.name: {table.key, *table.unique} for table in TABLES}


def test_facts_that_are_numbers_are_facts() -> None:
    assert set(COUNTERS) < set(FACTS)
