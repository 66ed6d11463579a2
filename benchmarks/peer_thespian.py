"""Thespian's side of the peers: an actor in a process of its own, called from a program.

``python -m benchmarks.peer_thespian FD``, driven by ``peers``.
"""

from __future__ import annotations

import socket
import time
from datetime import timedelta
from typing import Any, Final

from thespian.actors import Actor, ActorSystem

from benchmarks.driven import serve, taken_over
from benchmarks.material import MESSAGE
from benchmarks.measure import timed
from holdfast.supervisors.linux import adopt_orphans

__all__ = ["Receiver", "main"]

BASE: Final = "multiprocTCPBase"  # the one that its documentation uses for several processes
DEADLINE: Final = timedelta(seconds=30)
COUNT: Final = "count"


class Receiver(Actor):  # type: ignore[misc]  # mypy does not look into peers
    """Counts the dicts it is told, and returns the text it is asked, or the count."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:
        """One message of any kind."""
        if isinstance(message, dict):
            self._count += 1
        elif isinstance(message, str):
            self.send(sender, self._count if message == COUNT else message)


def main() -> None:
    """Measure as often as asked."""
    from benchmarks.peer_thespian import Receiver as Imported  # not __main__'s: it is looked up

    adopt_orphans()  # until the end: only what is below this process is ended with it
    with taken_over() as control:
        system = ActorSystem(BASE, {"Admin Port": _free_port()})
        try:
            receiver = system.createActor(Imported)
            serve(
                control,
                {
                    "tell": lambda count: tell(system, receiver, count),
                    "ask": lambda count: timed(
                        count, lambda: system.ask(receiver, "x" * 64, DEADLINE)
                    ),
                },
            )
        finally:
            system.shutdown()


def tell(system: Any, receiver: Any, count: int) -> list[float]:
    """Messages a second, until all are handled."""
    before = system.ask(receiver, COUNT, DEADLINE)
    began = time.perf_counter()
    for _ in range(count):
        system.tell(receiver, MESSAGE)
    while system.ask(receiver, COUNT, DEADLINE) < before + count:
        pass
    return [count / (time.perf_counter() - began)]


def _free_port() -> int:
    """Its usual one is the same for everybody on a machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
