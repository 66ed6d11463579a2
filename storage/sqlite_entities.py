"""The tables of entities, their properties and tombstones, writing side.

Works within the caller's transaction.
"""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.storage.state_entities import Found
from holdfast.storage.state_values import Properties, comparable

__all__ = ["EntityTables"]

_FIND: Final = """
SELECT e.number, e.type, e.version, e.created_us, e.updated_us, e.properties, y.history, y.keep,
       coalesce(t.version, 0), coalesce(t.deleted_us, 0)
FROM (SELECT ? AS id) AS wanted
LEFT JOIN entities AS e ON e.id = wanted.id
LEFT JOIN entity_types AS y ON y.name = e.type
LEFT JOIN entity_tombstones AS t ON t.id = wanted.id
"""
_INSERT: Final = """
INSERT INTO entities (number, id, type, version, created_us, updated_us, properties)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE: Final = "UPDATE entities SET version = ?, updated_us = ?, properties = ? WHERE number = ?"
_ADD: Final = """
INSERT INTO properties (entity, name, type, kind, key, rest) VALUES (?, ?, ?, ?, ?, ?)
"""
_PUT: Final = """
INSERT OR REPLACE INTO properties (entity, name, type, kind, key, rest) VALUES (?, ?, ?, ?, ?, ?)
"""
_BURY: Final = """
INSERT OR REPLACE INTO entity_tombstones (id, version, deleted_us) VALUES (?, ?, ?)
"""
_RELATIONSHIPS: Final = """
SELECT from_id, relation_type, to_id, version FROM relationships WHERE from_id = ?1
UNION SELECT from_id, relation_type, to_id, version FROM relationships WHERE to_id = ?1
ORDER BY 1, 2, 3 LIMIT ?2
"""


class EntityTables:
    """Implements ``holdfast.storage.state_entities.EntityRows``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def find(self, id: str) -> Found:
        """Also where there is no entity: what is left of an earlier one."""
        row = cast("tuple[object, ...]", self._connection.execute(_FIND, (id,)).fetchone())
        if row[0] is None:
            return Found(id, None, "", cast(int, row[8]), 0, cast(int, row[9]), "{}")
        return Found(id, *row[:8])  # type: ignore[arg-type]  # the tables are STRICT

    def insert(self, made: Found, properties: Properties) -> None:
        """A new one and its type; its tombstone goes."""
        execute, number, type = self._connection.execute, cast(int, made.number), made.type
        execute("INSERT INTO entity_types (name) VALUES (?) ON CONFLICT DO NOTHING", (type,))
        execute(
            _INSERT,
            (
                number,
                made.id,
                type,
                made.version,
                made.created_us,
                made.updated_us,
                made.properties,
            ),
        )
        self._put(_ADD, number, type, properties)
        if made.version > 1:
            execute("DELETE FROM entity_tombstones WHERE id = ?", (made.id,))

    def update(self, found: Found, changes: Properties, unset: list[str]) -> None:
        """Its version, time and text, and the properties that changed or are gone."""
        number = cast(int, found.number)
        self._connection.execute(
            _UPDATE, (found.version, found.updated_us, found.properties, number)
        )
        self._put(_PUT, number, found.type, changes)
        self._connection.executemany(
            "DELETE FROM properties WHERE entity = ? AND name = ?",
            [(number, name) for name in unset],
        )

    def delete(self, found: Found, version: int, deleted_us: int) -> None:
        """It and, by the foreign keys, all that is its own but for queues; a tombstone stays."""
        execute = self._connection.execute
        execute("DELETE FROM entities WHERE number = ?", (found.number,))
        execute(_BURY, (found.id, version, deleted_us))

    def relationships(self, id: str, limit: int) -> list[tuple[str, str, str, int]]:
        """Those that start or end at it, in order."""
        rows = self._connection.execute(_RELATIONSHIPS, (id, limit)).fetchall()
        return cast("list[tuple[str, str, str, int]]", rows)

    def delete_queues(self, id: str) -> list[tuple[str, int]]:
        """Those of its namespace: key and length."""
        rows = self._connection.execute(
            "DELETE FROM queues WHERE namespace = ? RETURNING key, length", (id,)
        ).fetchall()
        return cast("list[tuple[str, int]]", rows)

    def _put(self, sql: str, number: int, type: str, properties: Properties) -> None:
        self._connection.executemany(
            sql,
            [(number, name, type, *comparable(value)) for name, value in properties.items()],
        )
