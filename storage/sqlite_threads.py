"""Who writes a thread of checkpoints, writing side.  Works within the caller's transaction.

The first put takes a thread that nobody has.  The next life of the same sender takes it from the
one before, since lives of one actor never overlap; an agent takes the thread of its own name from
whoever has it.  A sender that lost its thread while it lived gets it back only by saying so.
"""

from __future__ import annotations

from typing import Final, cast

import apsw

from holdfast.storage.checkpoint_records import Owner
from holdfast.storage.records import Origin

__all__ = ["ThreadTable", "is_hub_of", "owner_in", "release_threads"]

_OWNER: Final = (
    "SELECT sender, incarnation, fence, is_present FROM checkpoint_threads WHERE agent = ?"
)
_TAKE: Final = """
INSERT INTO checkpoint_threads (agent, sender, incarnation, fence, is_present)
VALUES (?, ?, ?, 1, 1)
ON CONFLICT (agent) DO UPDATE SET sender = excluded.sender, incarnation = excluded.incarnation,
    fence = fence + 1, is_present = 1
RETURNING fence
"""


class ThreadTable:
    """One writer a thread."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def owner(self, agent: str) -> Owner | None:
        """Who writes it; None where nobody has yet."""
        return owner_in(self._connection, agent)

    def enter(
        self, agent: str, origin: Origin, *, takeover: bool = False, evict: int = 0
    ) -> int | Owner:
        """Let a sender write; the fence, or the owner that is in its way."""
        who = origin.sender, origin.incarnation
        owner = self.owner(agent)
        if owner is not None:
            if (owner.sender, owner.incarnation) == who and owner.is_present:
                return owner.fence
            if not (takeover or self._may_follow(agent, origin, owner, evict)):
                return owner
            if owner.is_present and owner.fence != evict:
                self._connection.execute(
                    "INSERT OR IGNORE INTO checkpoint_evicted VALUES (?, ?, ?)",
                    (owner.sender, owner.incarnation, agent),
                )
        self._connection.execute(
            "DELETE FROM checkpoint_evicted WHERE sender = ? AND incarnation = ? AND agent = ?",
            (*who, agent),
        )
        fence: int = self._connection.execute(_TAKE, (agent, *who)).get
        return fence

    def _may_follow(self, agent: str, origin: Origin, owner: Owner, evict: int) -> bool:
        if origin.sender == owner.sender:
            return _is_later(origin.incarnation, owner.incarnation)
        if self._was_evicted(agent, origin):
            return False
        return not owner.is_present or owner.fence == evict or is_hub_of(origin.sender, agent)

    def _was_evicted(self, agent: str, origin: Origin) -> bool:
        found: int | None = self._connection.execute(
            "SELECT 1 FROM checkpoint_evicted WHERE sender = ? AND incarnation = ? AND agent = ?",
            (origin.sender, origin.incarnation, agent),
        ).get
        return found is not None


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


def is_hub_of(sender: str, agent: str) -> bool:
    """Whether the sender is the agent of that name."""
    return sender == f"{agent}.hub"


def _is_later(incarnation: str, than: str) -> bool:
    """Incarnations are numbers with points between; equal ones come back after a release."""
    try:
        return [*map(int, incarnation.split("."))] >= [*map(int, than.split("."))]
    except ValueError:
        return False
