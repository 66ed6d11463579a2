"""What a PostgreSQL transaction knows of being taken back, in part or as a whole."""

from __future__ import annotations

from typing import Final

from holdfast.storage.postgresql.connection import REFUSALS, Connection

__all__ = ["PostgresqlUndo"]


class PostgresqlUndo:
    """Implements ``holdfast.storage.once.Undo``.

    Any error of the server spoils the transaction, however little was changed, and in a pipeline
    it may be that of an earlier command: it counts as a change, so what went before is done again,
    in savepoints and without a pipeline.
    """

    refusals: Final[tuple[type[Exception], ...]] = REFUSALS

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def changes(self) -> int:
        """Statements that may have changed something, and errors."""
        return self._connection.writes

    def is_lost(self) -> bool:
        """Only with the connection, and that is no refusal."""
        return False

    def begin(self) -> None:
        """A savepoint."""
        self._connection.run("SAVEPOINT command")

    def keep(self) -> None:
        """What was done since it began."""
        self._connection.run("RELEASE SAVEPOINT command")

    def take_back(self) -> None:
        """What was done since it began."""
        self._connection.run("ROLLBACK TO SAVEPOINT command; RELEASE SAVEPOINT command")
