"""The actors that the benchmarks' daemon runs beside the state actors."""

from __future__ import annotations

import os
import time
from typing import Any, Final

import holdfast
from benchmarks.emitting import Bare, burst, paced
from benchmarks.loaders import Loader
from benchmarks.material import DATA, MESSAGE, SESSION, TYPE

__all__ = ["Asker", "Crasher", "Echo", "Emitter", "Loader", "Teller", "Witness"]

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


class Crasher(holdfast.Agent):
    """Exits as soon as its supervisor has heard that it is ready."""

    def on_start(self) -> None:
        """Nothing may be done here: a start that fails would end the start of the tree."""
        self.after(0.0, None)

    def on_receive(self, message: Any) -> None:
        """The end."""
        os._exit(1)


class Witness(holdfast.Agent):
    """Says of its life so far how many tells came, how many of them again, and how late."""

    def __init__(self) -> None:
        super().__init__()
        self._told = self._redelivered = 0
        self._longest = 0.0

    def on_receive(self, message: Any) -> list[float] | None:
        """A tell says when it was sent; None is the ask, traffic.Life its answer."""
        if message is None:
            return [os.getpid(), self._told, self._redelivered, self._longest]
        self._longest = max(self._longest, (time.perf_counter() - message[0]) * 1000)
        self._told += 1
        delivery = self.mailbox.current
        self._redelivered += delivery is not None and delivery.redelivered
        return None
