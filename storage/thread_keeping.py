"""Who writes a thread of checkpoints, whatever database keeps it: the rules.

The first put takes a thread that nobody has.  The next life of the same sender takes it from the
one before, since lives of one actor never overlap; an agent takes the thread of its own name from
whoever has it.  A sender that lost its thread while it lived gets it back only by saying so.

A backend derives from it and says how rows are read and written, within the caller's transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from holdfast.storage.checkpoint_records import Owner
from holdfast.storage.records import Origin

__all__ = ["ThreadKeeping", "Who"]

# A life of a sender, and a thread: a row of table ``checkpoint_evicted``.
Who = tuple[str, str, str]


class ThreadKeeping(ABC):
    """One writer a thread."""

    def enter(
        self, agent: str, origin: Origin, *, takeover: bool = False, evict: int = 0
    ) -> int | Owner:
        """Let a sender write; the fence, or the owner that is in its way."""
        who = origin.sender, origin.incarnation, agent
        owner = self.owner(agent)
        if owner is not None:
            if (owner.sender, owner.incarnation) == who[:2] and owner.is_present:
                return owner.fence
            if not (takeover or self._may_follow(who, owner, evict)):
                return owner
            if owner.is_present and owner.fence != evict:
                self._evict((owner.sender, owner.incarnation, agent))
        self._pardon(who)
        return self._take(who)

    def _may_follow(self, who: Who, owner: Owner, evict: int) -> bool:
        sender, incarnation, agent = who
        if sender == owner.sender:
            return _is_later(incarnation, owner.incarnation)
        if self._was_evicted(who):
            return False
        return not owner.is_present or owner.fence == evict or _is_hub_of(sender, agent)

    @abstractmethod
    def owner(self, agent: str) -> Owner | None:
        """Who writes it; None where nobody has yet."""

    @abstractmethod
    def _take(self, who: Who) -> int:
        """The thread is theirs, and they are there; the fence, one more than before."""

    @abstractmethod
    def _evict(self, who: Who) -> None:
        """They lost it while they lived; noting it again changes nothing."""

    @abstractmethod
    def _was_evicted(self, who: Who) -> bool:
        """Whether that is noted."""

    @abstractmethod
    def _pardon(self, who: Who) -> None:
        """It is not noted any more."""


def _is_hub_of(sender: str, agent: str) -> bool:
    """Whether the sender is the agent of that name."""
    return sender == f"{agent}.hub"


def _is_later(incarnation: str, than: str) -> bool:
    """Incarnations are numbers with points between; equal ones come back after a release."""
    try:
        return [*map(int, incarnation.split("."))] >= [*map(int, than.split("."))]
    except ValueError:
        return False
