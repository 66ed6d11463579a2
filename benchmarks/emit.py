"""How long a call of emit takes, beside encoding the event and keeping it, nothing else."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

import msgspec

from benchmarks.daemon import running_daemon
from benchmarks.material import DATA, SESSION, SOURCE, TYPE
from benchmarks.measure import Budget, Figure, Round, compare, interleave, timed

__all__ = ["run"]

CALLS: Final = 500  # a round
PAUSE: Final = 0.0005  # seconds between the calls of a paced round: under 2,000 a second


def run(budget: Budget) -> list[Figure]:
    """Back to back, while the hub's thread sends; and with pauses, as an agent emits."""
    with running_daemon() as daemon, daemon.connect() as hub:

        def emit() -> None:
            hub.events.emit(TYPE, DATA, session=SESSION)

        def burst() -> Round:
            samples = timed(CALLS, emit)
            hub.flush()
            return samples

        def paced() -> Round:
            samples = []
            for _ in range(CALLS // 5):
                time.sleep(PAUSE)
                samples += timed(1, emit)
            return samples

        bare, bursts, single = interleave(
            budget.seconds, lambda: timed(CALLS, Bare().emit), burst, paced
        )
    return [
        compare("emit 1 KB, back to back", "us", bursts, bare),
        compare("emit 1 KB, paced", "us", single, bare),
    ]


class Bare:
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
