"""Calls of emit, back to back and paced; and their floor: encode an event and keep it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from benchmarks.material import DATA, SESSION, SOURCE, TYPE
from benchmarks.measure import Round, timed

__all__ = ["Bare", "burst", "paced"]

CALLS: Final = 500  # a round
PACED: Final = 100


def burst(call: Callable[[], object]) -> Round:
    """Microseconds of each call, back to back."""
    return timed(CALLS, call)


def paced(call: Callable[[], object], period: float) -> Round:
    """One every ``period`` seconds; what others left in the caches meanwhile counts."""
    samples = []
    due = time.monotonic()
    for _ in range(PACED):
        due += period
        time.sleep(max(0.0, due - time.monotonic()))
        samples += timed(1, call)
    return samples


class Bare:
    """JSON, msgpack, append: what cannot be left out."""

    def __init__(self) -> None:
        self._json = msgspec.json.Encoder().encode
        self._msgpack = msgspec.msgpack.Encoder().encode
        self._kept: deque[bytes] = deque(maxlen=CALLS)

    def emit(self) -> None:
        """Encode and keep one event."""
        text = self._json(DATA).decode()
        head = (time.time_ns() // 1000, TYPE, SOURCE, None, SESSION, None, None, None, 0, None)
        self._kept.append(self._msgpack((*head, text)))
