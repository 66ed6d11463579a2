"""The table of relationships, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.storage.state_relationships import RelationshipRow, Which

__all__ = ["RelationshipTable"]

_WHICH: Final = "from_id = ? AND relation_type = ? AND to_id = ?"
_FIND: Final = f"SELECT version, created_us, updated_us, metadata FROM relationships WHERE {_WHICH}"
_PUT: Final = """
INSERT OR REPLACE INTO relationships
    (from_id, relation_type, to_id, version, created_us, updated_us, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""


class RelationshipTable:
    """Implements ``holdfast.storage.state_relationships.RelationshipRows``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def find(self, which: Which) -> RelationshipRow | None:
        """None where there is none."""
        row = self._connection.execute(_FIND, which).fetchone()
        return cast("RelationshipRow | None", row)

    def put(self, which: Which, row: RelationshipRow) -> None:
        """A new one, or in place of the one that is there."""
        self._connection.execute(_PUT, (*which, *row))

    def delete(self, which: Which) -> None:
        """The one that is there."""
        self._connection.execute(f"DELETE FROM relationships WHERE {_WHICH}", which)

    def missing_end(self, which: Which) -> str | None:
        """The first of its ends that there is no entity of."""
        for id in (which[0], which[2]):
            if self._connection.execute("SELECT 1 FROM entities WHERE id = ?", (id,)).get is None:
                return id
        return None
