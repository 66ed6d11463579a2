"""The stop of all children of a supervisor: one by one, the last first, within one budget."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
from loguru import logger

from holdfast.actors.mailbox import Mailbox
from holdfast.clock import Clock
from holdfast.supervisors.children import LATE, Child

__all__ = ["Ending", "StopOverdue"]


class StopOverdue(msgspec.Struct, frozen=True):
    """The budget of the whole stop is spent."""


class Ending:
    """Knows when everything has to be over; each child has its own time besides."""

    def __init__(self, *, mailbox: Mailbox, children: Mapping[str, Child], clock: Clock) -> None:
        self._mailbox = mailbox
        self._children = children
        self._clock = clock
        self._within = self._deadline = math.inf  # seconds; monotonic

    def begin(self, within: float) -> None:
        """Nothing is to be left ``within`` seconds: StopOverdue comes then."""
        self._within = within
        if not math.isinf(within):
            self._deadline = self._clock.monotonic() + within
            self._mailbox.after(within, StopOverdue())

    def proceed(self) -> bool:
        """Stop the next one; True when there is none."""
        for child in reversed(list(self._children.values())):
            if child.has_process:
                if child.state != "stopping":
                    child.stop(max(0.0, self._deadline - self._clock.monotonic()))
                return False
        return True

    def overdue(self) -> None:
        """Kill what is left; after a stall of this supervisor itself its time begins anew."""
        if self._clock.monotonic() - self._deadline > LATE:
            self.begin(self._within)
            return
        left = [child for child in self._children.values() if child.has_process]
        if left:
            names = ", ".join(child.spec.id for child in left)
            logger.warning("the time for the whole stop is over: killing {}", names)
        for child in left:
            child.state = "stopping"
            child.kill("shutdown_timeout")
