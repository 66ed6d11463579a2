"""A writer that is to leave a copier time: after each group it rests for a while.

What comes meanwhile waits here, in order and unanswered, so that senders see back pressure and no
error.  Lost with the writer: nothing that was acknowledged, and the pace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from holdfast.actors.delivery import Delivery
from holdfast.actors.messages.writer import Pace
from holdfast.clock import Clock

__all__ = ["Pacing", "Rested"]

LONGEST: Final = 0.25  # seconds of one rest: whoever asks meanwhile waits for it
LASTS: Final = 5.0  # seconds; who wants it goes on saying so


class Rested(msgspec.Struct, frozen=True):
    """That was one rest."""


class Pacing:
    """The writer's."""

    def __init__(self, *, after: Callable[[float, object], Any], clock: Clock) -> None:
        self._after = after
        self._clock = clock
        self._share = 1.0  # of the time, in which it may work
        self._lapses = 0.0  # monotonic, as below
        self._rests_until = 0.0
        self._held: list[Delivery] = []

    def set(self, message: Pace) -> None:
        """From the next group on."""
        self._share = message.share
        self._lapses = self._clock.monotonic() + LASTS

    def holds(self, items: list[Delivery]) -> bool:
        """Whether they have to wait; they are kept then."""
        if not self._held and self._clock.monotonic() >= self._rests_until:
            return False
        self._held += items
        return True

    def timed(self, work: Callable[[list[Delivery]], None], items: list[Delivery]) -> None:
        """Have it done, and rest as long as it takes from that."""
        start = self._clock.monotonic()
        work(items)
        end = self._clock.monotonic()
        if self._share < 1.0 and end < self._lapses:
            rest = min(LONGEST, (end - start) * (1.0 / self._share - 1.0))
            self._rests_until = end + rest
            self._after(rest, Rested())

    def take(self) -> list[Delivery]:
        """What has waited."""
        self._rests_until = 0.0
        held, self._held = self._held, []
        return held
