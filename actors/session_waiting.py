"""Who waits for a session, or a cached value, that somebody else is making.

Owns the turns of both caches, and with its process loses them: who waits asks again.
"""

from __future__ import annotations

from typing import Final, Literal

from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.loads import LEASE, Loads, Turn, Waiter
from holdfast.actors.messages import cache, sessions
from holdfast.clock import Clock
from holdfast.errors import InvalidInputError

__all__ = ["Key", "SessionWaiting"]

MAX_TIMEOUT: Final = 86_400.0  # seconds

Key = tuple[Literal["session", "cache"], str]


class _Asker(Waiter):
    """A program that asks, over a connection that may end."""

    def __init__(self, delivery: Delivery, deadline: float) -> None:
        super().__init__(deadline)
        self.delivery = delivery

    @property
    def is_gone(self) -> bool:
        """Its connection has ended."""
        return self.delivery.intake.closed


class SessionWaiting:
    """One makes it, the others wait; a loader that is silent or gone loses its task."""

    def __init__(self, *, name: str, clock: Clock) -> None:
        self._loads: Loads[Key, _Asker] = Loads(name=name)
        self._clock = clock

    @property
    def loads(self) -> int:
        """How many things are being made."""
        return len(self._loads)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return self._loads.waiting

    def is_under_way(self, key: Key) -> bool:
        """Whether somebody makes it now."""
        return key in self._loads

    def join(self, key: Key, delivery: Delivery, timeout: float) -> sessions.LoadIsYours | Later:
        """The task, or LATER: then the answer comes when it is made, or the task when it is lost.

        Raises InvalidInputError.
        """
        if not 0 < timeout <= MAX_TIMEOUT:
            raise InvalidInputError(
                f"timeout = {timeout}: expected seconds > 0, at most {MAX_TIMEOUT:.0f}"
            )
        now = self._clock.monotonic()
        turn = self._loads.join(key, _Asker(delivery, now + timeout), now)
        if turn is not None:
            return _task(turn)
        delivery.set_aside()
        return LATER

    def renew(self, ticket: str) -> sessions.Renewed:
        """The loader is at work."""
        return sessions.Renewed(self._loads.renew(ticket, self._clock.monotonic()))

    def give_up(self, ticket: str) -> sessions.Renewed:
        """The loader has failed; the next one tries."""
        was_its_own, turn = self._loads.give_up(ticket, self._clock.monotonic())
        if turn is not None:
            turn.waiter.delivery.set(_task(turn))
        return sessions.Renewed(was_its_own)

    def finish(self, key: Key, answer: sessions.SessionIs | cache.CachedIs) -> None:
        """It is there: tell all who wait for it."""
        if key in self._loads:
            for waiter in self._loads.finish(key):
                waiter.delivery.set(answer)

    def look(self) -> None:
        """Pass on the tasks of loaders that are gone or silent."""
        if len(self._loads):
            for turn in self._loads.overdue(self._clock.monotonic()):
                turn.waiter.delivery.set(_task(turn))


def _task(turn: Turn[Key, _Asker]) -> sessions.LoadIsYours:
    return sessions.LoadIsYours(turn.ticket, LEASE)
