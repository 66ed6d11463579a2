"""The actors that the benchmarks' daemon runs beside the state actors."""

from __future__ import annotations

import time
from typing import Any, Final

import holdfast
from benchmarks.bare_emit import CALLS, bare_calls
from benchmarks.loaders import Loader
from benchmarks.material import DATA, MESSAGE, SESSION, TYPE
from benchmarks.measure import timed

__all__ = ["Asker", "Echo", "Emitter", "Loader", "Teller"]

EMIT_PERIOD: Final = 0.001  # seconds between the calls of a paced round


class Echo(holdfast.Agent):
    """Answers an ask with what it was asked; a tell is thereby acknowledged."""

    def on_receive(self, message: Any) -> Any:
        """The message."""
        return message


class Asker(holdfast.Agent):
    """Asks the echo on request, through its mailbox: the way of an agent to an agent."""

    def on_receive(self, message: Any) -> list[float]:
        """Microseconds of each of ``message["count"]`` asks."""
        echo = self.ref("echo")
        samples = []
        for _ in range(message["count"]):
            began = time.perf_counter_ns()
            echo.ask(message["payload"], timeout=10.0)
            samples.append((time.perf_counter_ns() - began) / 1000)
        return samples


class Teller(holdfast.Agent):
    """Tells the echo on request, through its mailbox."""

    def on_receive(self, message: int) -> None:
        """So many tells; then an ask, whose answer says that all before it were handled."""
        echo = self.ref("echo")
        for _ in range(message):
            echo.tell(MESSAGE)
        echo.ask(None, timeout=30.0)


class Emitter(holdfast.Agent):
    """Takes the time of its own calls of emit, on request."""

    def on_receive(self, message: str) -> list[float]:
        """Microseconds of each call: "burst", "paced", or "bare", the floor in this process."""
        if message == "bare":
            return bare_calls()
        if message == "burst":
            samples = timed(CALLS, self._emit)
            self.hub.flush()
            return samples
        return self._paced()

    def _emit(self) -> None:
        self.hub.events.emit(TYPE, DATA, session=SESSION)

    def _paced(self) -> list[float]:
        samples = []
        due = time.monotonic()
        for _ in range(CALLS // 5):
            due += EMIT_PERIOD
            time.sleep(max(0.0, due - time.monotonic()))
            samples += timed(1, self._emit)
        return samples
