"""One epoll and one heap of timers: what a process waits on, in one place.

Owns no state that matters: everything registered here is registered again after a restart.
"""

from __future__ import annotations

import heapq
import select
from collections.abc import Callable
from itertools import count
from typing import Protocol

from holdfast.clock import Clock

__all__ = ["READ", "WRITE", "Cancellable", "Reactor", "Timer", "Watches"]

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
LONGEST = 86_400.0  # seconds of one wait; the kernel takes 24 days, in milliseconds


class Timer:
    """A callback that is due at ``deadline`` (monotonic seconds), unless it is cancelled."""

    __slots__ = ("callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[[], None]) -> None:
        self.deadline = deadline
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never run it; harmless when it has run."""
        self.callback = None


class Cancellable(Protocol):
    """A timer, of whichever kind."""

    def cancel(self) -> object:
        """Never run it; harmless when it has run."""


class Watches(Protocol):
    """What a socket needs of a Reactor, or of an asyncio loop in its place."""

    def add(self, fd: int, mask: int, callback: Callable[[int], None]) -> None:
        """Call ``callback(events)`` whenever ``fd`` is ready for ``mask``."""

    def modify(self, fd: int, mask: int) -> None:
        """Wait for something else on ``fd``."""

    def remove(self, fd: int) -> None:
        """Forget ``fd``; call it before the descriptor is closed."""

    def later(self, delay: float, callback: Callable[[], None]) -> Cancellable:
        """Call ``callback`` once, ``delay`` seconds from now."""


class Reactor:
    """Calls back when a descriptor is ready or a timer is due; nothing runs but in ``poll``."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()  # timers of one deadline run in the order they were made

    def add(self, fd: int, mask: int, callback: Callable[[int], None]) -> None:
        """Call ``callback(events)`` whenever ``fd`` is ready for ``mask``."""
        self._epoll.register(fd, mask)
        self._callbacks[fd] = callback

    def modify(self, fd: int, mask: int) -> None:
        """Wait for something else on ``fd``; 0 still reports errors and hang-ups."""
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Forget ``fd``; call it before the descriptor is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once, ``delay`` seconds from now."""
        timer = Timer(self._clock.monotonic() + delay, callback)
        heapq.heappush(self._timers, (timer.deadline, next(self._order), timer))
        return timer

    def poll(self, timeout: float | None) -> None:
        """Wait until something is ready or due, or ``timeout`` seconds; then call back."""
        self.dispatch(self.select(self.bounded(timeout)))

    def bounded(self, timeout: float | None) -> float | None:
        """``timeout``, or less when a timer is due earlier."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if timers and timeout != 0:
            until_due = max(0.0, timers[0][0] - self._clock.monotonic())
            timeout = until_due if timeout is None else min(timeout, until_due)
        return timeout if timeout is None else min(timeout, LONGEST)

    def select(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait; the one part that may run without the lock of a driver with threads."""
        return self._epoll.poll(timeout)

    def dispatch(self, ready: list[tuple[int, int]]) -> None:
        """Call back for what is ready, then for what is due."""
        for fd, events in ready:
            callback = self._callbacks.get(fd)
            if callback is not None:  # an earlier callback of this round may have removed it
                callback(events)
        if self._timers:
            self._run_due()

    def _run_due(self) -> None:
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()

    def close(self) -> None:
        """Close the epoll descriptor; the registered ones stay open."""
        self._callbacks.clear()
        self._timers.clear()
        self._epoll.close()
