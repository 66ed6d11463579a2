"""What the writer says of itself."""

from __future__ import annotations

from holdfast.actors.messages.writer import WriterStats
from holdfast.actors.outage import Outage
from holdfast.storage.ports import Database

__all__ = ["figures"]


def figures(database: Database | None, groups: int, commands: int, outage: Outage) -> WriterStats:
    """``database`` is None until it is open."""
    frames = stuck = rules = 0
    if database is not None:
        frames, stuck = database.wal.frames, database.wal.stuck
        rules = len(database.retention.rules)
    return WriterStats(groups, commands, frames, stuck, rules, outage.reason, outage.seconds)
