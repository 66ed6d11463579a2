"""Tables of senders and of the answers that they may ask for again, in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import apsw

from holdfast.storage.marks import SenderKey, SenderRow

__all__ = ["SqliteSenders"]

_WHO: Final = "sender = ? AND incarnation = ? AND stream = ?"


class SqliteSenders:
    """Implements ``holdfast.storage.marks.SenderTables``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def rows(self) -> Sequence[SenderRow]:
        """All senders, in order of their last turn."""
        sql = (
            "SELECT sender, incarnation, stream, mark, duplicates, dropped, pruned, turn"
            " FROM senders ORDER BY turn"
        )
        return cast("list[SenderRow]", self._connection.execute(sql).fetchall())

    def restored_turn(self) -> int | None:
        """The last turn of the copy that the database was restored from."""
        turn: int | None = self._connection.execute(
            "SELECT value FROM meta WHERE name = 'restored_turn'"
        ).get
        return turn

    def forget_restored(self) -> None:
        """There is no such turn any more."""
        self._connection.execute("DELETE FROM meta WHERE name = 'restored_turn'")

    def save(self, rows: Sequence[SenderRow]) -> None:
        """Insert or replace."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO senders"
            " (sender, incarnation, stream, mark, duplicates, dropped, pruned, turn)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def delete(self, key: SenderKey) -> None:
        """A sender and its answers."""
        for table in ("senders", "results"):
            self._connection.execute(f"DELETE FROM {table} WHERE {_WHO}", key)

    def prune(self, key: SenderKey, number: int) -> None:
        """Answers of the sender up to that number."""
        sql = f"DELETE FROM results WHERE {_WHO} AND number <= ?"
        self._connection.execute(sql, (*key, number))

    def keep(self, key: SenderKey, number: int, result: bytes) -> None:
        """An answer."""
        self._connection.execute(
            "INSERT INTO results (sender, incarnation, stream, number, result)"
            " VALUES (?, ?, ?, ?, ?)",
            (*key, number, result),
        )

    def kept(self, key: SenderKey, number: int) -> bytes | None:
        """The answer, if it is still there."""
        result: bytes | None = self._connection.execute(
            f"SELECT result FROM results WHERE {_WHO} AND number = ?", (*key, number)
        ).get
        return result
