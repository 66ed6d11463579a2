"""The agents of the load: each emits at a pace set by a clock, and says how it went."""

from __future__ import annotations

import time
from typing import Final

import msgspec

import holdfast
from benchmarks.material import DATA, SESSION, TYPE

__all__ = ["Loader", "Offer", "Offered"]

SLICE: Final = 0.004  # seconds; what is due is emitted at least so often
SLOW: Final = 5_000_000  # nanoseconds
BUCKET: Final = 0.1  # seconds; of each the most events pending are told


class Offer(msgspec.Struct, frozen=True):
    """Emit ``rate`` events a second from ``start`` (monotonic) on.  Reply: Offered."""

    start: float
    rate: int
    seconds: float
    flush_timeout: float


class Offered(msgspec.Struct, frozen=True):
    """What was emitted, in how many seconds, how long the longest call of emit took.

    ``slow`` calls took more than 5 ms; the longest began ``longest_at`` seconds after the start.
    ``pending`` is the most events that were not known to be committed, in each bucket of time.
    """

    count: int
    seconds: float
    flush_seconds: float
    longest_ms: float
    longest_at: float
    slow: int
    pending: list[int]


class Loader(holdfast.Agent):
    """Offers load on request, within one handler."""

    def on_receive(self, message: object) -> Offered:
        """When all is committed."""
        offer = msgspec.convert(message, Offer)
        time.sleep(max(0.0, offer.start - time.monotonic()))
        pace = _Pace(offer, self.hub)
        pace.run()
        began = time.monotonic()
        self.hub.flush(timeout=offer.flush_timeout)
        return Offered(
            pace.count,
            began - offer.start,
            time.monotonic() - began,
            pace.longest / 1e6,
            pace.longest_at - offer.start,
            pace.slow,
            pace.pending,
        )


class _Pace:
    """Emits what is due, and keeps what Offered tells; times of calls in nanoseconds."""

    def __init__(self, offer: Offer, hub: holdfast.Hub) -> None:
        self._offer = offer
        self._events = hub.events
        self.count = self.longest = self.slow = 0
        self.longest_at = offer.start
        self.pending = [0] * (round(offer.seconds / BUCKET) + 1)

    def run(self) -> None:
        """Slice by slice, until the time is over."""
        offer = self._offer
        while (passed := time.monotonic() - offer.start) < offer.seconds:
            due = int(passed * offer.rate)
            # No more than a slice without a look at the clock, also of who fell behind.
            self._emit(min(due, self.count + int(offer.rate * SLICE)))
            bucket = int(passed / BUCKET)
            self.pending[bucket] = max(self.pending[bucket], self._events.pending)
            if self.count >= due:
                time.sleep(max(0.0, offer.start + passed + SLICE - time.monotonic()))

    def _emit(self, until: int) -> None:
        emit, clock = self._events.emit, time.perf_counter_ns
        for step in range(self.count, until):
            began = clock()
            emit(TYPE, {**DATA, "step": step}, session=SESSION)
            took = clock() - began
            if took > self.longest:
                self.longest, self.longest_at = took, time.monotonic()
            if took > SLOW:
                self.slow += 1
        self.count = max(self.count, until)
