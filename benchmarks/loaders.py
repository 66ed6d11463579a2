"""The agents of the load: each emits at a pace set by a clock, and says how it went."""

from __future__ import annotations

import time
from typing import Final

import msgspec

import holdfast
from benchmarks.material import DATA, SESSION, TYPE

__all__ = ["Loader", "Offer", "Offered"]

SLICE: Final = 0.004  # seconds; what is due is emitted at least so often
BUCKET: Final = 0.1  # seconds; of each the most events pending are told


class Offer(msgspec.Struct, frozen=True):
    """Emit ``rate`` events a second from ``start`` (monotonic) on.  Reply: Offered."""

    start: float
    rate: int
    seconds: float
    flush_timeout: float


class Offered(msgspec.Struct, frozen=True):
    """What was emitted, in how many seconds, how long the longest call of emit took.

    ``pending`` is the most events that were not known to be committed, in each bucket of time.
    """

    count: int
    seconds: float
    flush_seconds: float
    longest_ms: float
    pending: list[int]


class Loader(holdfast.Agent):
    """Offers load on request, within one handler."""

    def on_receive(self, message: object) -> Offered:
        """When all is committed."""
        offer = msgspec.convert(message, Offer)
        time.sleep(max(0.0, offer.start - time.monotonic()))
        count, longest, pending = self._offer(offer)
        began = time.monotonic()
        self.hub.flush(timeout=offer.flush_timeout)
        flushed = time.monotonic() - began
        return Offered(count, began - offer.start, flushed, longest / 1e6, pending)

    def _offer(self, offer: Offer) -> tuple[int, int, list[int]]:
        """Events, nanoseconds of the longest call, most pending by time."""
        events, clock = self.hub.events, time.perf_counter_ns
        emit = events.emit
        pending = [0] * (round(offer.seconds / BUCKET) + 1)
        count = longest = 0
        while (passed := time.monotonic() - offer.start) < offer.seconds:
            due = int(passed * offer.rate)
            # Slice by slice: who fell behind must look at the clock meanwhile.
            for step in range(count, min(due, count + int(offer.rate * SLICE))):
                began = clock()
                emit(TYPE, {**DATA, "step": step}, session=SESSION)
                longest = max(longest, clock() - began)
                count = step + 1
            bucket = int(passed / BUCKET)
            pending[bucket] = max(pending[bucket], events.pending)
            if count >= due:
                wake = passed + SLICE
                time.sleep(max(0.0, offer.start + wake - time.monotonic()))
        return count, longest, pending
