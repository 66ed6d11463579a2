"""Tables of senders and of the answers that they may ask for again, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from holdfast.storage.marks import SenderKey, SenderRow
from holdfast.storage.postgresql.connection import Connection

__all__ = ["PostgresqlSenders"]

_WHO: Final = "daemon = %s AND sender = %s AND incarnation = %s AND stream = %s"
_SAVE: Final = """
INSERT INTO senders (daemon, sender, incarnation, stream, mark, duplicates, dropped, pruned, turn)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (daemon, sender, incarnation, stream) DO UPDATE SET
    mark = excluded.mark, duplicates = excluded.duplicates, dropped = excluded.dropped,
    pruned = excluded.pruned, turn = excluded.turn
"""
_KEEP: Final = """
INSERT INTO results (daemon, sender, incarnation, stream, number, result)
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::bytea[])
"""
_RESTORED: Final = "FROM meta WHERE daemon = %s AND name = 'restored_turn'"


class PostgresqlSenders:
    """Implements ``holdfast.storage.marks.SenderTables``."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon
        # Until COMMIT, all at once: answers, and up to which number of a sender they go.
        self._keeping: dict[tuple[SenderKey, int], bytes] = {}
        self._pruning: dict[SenderKey, int] = {}

    def rows(self) -> Sequence[SenderRow]:
        """All senders, in order of their last turn; what waits for COMMIT is forgotten."""
        self._keeping.clear()
        self._pruning.clear()
        sql = (
            "SELECT sender, incarnation, stream, mark, duplicates, dropped, pruned, turn"
            " FROM senders WHERE daemon = %s ORDER BY turn"
        )
        return cast("list[SenderRow]", self._connection.rows(sql, (self._daemon,)))

    def restored_turn(self) -> int | None:
        """The last turn of the copy that the database was restored from."""
        turn: int | None = self._connection.value(
            f"SELECT value::bigint {_RESTORED}", (self._daemon,)
        )
        return turn

    def forget_restored(self) -> None:
        """There is no such turn any more."""
        self._connection.run(f"DELETE {_RESTORED}", (self._daemon,))

    def save(self, rows: Sequence[SenderRow]) -> None:
        """Insert or replace; and what is to be kept of answers."""
        for key, number in self._pruning.items():
            sql = f"DELETE FROM results WHERE {_WHO} AND number <= %s"
            self._connection.run(sql, (self._daemon, *key, number))
        kept = [
            (*key, number, result)
            for (key, number), result in self._keeping.items()
            if number > self._pruning.get(key, 0)
        ]
        if kept:
            self._connection.run(_KEEP, (self._daemon, *map(list, zip(*kept, strict=True))))
        self._keeping.clear()
        self._pruning.clear()
        self._connection.many(_SAVE, [(self._daemon, *row) for row in rows])

    def delete(self, key: SenderKey) -> None:
        """A sender and its answers."""
        self._pruning.pop(key, None)
        self._keeping = {at: kept for at, kept in self._keeping.items() if at[0] != key}
        for table in ("senders", "results"):
            self._connection.run(f"DELETE FROM {table} WHERE {_WHO}", (self._daemon, *key))

    def prune(self, key: SenderKey, number: int) -> None:
        """Answers of the sender up to that number."""
        self._pruning[key] = max(number, self._pruning.get(key, 0))

    def keep(self, key: SenderKey, number: int, result: bytes) -> None:
        """An answer."""
        self._keeping[key, number] = result

    def kept(self, key: SenderKey, number: int) -> bytes | None:
        """The answer, if it is still there."""
        if number <= self._pruning.get(key, 0):
            return None
        if (key, number) in self._keeping:
            return self._keeping[key, number]
        result: bytes | None = self._connection.value(
            f"SELECT result FROM results WHERE {_WHO} AND number = %s",
            (self._daemon, *key, number),
        )
        return result
