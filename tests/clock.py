"""Time that only the test moves."""

from __future__ import annotations

__all__ = ["ManualClock"]


class ManualClock:
    """A clock that stands until it is advanced or its wall clock is stepped."""

    def __init__(self) -> None:
        self._monotonic = 1_000.0
        self._wall_us = 1_700_000_000_000_000

    def monotonic(self) -> float:
        return self._monotonic

    def time_us(self) -> int:
        return self._wall_us

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        self._monotonic += seconds
        self._wall_us += round(seconds * 1_000_000)

    def step_wall_clock(self, seconds: float) -> None:
        """What an operator or NTP does."""
        self._wall_us += round(seconds * 1_000_000)
