"""Relational state in SQLite against plain dicts: whatever is done, both say the same (D8, D9)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.clock import ManualClock
from tests.storage.state_machine import Machine, beginnings, journeys


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(beginning=beginnings, taken=journeys)
def test_both_say_the_same_whatever_is_done(
    beginning: list[dict[str, Any]], taken: list[tuple[str, dict[str, Any]]]
) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "holdfast.db"
        database = SqliteDatabase(path, daemon="d", durability="committed", clock=clock)
        reader = SqliteReader(path)
        try:
            machine = Machine(database, reader, clock, strays=lambda: strays(database))
            machine.both_say_the_same(beginning, taken)
        finally:
            reader.close()
            database.close()


def strays(database: SqliteDatabase) -> list[object]:
    execute = database._connection.execute
    found: list[object] = [*execute("PRAGMA foreign_key_check").fetchall()]
    found += execute(
        "SELECT e.id FROM entities AS e, json_each(e.properties) AS j"
        " LEFT JOIN properties AS p ON p.entity = e.number AND p.name = j.key"
        " WHERE p.name IS NULL OR p.type != e.type"
        " UNION ALL SELECT count(*) FROM properties HAVING count(*) !="
        " (SELECT count(*) FROM entities AS e, json_each(e.properties))"
    ).fetchall()
    lengths = "SELECT count(*) FROM queue_items AS i WHERE i.queue = q.number"
    found += execute(f"SELECT key FROM queues AS q WHERE length != ({lengths})").fetchall()
    return found
