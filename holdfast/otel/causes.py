"""When the cause of an event was: remembered of the newest ones, else looked up.

Lost with its process: what it remembers, which is in the database.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from holdfast.actors.readable_events import Event

__all__ = ["Causes"]

MOST: Final = 10_000  # names; of 1 KiB at most each


class Causes:
    """``lookup`` finds the event that led to another one, or None."""

    def __init__(self, lookup: Callable[[Event], Event | None]) -> None:
        self._lookup = lookup
        self._times: OrderedDict[tuple[bytes, str], int] = OrderedDict()

    def note(self, trace: bytes, event: Event) -> None:
        """It may be the cause of one that comes."""
        self._times[trace, event.id] = event.time_us
        if len(self._times) > MOST:
            self._times.popitem(last=False)

    def time_of(self, trace: bytes, event: Event) -> int | None:
        """Microseconds since 1970 when its cause was; None without one, or if it is not there."""
        if event.cause is None:
            return None
        known = self._times.get((trace, event.cause))
        if known is None and (found := self._lookup(event)) is not None:
            known = self._times[trace, event.cause] = found.time_us
        return known
