"""The tables of types and of replaced versions, writing side.

Works within the caller's transaction.
"""

from __future__ import annotations

from typing import Final

import apsw

from holdfast.storage.state_histories import Version

__all__ = ["HistoryTables"]

_DEFINE: Final = """
INSERT INTO entity_types (name, history, keep) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET history = excluded.history, keep = excluded.keep
"""
_KEEP: Final = """
INSERT INTO entity_history (id, version, type, created_us, since_us, until_us, properties)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""


class HistoryTables:
    """Implements ``holdfast.storage.state_histories.HistoryRows``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def define(self, type: str, history: bool, keep: int | None) -> None:
        """A new type, or one that is there."""
        self._connection.execute(_DEFINE, (type, int(history), keep))

    def keep(self, version: Version, properties: str, keep: int | None) -> None:
        """One more of the id, and only the newest ``keep``."""
        id, number = version[:2]
        execute = self._connection.execute
        execute(_KEEP, (*version, properties))
        if keep is not None:
            execute("DELETE FROM entity_history WHERE id = ? AND version <= ?", (id, number - keep))
