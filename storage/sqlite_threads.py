"""Who writes a thread of checkpoints, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.storage.checkpoint_records import Owner
from holdfast.storage.thread_keeping import ThreadKeeping, Who

__all__ = ["ThreadTable", "owner_in", "release_threads"]

_OWNER: Final = (
    "SELECT sender, incarnation, fence, is_present FROM checkpoint_threads WHERE agent = ?"
)
_TAKE: Final = """
INSERT INTO checkpoint_threads (sender, incarnation, agent, fence, is_present)
VALUES (?, ?, ?, 1, 1)
ON CONFLICT (agent) DO UPDATE SET sender = excluded.sender, incarnation = excluded.incarnation,
    fence = fence + 1, is_present = 1
RETURNING fence
"""
_EVICTED: Final = "checkpoint_evicted WHERE sender = ? AND incarnation = ? AND agent = ?"


class ThreadTable(ThreadKeeping):
    """One writer a thread."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def owner(self, agent: str) -> Owner | None:
        """Who writes it; None where nobody has yet."""
        return owner_in(self._connection, agent)

    def _take(self, who: Who) -> int:
        fence: int = self._connection.execute(_TAKE, who).get
        return fence

    def _evict(self, who: Who) -> None:
        self._connection.execute("INSERT OR IGNORE INTO checkpoint_evicted VALUES (?, ?, ?)", who)

    def _was_evicted(self, who: Who) -> bool:
        found: int | None = self._connection.execute(f"SELECT 1 FROM {_EVICTED}", who).get
        return found is not None

    def _pardon(self, who: Who) -> None:
        self._connection.execute(f"DELETE FROM {_EVICTED}", who)


def owner_in(connection: apsw.Connection, agent: str) -> Owner | None:
    """Who writes a thread; None where nobody has yet."""
    rows = cast("list[tuple[str, str, int, int]]", connection.execute(_OWNER, (agent,)).fetchall())
    if not rows:
        return None
    sender, incarnation, fence, is_present = rows[0]
    return Owner(sender, incarnation, fence, bool(is_present))


def release_threads(connection: apsw.Connection, sender: str, incarnation: str) -> None:
    """This life of a sender is over: whoever comes may write what it wrote."""
    who = sender, incarnation
    connection.execute(
        "UPDATE checkpoint_threads SET is_present = 0 WHERE sender = ? AND incarnation = ?", who
    )
    connection.execute("DELETE FROM checkpoint_evicted WHERE sender = ? AND incarnation = ?", who)
