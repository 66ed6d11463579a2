"""Who waits until when: found again when the time is over, in time that does not grow with many.

A plain data structure.  Deadlines are rounded up to ticks, so that neighbours end together.
"""

from __future__ import annotations

import math
from typing import Final, Generic, TypeVar

__all__ = ["Patience"]

TICK: Final = 0.05  # seconds

K = TypeVar("K")
W = TypeVar("W")


class Patience(Generic[K, W]):
    """Each key at most once."""

    def __init__(self) -> None:
        self._ticks: dict[int, dict[K, W]] = {}

    def add(self, key: K, who: W, deadline: float) -> float:
        """``who`` waits until then; until when that is."""
        tick = _tick(deadline)
        self._ticks.setdefault(tick, {})[key] = who
        return tick * TICK

    def remove(self, key: K, deadline: float) -> None:
        """It waits no more; harmless when its time was over."""
        tick = _tick(deadline)
        waiting = self._ticks.get(tick)
        if waiting is not None:
            waiting.pop(key, None)
            if not waiting:
                del self._ticks[tick]

    def over(self, now: float) -> list[W]:
        """Those whose time is over; they are forgotten."""
        past = [tick for tick in self._ticks if tick * TICK <= now]
        return [who for tick in sorted(past) for who in self._ticks.pop(tick).values()]

    @property
    def next(self) -> float:
        """When the next one's is; infinity for nobody's."""
        return min(self._ticks, default=math.inf) * TICK


def _tick(deadline: float) -> int:
    return math.ceil(deadline / TICK)
