"""The tables of checkpoints, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from holdfast.clock import Clock
from holdfast.storage.checkpoint_keeping import CheckpointKeeping, CheckpointRow
from holdfast.storage.checkpoint_records import PruneCheckpoints
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.postgresql.parts import PartTable
from holdfast.storage.postgresql.threads import ThreadTable

__all__ = ["CheckpointTable"]

_PUT: Final = """
INSERT INTO checkpoints
    (daemon, agent, id, created_us, state, pieces, size, parent_agent, parent_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_NEWEST: Final = "SELECT coalesce(max(id), 0) FROM checkpoints WHERE daemon = %s AND agent = %s"
_FOUND: Final = """
SELECT state, pieces, size FROM checkpoints WHERE daemon = %s AND agent = %s AND id = %s
"""
_DOOMED: Final = """
SELECT id, pieces FROM checkpoints AS each
WHERE daemon = %(daemon)s AND agent = %(agent)s AND id > %(after)s AND created_us < %(before_us)s
    AND id < (SELECT min(id) FROM
        (SELECT id FROM checkpoints WHERE daemon = %(daemon)s AND agent = %(agent)s
         ORDER BY id DESC LIMIT %(keep_last)s) AS newest)
    AND NOT (%(keep_pinned)s AND EXISTS
        (SELECT 1 FROM checkpoint_pins AS pin
         WHERE pin.daemon = %(daemon)s AND pin.agent = %(agent)s AND pin.id = each.id))
ORDER BY id LIMIT %(limit)s
"""
_DELETE: Final = "DELETE FROM {} WHERE daemon = %s AND agent = %s AND id = ANY(%s::bigint[])"
_PIN: Final = """
INSERT INTO checkpoint_pins (daemon, agent, name, id) VALUES (%s, %s, %s, %s)
ON CONFLICT (daemon, agent, name) DO UPDATE SET id = excluded.id
"""
_PINNED: Final = "checkpoint_pins WHERE daemon = %s AND agent = %s AND name = %s"
_ENROL: Final = """
INSERT INTO checkpoint_participants (daemon, name, boot) VALUES (%s, %s, %s)
ON CONFLICT (daemon, name) DO UPDATE SET boot = excluded.boot
"""


class CheckpointTable(CheckpointKeeping):
    """States to resume from; every method raises InvalidInputError or psycopg.Error."""

    def __init__(self, connection: Connection, daemon: str, *, clock: Clock) -> None:
        super().__init__(
            parts=PartTable(connection, daemon),
            threads=ThreadTable(connection, daemon),
            clock=clock,
        )
        self._connection = connection
        self._daemon = daemon

    def _put(self, row: CheckpointRow) -> None:
        self._connection.run(_PUT, (self._daemon, *row))

    def _newest(self, agent: str) -> int:
        id: int = self._connection.value(_NEWEST, (self._daemon, agent))
        return id

    def _found(self, agent: str, id: int) -> tuple[str, str | None, int] | None:
        rows = self._connection.rows(_FOUND, (self._daemon, agent, id))
        return cast("tuple[str, str | None, int]", rows[0]) if rows else None

    def _doomed(
        self, command: PruneCheckpoints, *, before_us: int, limit: int
    ) -> Sequence[tuple[int, str | None]]:
        values = {
            "daemon": self._daemon,
            "agent": command.agent,
            "after": command.after,
            "before_us": before_us,
            "keep_last": command.keep_last,
            "keep_pinned": command.keep_pinned,
            "limit": limit,
        }
        return cast("list[tuple[int, str | None]]", self._connection.rows(_DOOMED, values))

    def _delete(self, agent: str, ids: Sequence[int]) -> None:
        if ids:
            for table in ("checkpoints", "checkpoint_pins"):
                self._connection.run(_DELETE.format(table), (self._daemon, agent, list(ids)))

    def _pinned(self, agent: str, name: str) -> int:
        return self._connection.value(f"SELECT id FROM {_PINNED}", (self._daemon, agent, name)) or 0

    def _pin(self, agent: str, name: str, id: int) -> None:
        self._connection.run(_PIN, (self._daemon, agent, name, id))

    def _unpin(self, agent: str, name: str) -> bool:
        where = self._daemon, agent, name
        return self._connection.did(f"DELETE FROM {_PINNED}", where)

    def _enrol(self, name: str, boot: int) -> None:
        self._connection.run(_ENROL, (self._daemon, name, boot))

    def _dismiss(self, name: str) -> None:
        sql = "DELETE FROM checkpoint_participants WHERE daemon = %s AND name = %s"
        self._connection.run(sql, (self._daemon, name))
