"""Checkpoints, reading side."""

from __future__ import annotations

from typing import Final, cast

from holdfast.storage.checkpoint_records import Checkpoint
from holdfast.storage.sqlite_reading import Reading, check_limit

__all__ = ["CheckpointReading"]

_CHECKPOINT: Final = "agent, id, created_us, state"
_CheckpointRow = tuple[str, int, int, str]


class CheckpointReading(Reading):
    """Implements ``holdfast.storage.reader_ports.CheckpointReader``."""

    def checkpoint(self, agent: str) -> Checkpoint | None:
        """The newest one of an agent."""
        return next(iter(self.checkpoints(agent, 1)), None)

    def checkpoints(self, agent: str, limit: int) -> list[Checkpoint]:
        """The newest ones of an agent, newest first."""
        check_limit(limit)
        sql = f"SELECT {_CHECKPOINT} FROM checkpoints WHERE agent = ? ORDER BY id DESC LIMIT ?"
        rows = cast("list[_CheckpointRow]", self._read(sql, (agent, limit)))
        return [Checkpoint(*row) for row in rows]
