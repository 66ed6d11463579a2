"""The table of relationships, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.keys import check_indexed
from holdfast.storage.state_relationships import RelationshipRow, Which

__all__ = ["RelationshipTable"]

_WHICH: Final = "daemon = %s AND from_id = %s AND relation_type = %s AND to_id = %s"
_FIND: Final = f"SELECT version, created_us, updated_us, metadata FROM relationships WHERE {_WHICH}"
_PUT: Final = """
INSERT INTO relationships
    (daemon, from_id, relation_type, to_id, version, created_us, updated_us, metadata)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (daemon, from_id, relation_type, to_id) DO UPDATE
SET version = excluded.version, created_us = excluded.created_us,
    updated_us = excluded.updated_us, metadata = excluded.metadata
"""


class RelationshipTable:
    """Implements ``holdfast.storage.state_relationships.RelationshipRows``."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon

    def find(self, which: Which) -> RelationshipRow | None:
        """None where there is none."""
        rows = self._connection.rows(_FIND, (self._daemon, *which))
        return cast(RelationshipRow, rows[0]) if rows else None

    def put(self, which: Which, row: RelationshipRow) -> None:
        """A new one, or in place of the one that is there.  Raises InvalidInputError."""
        check_indexed("relationship", *which)
        self._connection.run(_PUT, (self._daemon, *which, *row))

    def delete(self, which: Which) -> None:
        """The one that is there."""
        self._connection.run(f"DELETE FROM relationships WHERE {_WHICH}", (self._daemon, *which))

    def missing_end(self, which: Which) -> str | None:
        """The first of its ends that there is no entity of."""
        ends = [which[0], which[2]]
        sql = "SELECT id FROM entities WHERE daemon = %s AND id = ANY(%s::text[])"
        there = {id for (id,) in self._connection.rows(sql, (self._daemon, ends))}
        return next((id for id in ends if id not in there), None)
