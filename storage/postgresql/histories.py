"""The tables of types and of replaced versions, writing side.

Works within the caller's transaction.
"""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.state_histories import Version

__all__ = ["HistoryTables"]

_DEFINE: Final = """
INSERT INTO entity_types (daemon, name, history, keep) VALUES (%s, %s, %s, %s)
ON CONFLICT (daemon, name) DO UPDATE SET history = excluded.history, keep = excluded.keep
"""
_KEEP: Final = """
INSERT INTO entity_history
    (daemon, id, version, type, created_us, since_us, until_us, properties)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_DROP: Final = "DELETE FROM entity_history WHERE daemon = %s AND id = %s AND version <= %s"


class HistoryTables:
    """Implements ``holdfast.storage.state_histories.HistoryRows``."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon

    def define(self, type: str, history: bool, keep: int | None) -> None:
        """A new type, or one that is there."""
        self._connection.run(_DEFINE, (self._daemon, type, int(history), keep))

    def keep(self, version: Version, properties: str, keep: int | None) -> None:
        """One more of the id, and only the newest ``keep``."""
        id, number = version[:2]
        self._connection.run(_KEEP, (self._daemon, *version, properties))
        if keep is not None:
            self._connection.run(_DROP, (self._daemon, id, number - keep))
