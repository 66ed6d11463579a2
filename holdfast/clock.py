"""Time, injected: what measures durations and what dates events are two clocks.

Durations and deadlines run on the monotonic clock, so that a stepped wall clock changes nothing.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """The two clocks of one machine."""

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back."""

    def time_us(self) -> int:
        """Microseconds since 1970-01-01 UTC; may be stepped."""


class SystemClock:
    """The operating system's clocks."""

    def monotonic(self) -> float:
        """Seconds since boot."""
        return time.monotonic()

    def time_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000
