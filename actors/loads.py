"""Single flight: of all who want the same thing made, one makes it and the others wait.

A plain data structure; time is given to it.  Lost with its process: who makes what.  Those who
waited ask again then, and the first of them is given the task although another may be at it yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

__all__ = ["LEASE", "Loads", "Turn", "Waiter"]

LEASE: Final = 5.0  # seconds after which a loader that gave no sign of life has lost its task

K = TypeVar("K", bound=Hashable)
W = TypeVar("W", bound="Waiter")


class Waiter:
    """Who wants something, until ``deadline`` (monotonic seconds)."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline

    @property
    def is_gone(self) -> bool:
        """Nobody would hear an answer."""
        return False


class Turn(Generic[K, W]):
    """``waiter`` has the task to make ``key``."""

    def __init__(self, key: K, waiter: W, ticket: str, until: float) -> None:
        self.key = key
        self.waiter = waiter
        self.ticket = ticket
        self.until = until  # when the task is lost, unless it is renewed
        self.queue: deque[W] = deque()  # who waits for the result


class Loads(Generic[K, W]):
    """Who makes what, and who waits for it.  Tickets begin with ``name``, which is never reused."""

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._count = 0
        self._turns: dict[K, Turn[K, W]] = {}
        self._by_ticket: dict[str, Turn[K, W]] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, key: K) -> bool:
        return key in self._turns

    @property
    def waiting(self) -> int:
        """How many wait for somebody else's result."""
        return sum(len(turn.queue) for turn in self._turns.values())

    def join(self, key: K, waiter: W, now: float) -> Turn[K, W] | None:
        """The waiter's turn, or None: then it waits for who is at it."""
        turn = self._turns.get(key)
        if turn is not None:
            turn.queue.append(waiter)
            return None
        return self._appoint(key, waiter, now)

    def renew(self, ticket: str, now: float) -> bool:
        """The loader is at work; whether the task is still its own."""
        turn = self._by_ticket.get(ticket)
        if turn is None:
            return False
        turn.until = now + LEASE
        return True

    def finish(self, key: K) -> list[W]:
        """The thing is there, whoever made it: all who wait for it."""
        turn = self._turns.pop(key, None)
        if turn is None:
            return []
        del self._by_ticket[turn.ticket]
        return list(turn.queue)

    def give_up(self, ticket: str, now: float) -> tuple[bool, Turn[K, W] | None]:
        """The loader has failed: whether the task was its own, and whose turn it is now."""
        turn = self._by_ticket.get(ticket)
        if turn is None:
            return False, None
        return True, self._pass_on(turn, now)

    def overdue(self, now: float) -> list[Turn[K, W]]:
        """Take the task from loaders that are gone or silent; the turns of those who get it."""
        lost = [t for t in self._turns.values() if t.until <= now or t.waiter.is_gone]
        passed = [self._pass_on(turn, now) for turn in lost]
        return [turn for turn in passed if turn is not None]

    def _pass_on(self, turn: Turn[K, W], now: float) -> Turn[K, W] | None:
        """The next who still waits has the task; nobody has it if none does."""
        del self._turns[turn.key], self._by_ticket[turn.ticket]
        while turn.queue:
            waiter = turn.queue.popleft()
            if not waiter.is_gone and waiter.deadline > now:
                successor = self._appoint(turn.key, waiter, now)
                successor.queue = turn.queue
                return successor
        return None

    def _appoint(self, key: K, waiter: W, now: float) -> Turn[K, W]:
        self._count += 1
        turn = Turn(key, waiter, f"{self._name}/{self._count}", now + LEASE)
        self._turns[key] = turn
        self._by_ticket[turn.ticket] = turn
        return turn
