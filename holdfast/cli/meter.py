"""How far something long is, on standard error: bytes, rate, and the time that is left."""

from __future__ import annotations

import time
from typing import Final

from holdfast.cli.changing import ChangingLine
from holdfast.cli.sizes import size

__all__ = ["Meter"]

ON_TERMINAL: Final = 0.1  # seconds between two looks of a person
IN_FILE: Final = 2.0  # seconds between two lines where nobody watches


class Meter:
    """Tells nothing of what is over before anybody could have read it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._told = time.monotonic()
        self._line = ChangingLine()

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes."""
        now = time.monotonic()
        if now - self._told < (ON_TERMINAL if self._line.is_terminal else IN_FILE):
            return
        self._told = now
        self._line.show(self.line(done, total, now - self._began))

    def say(self, text: str) -> None:
        """What is done now; of something that has no measure."""
        if self._line.is_terminal:
            self._line.show(f"{self._what}: {text}")

    @staticmethod
    def rate(done: int, seconds: float) -> float:
        """Bytes a second."""
        return done / seconds if seconds > 0 else 0.0

    def line(self, done: int, total: int, seconds: float) -> str:
        """For people."""
        rate = self.rate(done, seconds)
        left = f", {(total - done) / rate:.0f} s left" if rate else ""
        share = 100 * done // total if total else 100
        return f"{self._what}: {share} %, {size(done)} of {size(total)}, {size(int(rate))}/s{left}"

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._line.close()
