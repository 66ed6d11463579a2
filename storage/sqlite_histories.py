"""The versions of entities that were replaced, of types that keep them, writing side.

The current version stands with the entity: what a type keeps begins with the first change after
it was told to.
"""

from __future__ import annotations

from typing import Final

import apsw

from holdfast.errors import InvalidInputError
from holdfast.storage.state_records import DefineType, TypeDefined, check_name

__all__ = ["Histories"]

_DEFINE: Final = """
INSERT INTO entity_types (name, history, keep) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET history = excluded.history, keep = excluded.keep
"""
_KEEP: Final = """
INSERT INTO entity_history (id, version, type, created_us, since_us, until_us, properties)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""


class Histories:
    """Works within the caller's transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def define(self, change: DefineType) -> TypeDefined:
        """Raises InvalidInputError."""
        check_name(change.name, "type")
        if change.keep is not None and (change.keep < 1 or not change.history):
            raise InvalidInputError(
                f"keep = {change.keep}: expected at least 1, and history = true"
            )
        self._connection.execute(_DEFINE, (change.name, int(change.history), change.keep))
        return TypeDefined()

    def keep(self, version: tuple[str, int, str, int, int, int], properties: str) -> None:
        """``version``: id, version, type, created_us, since_us, until_us."""
        id, number, type = version[:3]
        execute = self._connection.execute
        history, keep = execute(
            "SELECT history, keep FROM entity_types WHERE name = ?", (type,)
        ).fetchone()  # type: ignore[misc]  # an entity has its type: a foreign key
        if not history:
            return
        execute(_KEEP, (*version, properties))
        if keep is not None:
            execute("DELETE FROM entity_history WHERE id = ? AND version <= ?", (id, number - keep))
