"""The agents that send on request: tells to another agent, events."""

from __future__ import annotations

from typing import Final

import holdfast
from benchmarks.emitting import Bare, burst, paced
from benchmarks.material import DATA, MESSAGE, SESSION, TYPE

__all__ = ["Emitter", "Teller"]

EMIT_PERIOD: Final = 0.001  # seconds between the calls of a paced round


class Teller(holdfast.Agent):
    """Tells the echo on request, through its mailbox."""

    def on_receive(self, message: int) -> None:
        """So many tells; then an ask, whose answer says that all before it were handled."""
        echo = self.ref("echo")
        for _ in range(message):
            echo.tell(MESSAGE)
        echo.ask(None, timeout=30.0)


class Emitter(holdfast.Agent):
    """Takes the time of its own calls of emit, on request, and of the floor in this process."""

    def __init__(self) -> None:
        super().__init__()
        self._bare = Bare()

    def on_receive(self, message: str) -> list[float]:
        """Microseconds of each call."""
        match message:
            case "bare burst":
                return burst(self._bare.emit)
            case "bare paced":
                return paced(self._bare.emit, EMIT_PERIOD)
            case "burst":
                samples = burst(self._emit)
                self.hub.flush()
                return samples
            case "paced":
                return paced(self._emit, EMIT_PERIOD)
            case _:
                raise ValueError(message)

    def _emit(self) -> None:
        self.hub.events.emit(TYPE, DATA, session=SESSION)
