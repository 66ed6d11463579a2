"""Waiting for what comes next: a look or two before sleeping, as long as that pays.

Between two cores the wake-ups are most of an ask: the core that waits has gone to sleep meanwhile.
Who looks for some 30 us instead is there when the answer comes.  It gives its core away between
two looks (sched_yield), and stops when nothing comes so soon.  Owns no state that matters.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from holdfast.clock import Clock

__all__ = ["Eager"]

LOOK: Final = 0.00003  # seconds: about an ask between two cores; longer waits are for the kernel
LUCK: Final = 8  # waits in vain until looking stops
PROBE: Final = 64  # waits until it is tried again: half a microsecond each, on average

Ready = list[tuple[int, int]]


class Eager:
    """``select(timeout)`` waits in the kernel, with 0 only looks."""

    def __init__(self, *, select: Callable[[float | None], Ready], clock: Clock) -> None:
        self._select = select
        self._now = clock.monotonic
        self._luck = 0  # above 0: looking has paid lately
        self._waits = 0  # since it was last tried
        self._has_cores = (os.cpu_count() or 1) > 1  # else who is waited for needs this one

    def wait(self, timeout: float | None) -> Ready:
        """What is ready, within ``timeout`` seconds; None: however long it takes."""
        if timeout == 0:
            return self._select(0)
        if self._luck > 0 or self._is_to_be_tried():
            ready = self._look()
            if ready:
                return ready
        return self._select(timeout)

    def _is_to_be_tried(self) -> bool:
        self._waits += 1
        if self._waits < PROBE:
            return False
        self._waits = 0
        return self._has_cores

    def _look(self) -> Ready:
        end = self._now() + LOOK
        while True:
            ready = self._select(0)
            if ready:
                self._luck = LUCK
                return ready
            if self._now() >= end:
                self._luck = max(0, self._luck - 1)
                return ready
            os.sched_yield()
