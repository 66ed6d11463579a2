"""The tables of entities, their properties and tombstones, writing side.

Works within the caller's transaction.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.keys import check_indexed, key_of
from holdfast.storage.state_entities import Found
from holdfast.storage.state_values import KEY_LENGTH, Properties, comparable

__all__ = ["EntityTables"]

# One of both, or none: an entity that lives has no tombstone.
_FIND: Final = """
SELECT e.id, e.number, e.type, e.version, e.created_us, e.updated_us, e.properties, t.history,
       t.keep
FROM entities AS e JOIN entity_types AS t ON t.daemon = e.daemon AND t.name = e.type
WHERE e.daemon = %(daemon)s AND e.id = ANY(%(ids)s::text[])
UNION ALL SELECT id, NULL, '', version, 0, deleted_us, '{}', 0, NULL
FROM entity_tombstones WHERE daemon = %(daemon)s AND id = ANY(%(ids)s::text[])
"""
_GIVEN: Final = """
SELECT %(daemon)s, %(number)s, p.name, %(type)s, p.kind, p.number, p.text, p.rest, p.whole
FROM unnest(%(names)s::text[], %(kinds)s::smallint[], %(numbers)s::numeric[], %(texts)s::text[],
            %(rests)s::text[], %(wholes)s::text[]) AS p(name, kind, number, text, rest, whole)
"""
_INTO: Final = """
INSERT INTO properties (daemon, entity, name, type, kind, key_number, key_text, rest, whole)
"""
_INSERT: Final = f"""
WITH of_type AS (
    INSERT INTO entity_types (daemon, name) VALUES (%(daemon)s, %(type)s) ON CONFLICT DO NOTHING
), made AS (
    INSERT INTO entities (daemon, number, id, type, version, created_us, updated_us, properties)
    VALUES (%(daemon)s, %(number)s, %(id)s, %(type)s, %(version)s, %(created_us)s,
            %(updated_us)s, %(properties)s)
)
{_INTO} {_GIVEN}
"""
_UPDATE: Final = f"""
WITH changed AS (
    UPDATE entities
    SET version = %(version)s, updated_us = %(updated_us)s, properties = %(properties)s
    WHERE daemon = %(daemon)s AND number = %(number)s
), gone AS (
    DELETE FROM properties
    WHERE daemon = %(daemon)s AND entity = %(number)s AND name = ANY(%(unset)s::text[])
)
{_INTO} {_GIVEN}
ON CONFLICT (daemon, entity, name) DO UPDATE
SET kind = excluded.kind, key_number = excluded.key_number, key_text = excluded.key_text,
    rest = excluded.rest, whole = excluded.whole
"""
_DELETE: Final = """
WITH of_it AS (
    DELETE FROM properties WHERE daemon = %(daemon)s AND entity = %(number)s
), outgoing AS (
    DELETE FROM relationships WHERE daemon = %(daemon)s AND from_id = %(id)s
), incoming AS (
    DELETE FROM relationships
    WHERE daemon = %(daemon)s AND to_id = %(id)s AND from_id <> %(id)s
), itself AS (
    DELETE FROM entities WHERE daemon = %(daemon)s AND number = %(number)s
)
INSERT INTO entity_tombstones (daemon, id, version, deleted_us)
VALUES (%(daemon)s, %(id)s, %(version)s, %(deleted_us)s)
"""
_UNBURY: Final = "DELETE FROM entity_tombstones WHERE daemon = %s AND id = %s"
_RELATIONSHIPS: Final = """
SELECT from_id, relation_type, to_id, version FROM relationships
WHERE daemon = %(daemon)s AND from_id = %(id)s
UNION SELECT from_id, relation_type, to_id, version FROM relationships
WHERE daemon = %(daemon)s AND to_id = %(id)s
ORDER BY 1, 2, 3 LIMIT %(limit)s
"""
_DELETE_QUEUES: Final = """
WITH gone AS (
    DELETE FROM queues WHERE daemon = %(daemon)s AND namespace = %(id)s
    RETURNING number, key, length
), items AS (
    DELETE FROM queue_items AS i USING gone
    WHERE i.daemon = %(daemon)s AND i.queue = gone.number
)
SELECT key, length FROM gone
"""


class EntityTables:
    """Implements ``holdfast.storage.state_entities.EntityRows``."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon
        self._found: dict[str, Found] = {}  # before anything of this transaction changed them

    def expect(self, ids: list[str]) -> None:
        """Find these, each for the first time that it is asked for in this transaction."""
        self._found = self._find(ids) if ids else {}

    def find(self, id: str) -> Found:
        """Also where there is no entity: what is left of an earlier one."""
        found = self._found.pop(id, None)  # what asks for it may change it
        return found or self._find([id])[id]

    def _find(self, ids: list[str]) -> dict[str, Found]:
        rows = self._connection.rows(_FIND, {"daemon": self._daemon, "ids": ids})
        found = {id: Found(id, None, "", 0, 0, 0, "{}") for id in ids}
        return found | {row[0]: Found(*row) for row in rows}

    def insert(self, made: Found, properties: Properties) -> None:
        """A new one and its type; its tombstone goes."""
        values = {"daemon": self._daemon, **_fields(made), **_columns(made.type, properties)}
        self._connection.run(_INSERT, values)
        if made.version > 1:
            self._connection.run(_UNBURY, (self._daemon, made.id))

    def update(self, found: Found, changes: Properties, unset: list[str]) -> None:
        """Its version, time and text, and the properties that changed or are gone."""
        values = {"daemon": self._daemon, **_fields(found), **_columns(found.type, changes)}
        self._connection.run(_UPDATE, {**values, "unset": unset})

    def delete(self, found: Found, version: int, deleted_us: int) -> None:
        """It and all that is its own but for queues; a tombstone stays."""
        values = {"daemon": self._daemon, "number": found.number, "id": found.id}
        self._connection.run(_DELETE, {**values, "version": version, "deleted_us": deleted_us})

    def relationships(self, id: str, limit: int) -> list[tuple[str, str, str, int]]:
        """Those that start or end at it, in order."""
        values = {"daemon": self._daemon, "id": id, "limit": limit}
        return self._connection.rows(_RELATIONSHIPS, values)

    def delete_queues(self, id: str) -> list[tuple[str, int]]:
        """Those of its namespace: key and length."""
        return self._connection.rows(_DELETE_QUEUES, {"daemon": self._daemon, "id": id})


def _fields(found: Found) -> dict[str, object]:
    return {name: getattr(found, name) for name in found.__struct_fields__}


def _columns(type: str, properties: Properties) -> dict[str, list[object]]:
    """The rows of properties, column by column.  Raises InvalidInputError."""
    columns: dict[str, list[object]] = {
        "names": [],
        "kinds": [],
        "numbers": [],
        "texts": [],
        "rests": [],
        "wholes": [],
    }
    for name, value in properties.items():
        kind, number, text, rest = key_of(comparable(value))
        check_indexed(f"property {name!r} of type {type!r}", name, type, text, rest, number=number)
        whole = value if isinstance(value, str) and len(value) > KEY_LENGTH else None
        row = (name, kind, number, text, rest, whole)
        for column, part in zip(columns.values(), row, strict=True):
            column.append(part)
    return columns
