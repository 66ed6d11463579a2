"""Time that only the test moves, for code that takes a ``holdfast.clock.Clock``."""

from __future__ import annotations

__all__ = ["ManualClock"]


class ManualClock:
    """A clock that stands until it is advanced or its wall clock is stepped."""

    def __init__(self, *, monotonic: float = 1_000.0, time_us: int = 1_700_000_000_000_000) -> None:
        self._monotonic = monotonic
        self._wall_us = time_us

    def monotonic(self) -> float:
        """Seconds; what ``advance`` came to."""
        return self._monotonic

    def time_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return self._wall_us

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks.  It never goes back."""
        if not seconds >= 0:
            raise ValueError(f"advance({seconds}): expected seconds >= 0; see step_wall_clock")
        self._monotonic += seconds
        self._wall_us += round(seconds * 1_000_000)

    def step_wall_clock(self, seconds: float) -> None:
        """What an operator or NTP does: durations are not touched; may be negative."""
        self._wall_us += round(seconds * 1_000_000)
