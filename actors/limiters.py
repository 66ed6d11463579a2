"""What a rate limit allows: a token bucket and a sliding window.

Plain arithmetic in whole nanoseconds of a clock that only goes on, so that no rounding ever adds
up to a grant.  Who owns one loses it with its process.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from math import ceil
from typing import Final

from holdfast.actors.messages.tracker import RateLimit, SlidingWindow, TokenBucket

__all__ = ["SECOND", "Bucket", "Window", "limiter_of"]

SECOND: Final = 1_000_000_000  # nanoseconds
SLOTS: Final = 100  # grants of a window are counted together by hundredths of its period


class Bucket:
    """A token bucket, as the generic cell rate algorithm has it (ITU-T I.371, virtual scheduling).

    One number says all: when the bucket would be full again if nothing more came.  In any span of
    T seconds at most ``burst + rate * T`` are granted.
    """

    def __init__(self, limit: TokenBucket) -> None:
        self.capacity = limit.burst
        self._interval = ceil(SECOND / Fraction(limit.rate))  # nanoseconds a token takes to come
        self._depth = limit.burst * self._interval
        self._full_at = 0

    def wait(self, cost: int, now: int) -> int:
        """Nanoseconds until ``cost`` is allowed; 0: it is now."""
        after = max(self._full_at, now) + cost * self._interval
        return max(0, after - now - self._depth)

    def take(self, cost: int, now: int) -> None:
        """It is granted."""
        self._full_at = max(self._full_at, now) + cost * self._interval

    def available(self, now: int) -> int:
        """How much is allowed at once."""
        return max(0, self._depth - max(0, self._full_at - now)) // self._interval

    def is_full(self, now: int) -> bool:
        """It is as a new one would be."""
        return self._full_at <= now

    def held(self) -> list[tuple[int, int]]:
        """What a checkpoint has to keep: times and costs."""
        return [(self._full_at, 0)]

    def hold(self, held: list[tuple[int, int]], now: int) -> None:
        """Be as ``held`` says."""
        # A wall clock that was set back meanwhile must not close it for longer than a burst does.
        self._full_at = min(max((time for time, _ in held), default=0), now + self._depth)


class Window:
    """A sliding window log: what was granted within the last ``period``, counted exactly.

    As in the usual "sliding window log" of API gateways, but grants within a hundredth of the
    period are one entry, dated by the last of them: memory is bounded, and the count errs only
    towards less.  In any span of one period at most ``limit`` are granted.
    """

    def __init__(self, limit: SlidingWindow) -> None:
        self.capacity = limit.limit
        self._period = ceil(limit.period * SECOND)
        self._grain = self._period // SLOTS
        self._slots: deque[list[int]] = deque()  # first time, last time, cost
        self._used = 0

    def wait(self, cost: int, now: int) -> int:
        """Nanoseconds until ``cost`` is allowed; 0: it is now."""
        self._drop(now)
        missing = self._used + cost - self.capacity
        if missing <= 0:
            return 0
        for _, last, spent in self._slots:
            missing -= spent
            if missing <= 0:
                return last + self._period - now
        raise AssertionError("a cost over the capacity waits for ever")

    def take(self, cost: int, now: int) -> None:
        """It is granted."""
        self._used += cost
        if self._slots and now - self._slots[-1][0] < self._grain:
            self._slots[-1][1] = now
            self._slots[-1][2] += cost
        else:
            self._slots.append([now, now, cost])

    def available(self, now: int) -> int:
        """How much is allowed at once."""
        self._drop(now)
        return max(0, self.capacity - self._used)

    def is_full(self, now: int) -> bool:
        """It is as a new one would be."""
        self._drop(now)
        return not self._slots

    def held(self) -> list[tuple[int, int]]:
        """What a checkpoint has to keep: times and costs."""
        return [(last, cost) for _, last, cost in self._slots]

    def hold(self, held: list[tuple[int, int]], now: int) -> None:
        """Be as ``held`` says."""
        self._slots = deque([min(time, now), min(time, now), cost] for time, cost in held)
        self._used = sum(cost for _, cost in held)

    def _drop(self, now: int) -> None:
        """A grant leaves when it is exactly one period old."""
        while self._slots and self._slots[0][1] + self._period <= now:
            self._used -= self._slots.popleft()[2]


def limiter_of(limit: RateLimit) -> Bucket | Window:
    """A limiter that has granted nothing yet."""
    return Bucket(limit) if isinstance(limit, TokenBucket) else Window(limit)
