"""The tables of checkpoints, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import apsw

from holdfast.clock import Clock
from holdfast.storage.checkpoint_keeping import CheckpointKeeping, CheckpointRow
from holdfast.storage.checkpoint_records import PruneCheckpoints
from holdfast.storage.sqlite_parts import PartTable
from holdfast.storage.sqlite_threads import ThreadTable

__all__ = ["CheckpointTable"]

_PUT: Final = """
INSERT INTO checkpoints
    (agent, id, created_us, state, pieces, size, parent_agent, parent_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
# CAST: SQLite prepares a statement again, which takes longer than carrying it out, whenever a bare
# parameter is bound that it has looked at to make its plan.
_NEWEST: Final = "SELECT max(id) FROM checkpoints WHERE agent = CAST(? AS TEXT)"
_FOUND: Final = "SELECT state, pieces, size FROM checkpoints WHERE agent = ? AND id = ?"
_DOOMED: Final = """
SELECT id, pieces FROM checkpoints AS each
WHERE agent = ?1 AND id > ?2 AND created_us < ?3
    AND id < (SELECT min(id) FROM
        (SELECT id FROM checkpoints WHERE agent = ?1 ORDER BY id DESC LIMIT ?4))
    AND NOT (?5 AND EXISTS
        (SELECT 1 FROM checkpoint_pins AS pin WHERE pin.agent = ?1 AND pin.id = each.id))
ORDER BY id LIMIT ?6
"""
_PIN: Final = "INSERT OR REPLACE INTO checkpoint_pins (agent, name, id) VALUES (?, ?, ?)"
_ENROL: Final = "INSERT OR REPLACE INTO checkpoint_participants (name, boot) VALUES (?, ?)"


class CheckpointTable(CheckpointKeeping):
    """States to resume from; every method raises InvalidInputError or apsw.Error."""

    def __init__(self, connection: apsw.Connection, *, clock: Clock) -> None:
        super().__init__(parts=PartTable(connection), threads=ThreadTable(connection), clock=clock)
        self._connection = connection

    def _put(self, row: CheckpointRow) -> None:
        self._connection.execute(_PUT, row)

    def _newest(self, agent: str) -> int:
        id: int | None = self._connection.execute(_NEWEST, (agent,)).get
        return id or 0

    def _found(self, agent: str, id: int) -> tuple[str, str | None, int] | None:
        rows = self._connection.execute(_FOUND, (agent, id)).fetchall()
        return cast("tuple[str, str | None, int]", rows[0]) if rows else None

    def _doomed(
        self, command: PruneCheckpoints, *, before_us: int, limit: int
    ) -> Sequence[tuple[int, str | None]]:
        values = (
            command.agent,
            command.after,
            before_us,
            command.keep_last,
            command.keep_pinned,
            limit,
        )
        rows = self._connection.execute(_DOOMED, values).fetchall()
        return cast("list[tuple[int, str | None]]", rows)

    def _delete(self, agent: str, ids: Sequence[int]) -> None:
        for table in ("checkpoints", "checkpoint_pins"):
            self._connection.executemany(
                f"DELETE FROM {table} WHERE agent = ? AND id = ?", [(agent, id) for id in ids]
            )

    def _pinned(self, agent: str, name: str) -> int:
        sql = "SELECT id FROM checkpoint_pins WHERE agent = ? AND name = ?"
        id: int | None = self._connection.execute(sql, (agent, name)).get
        return id or 0

    def _pin(self, agent: str, name: str, id: int) -> None:
        self._connection.execute(_PIN, (agent, name, id))

    def _unpin(self, agent: str, name: str) -> bool:
        sql = "DELETE FROM checkpoint_pins WHERE agent = ? AND name = ?"
        self._connection.execute(sql, (agent, name))
        return self._connection.changes() > 0

    def _enrol(self, name: str, boot: int) -> None:
        self._connection.execute(_ENROL, (name, boot))

    def _dismiss(self, name: str) -> None:
        self._connection.execute("DELETE FROM checkpoint_participants WHERE name = ?", (name,))
