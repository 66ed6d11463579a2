"""The plain agents that the benchmarks' daemon runs beside the state actors.

Only what every agent imports is imported here: it is a part of each restart.
"""

from __future__ import annotations

import os
import time
from typing import Any

import holdfast

__all__ = ["Asker", "Crasher", "Echo", "Witness"]


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
