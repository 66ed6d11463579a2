"""How long the handlers of an actor take, and how many messages it handles in a second.

Lost when its process dies: all of it; the next life counts from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["BUCKETS", "Handling", "bound", "quantile"]

# Bucket ``i`` counts what took less than 2**i microseconds, and not less than half of that: the
# length in bits of a whole number finds it without a search, and 64 of them any time there is.
BUCKETS: Final = 64
SPACING: Final = 0.9  # seconds between two samples, at least; signs of life come every second


class Handling:
    """A histogram of fixed buckets, and two samples of a count.

    It is told at each look at the sockets, which are 64 messages or 2 ms apart, or one handler if
    that takes longer: to be told of each message would be measurable.  So the last one before a
    look counts with what it took, and those before it, all of them short, with their mean.
    A batch that is handled together counts once, and what is deferred only until its handler
    returns.
    """

    def __init__(self, began: float, *, batches: bool = False) -> None:
        """``began``: monotonic seconds."""
        self.counts = [0] * BUCKETS
        self.seconds = 0.0
        self.own = 0  # messages that nobody sent: timers', answers
        self._batches = batches
        self._count = 0  # of messages, at the last look
        # When, and how many had been handled: a rate is that of the last second or two.
        self._before = self._last = (began, 0)

    def add(self, handled: int, looked: float, began: float, now: float) -> None:
        """There is a look now; ``looked`` the last one ended, ``began`` the last handler did."""
        count = handled + self.own
        fresh, self._count = count - self._count, count
        if not fresh:
            return
        last = now - began
        self.seconds += now - looked
        self.counts[int(last * 1e6).bit_length()] += 1
        if fresh > 1 and not self._batches:
            mean = (began - looked) / (fresh - 1)
            self.counts[int(mean * 1e6).bit_length()] += fresh - 1

    def sample(self, now: float, handled: int) -> None:
        """Note how many messages have been handled; from any thread."""
        if now - self._last[0] >= SPACING:
            self._before, self._last = self._last, (now, handled)

    def rate(self, now: float, handled: int) -> float:
        """Messages a second since the last sample but one."""
        since, count = self._before
        return max(0.0, (handled - count) / (now - since)) if now > since else 0.0

    @property
    def filled(self) -> list[int]:
        """The counts up to the last that is not 0."""
        counts = self.counts.copy()
        while counts and not counts[-1]:
            counts.pop()
        return counts


def bound(bucket: int) -> float:
    """Seconds that nothing in the bucket has reached."""
    return 2.0**bucket / 1e6


def quantile(counts: Sequence[int], share: float) -> float:
    """The seconds within which ``share`` of all were done, as if evenly spread in each bucket."""
    left = share * sum(counts)
    for bucket, count in enumerate(counts):
        if count and left <= count:
            low = bound(bucket - 1) if bucket else 0.0
            return low + (bound(bucket) - low) * left / count
        left -= count
    return 0.0
