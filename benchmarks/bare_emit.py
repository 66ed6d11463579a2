"""The floor of emit: encode an event, keep it, nothing else."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

import msgspec

from benchmarks.material import DATA, SESSION, SOURCE, TYPE
from benchmarks.measure import Round, timed

__all__ = ["CALLS", "bare_calls"]

CALLS: Final = 500  # a round


def bare_calls() -> Round:
    """Microseconds of each call."""
    return timed(CALLS, _Bare().emit)


class _Bare:
    """JSON, msgpack, append: what cannot be left out."""

    def __init__(self) -> None:
        self._json = msgspec.json.Encoder().encode
        self._msgpack = msgspec.msgpack.Encoder().encode
        self._kept: deque[bytes] = deque()

    def emit(self) -> None:
        """Encode and keep one event."""
        text = self._json(DATA).decode()
        head = (time.time_ns() // 1000, TYPE, SOURCE, None, SESSION, None, None, None, 0, None)
        self._kept.append(self._msgpack((*head, text)))
