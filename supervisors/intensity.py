"""How often and how fast a child may be restarted: OTP's restart intensity, and backoff.

Pure: time and chance are given.  Lost when its supervisor dies; then the parent's budget counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from holdfast.clock import Clock

__all__ = ["Backoff", "RestartBudget"]


class RestartBudget:
    """More than ``max_restarts`` restarts within ``max_seconds`` is one too many.

    The algorithm is ``add_restart`` of OTP's supervisor.erl: one window that slides, shared by all
    children of a supervisor, on the monotonic clock.
    """

    def __init__(self, *, max_restarts: int, max_seconds: float, clock: Clock) -> None:
        self._max_restarts = max_restarts
        self._max_seconds = max_seconds
        self._clock = clock
        # Oldest first: what left the window is dropped from the left.
        self._restarts: deque[float] = deque()

    def adopt(self, *, max_restarts: int, max_seconds: float) -> None:
        """Allow so many in so long from now on."""
        self._max_restarts, self._max_seconds = max_restarts, max_seconds

    def charge(self) -> bool:
        """Count one restart; False when it is one too many."""
        now = self._clock.monotonic()
        while self._restarts and now - self._restarts[0] > self._max_seconds:
            self._restarts.popleft()
        self._restarts.append(now)
        return len(self._restarts) <= self._max_restarts


class Backoff:
    """The wait before the next restart of one child.

    The first restart is immediate, then ``initial`` seconds, then ``factor`` times more each time
    up to ``maximum``; ``jitter`` takes off up to that fraction, so that children which died
    together do not come back together.  A child that ran for ``stable_after`` starts afresh.
    """

    def __init__(
        self,
        *,
        initial: float,
        factor: float,
        maximum: float,
        jitter: float,
        stable_after: float,
        random: Callable[[], float],
    ) -> None:
        self._initial = initial
        self._factor = factor
        self._maximum = maximum
        self._jitter = jitter
        self._stable_after = stable_after
        self._random = random
        self._next: float | None = None  # None: the next restart is immediate

    def followed_by(self, other: Backoff) -> Backoff:
        """``other``, which goes on where this one stands."""
        other._next = self._next
        return other

    def delay(self, *, lived: float) -> float:
        """Seconds to wait now that the child died ``lived`` seconds after it was ready."""
        if lived >= self._stable_after or self._next is None:
            self._next = self._initial
            return 0.0
        wait = self._next
        # Bounded at once: a child that fails for months would overflow an exponent.
        self._next = min(self._maximum, wait * self._factor)
        return min(self._maximum, wait) * (1.0 - self._jitter * self._random())
