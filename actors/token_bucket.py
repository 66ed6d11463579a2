"""A token bucket: how long to wait so that something happens at most so often.

A plain data structure; whoever owns one says what is lost with it.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.clock import Clock
from holdfast.errors import InvalidInputError

__all__ = ["TokenBucket", "bucket_of"]


class TokenBucket:
    """``rate`` a second in the long run, up to ``burst`` at once after a quiet time."""

    def __init__(self, *, rate: float, burst: int | None, monotonic: Callable[[], float]) -> None:
        """``burst`` is a second's worth when it is not given.  Raises InvalidInputError."""
        if not 0 < rate < float("inf"):
            raise InvalidInputError(f"rate = {rate}: expected events a second, above 0")
        if burst is not None and burst < 1:
            raise InvalidInputError(f"burst = {burst}: expected at least 1")
        self.burst = max(1, int(rate)) if burst is None else burst
        self._rate = rate
        self._monotonic = monotonic
        self._tokens = float(self.burst)
        self._filled = monotonic()

    def take(self) -> float:
        """Take one; 0.0 when there was one, else the seconds until there is."""
        now = self._monotonic()
        gained = (now - self._filled) * self._rate
        self._tokens = min(self._tokens + gained, float(self.burst))
        self._filled = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


def bucket_of(rate: float | None, burst: int | None, clock: Clock) -> TokenBucket | None:
    """What a caller's arguments mean; None for no bound."""
    if rate is None:
        if burst is not None:
            raise InvalidInputError(f"burst = {burst} without a rate: give both, or neither")
        return None
    return TokenBucket(rate=rate, burst=burst, monotonic=clock.monotonic)
