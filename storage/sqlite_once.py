"""What an SQLite transaction knows of being taken back, in part or as a whole."""

from __future__ import annotations

from typing import Final

import apsw

from holdfast.storage.sqlite_connection import REFUSALS

__all__ = ["SqliteUndo"]


class SqliteUndo:
    """Implements ``holdfast.storage.once.Undo``."""

    refusals: Final[tuple[type[Exception], ...]] = REFUSALS

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def changes(self) -> int:
        """Rows changed so far."""
        return self._connection.total_changes()

    def is_lost(self) -> bool:
        """SQLite takes the whole transaction back on a full disk or an I/O error."""
        return not self._connection.in_transaction

    def begin(self) -> None:
        """A savepoint copies every page that is changed in it."""
        self._connection.execute("SAVEPOINT command")

    def keep(self) -> None:
        """What was done since it began."""
        self._connection.execute("RELEASE command")

    def take_back(self) -> None:
        """What was done since it began."""
        self._connection.execute("ROLLBACK TO command")
        self._connection.execute("RELEASE command")
