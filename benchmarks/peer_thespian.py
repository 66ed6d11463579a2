"""Thespian's side of the peers: an actor in a process of its own, called from a program.

``python -m benchmarks.peer_thespian FD``, driven by ``peers``.
"""

from __future__ import annotations

import os
import socket
import time
from datetime import timedelta
from typing import Any, Final

from thespian.actors import Actor, ActorAddress, ActorSystem, ChildActorExited

from benchmarks.driven import serve, taken_over
from benchmarks.kills import kill_and_see
from benchmarks.material import MESSAGE
from benchmarks.measure import timed
from holdfast.supervisors.linux import adopt_orphans

__all__ = ["Creator", "Receiver", "main"]

BASE: Final = "multiprocTCPBase"  # the one that its documentation uses for several processes
DEADLINE: Final = timedelta(seconds=30)
COUNT: Final = "count"
PID: Final = "pid"


class Receiver(Actor):  # type: ignore[misc]  # mypy does not look into peers
    """Counts the dicts it is told, and returns the text it is asked, or the count.

    With an address it tells that one its pid.
    """

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:
        """One message of any kind."""
        if isinstance(message, dict):
            self._count += 1
        elif isinstance(message, str):
            self.send(sender, self._count if message == COUNT else message)
        elif isinstance(message, ActorAddress):
            self.send(message, os.getpid())


class Creator(Actor):  # type: ignore[misc]  # likewise
    """Has a receiver tell its pid; when it dies, the next one does, as soon as it is there."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        """Asked for a pid, or told of a death: the way that its documentation has for a restart."""
        if message == PID:
            self._asker = sender
        elif not isinstance(message, ChildActorExited):
            return
        self.send(self.createActor(Receiver), self._asker)


def main() -> None:
    """Measure as often as asked."""
    from benchmarks import peer_thespian as imported  # not __main__'s: they are looked up

    adopt_orphans()  # until the end: only what is below this process is ended with it
    with taken_over() as control:
        system = ActorSystem(BASE, {"Admin Port": _free_port()})
        try:
            receiver = system.createActor(imported.Receiver)
            restarts = Restarts(system, imported.Creator)
            serve(
                control,
                {
                    "tell": lambda count: tell(system, receiver, count),
                    "ask": lambda count: timed(
                        count, lambda: system.ask(receiver, "x" * 64, DEADLINE)
                    ),
                    "restart": restarts.run,
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


class Restarts:
    """Kills the process of an actor; its creator hears of that, and makes another."""

    def __init__(self, system: Any, creator: type[Creator]) -> None:
        self._system = system
        self._creator = creator
        self._pid = 0  # of the receiver that told it last

    def run(self, count: int) -> list[float]:
        """Milliseconds from each SIGKILL until the next receiver says its pid."""
        if not self._pid:
            creator = self._system.createActor(self._creator)
            self._pid = self._system.ask(creator, PID, DEADLINE)
        samples = []
        for _ in range(count):
            descriptor = os.pidfd_open(self._pid)
            began = time.perf_counter()
            kill_and_see(descriptor)
            self._pid = self._system.listen(DEADLINE)
            samples.append((time.perf_counter() - began) * 1000)
        return samples


def _free_port() -> int:
    """Its usual one is the same for everybody on a machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
