"""Who writes a thread of checkpoints, writing side.  Works within the caller's transaction."""

from __future__ import annotations

from typing import Final

from holdfast.storage.checkpoint_records import Owner
from holdfast.storage.postgresql.connection import Connection
from holdfast.storage.thread_keeping import ThreadKeeping, Who

__all__ = ["OWNER", "ThreadTable", "owner_of", "release_threads"]

OWNER: Final = """
SELECT sender, incarnation, fence, is_present FROM checkpoint_threads
WHERE daemon = %s AND agent = %s
"""
_TAKE: Final = """
INSERT INTO checkpoint_threads AS t (daemon, sender, incarnation, agent, fence, is_present)
VALUES (%s, %s, %s, %s, 1, 1)
ON CONFLICT (daemon, agent) DO UPDATE SET sender = excluded.sender,
    incarnation = excluded.incarnation, fence = t.fence + 1, is_present = 1
RETURNING fence
"""
_EVICT: Final = """
INSERT INTO checkpoint_evicted (daemon, sender, incarnation, agent) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_EVICTED: Final = (
    "checkpoint_evicted WHERE daemon = %s AND sender = %s AND incarnation = %s AND agent = %s"
)
_RELEASE: Final = (
    "UPDATE checkpoint_threads SET is_present = 0"
    " WHERE daemon = %s AND sender = %s AND incarnation = %s"
)
_FORGET: Final = (
    "DELETE FROM checkpoint_evicted WHERE daemon = %s AND sender = %s AND incarnation = %s"
)


class ThreadTable(ThreadKeeping):
    """One writer a thread."""

    def __init__(self, connection: Connection, daemon: str) -> None:
        self._connection = connection
        self._daemon = daemon

    def owner(self, agent: str) -> Owner | None:
        """Who writes it; None where nobody has yet."""
        rows = self._connection.rows(OWNER, (self._daemon, agent))
        return owner_of(rows[0]) if rows else None

    def _take(self, who: Who) -> int:
        fence: int = self._connection.value(_TAKE, (self._daemon, *who))
        return fence

    def _evict(self, who: Who) -> None:
        self._connection.run(_EVICT, (self._daemon, *who))

    def _was_evicted(self, who: Who) -> bool:
        return bool(self._connection.rows(f"SELECT 1 FROM {_EVICTED}", (self._daemon, *who)))

    def _pardon(self, who: Who) -> None:
        self._connection.run(f"DELETE FROM {_EVICTED}", (self._daemon, *who))


def owner_of(row: tuple[str, str, int, int]) -> Owner:
    """A row of OWNER."""
    sender, incarnation, fence, is_present = row
    return Owner(sender, incarnation, fence, bool(is_present))


def release_threads(connection: Connection, daemon: str, sender: str, incarnation: str) -> None:
    """This life of a sender is over: whoever comes may write what it wrote."""
    for sql in (_RELEASE, _FORGET):
        connection.run(sql, (daemon, sender, incarnation))
