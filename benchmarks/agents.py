"""The actors that the benchmarks' daemon runs beside the state actors."""

from __future__ import annotations

import time
from typing import Any

import holdfast
from benchmarks.material import MESSAGE

__all__ = ["Asker", "Echo", "Teller"]


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
