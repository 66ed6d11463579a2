"""When items of queues expire: the writer removes them then, and an event tells of it.

Kept here: when the next look is due.  Lost with the process; the next life looks at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from holdfast.clock import Clock
from holdfast.storage.state_records import ChangeState, ExpireItems, ItemsExpired, Push

__all__ = ["EXPIRE", "Expiry", "ItemsDue"]

LIMIT: Final = 1_000  # items in one transaction, so that others are not kept waiting
AGAIN: Final = 60.0  # seconds at most between looks: the wall clock may be set forward
RETRY: Final = 1.0  # seconds after a look that failed

EXPIRE: Final = ChangeState(None, [ExpireItems(LIMIT)])


class ItemsDue(msgspec.Struct, frozen=True):
    """The timer's message.  Of several under way, only the one for ``at`` counts."""

    at: float


class Expiry:
    """Lets no look happen where nothing expires: an idle daemon stays idle.

    ``after`` delivers a message in so many seconds.
    """

    def __init__(self, *, after: Callable[[float, object], object], clock: Clock) -> None:
        self._after = after
        self._clock = clock
        self._at: float | None = None  # of the next look, on the monotonic clock

    def look_in(self, seconds: float) -> None:
        """Look then, unless that is sooner."""
        at = self._clock.monotonic() + min(max(seconds, 0.0), AGAIN)
        if self._at is None or at < self._at:
            self._at = at
            self._after(max(0.0, at - self._clock.monotonic()), ItemsDue(at))

    def note(self, command: object) -> None:
        """A command that was committed: what it pushed may be the next to expire."""
        if type(command) is ChangeState:
            for change in command.changes:
                if type(change) is Push and change.ttl is not None:
                    self.look_in(change.ttl)

    def is_due(self, message: ItemsDue) -> bool:
        """Whether to look now."""
        if message.at != self._at:
            return False
        self._at = None
        return True

    def looked(self, outcome: object) -> None:
        """Plan the next look; ``outcome`` is that of EXPIRE, or what came instead."""
        found = getattr(outcome, "outcomes", [None])[0]
        if not isinstance(found, ItemsExpired):
            self.look_in(RETRY)
        elif found.next_us is not None:
            self.look_in((found.next_us - self._clock.time_us()) / 1e6)
