"""SIGKILL of an agent that is told and asked all the time, to the next answer.

One process tells it every millisecond; this one asks it back to back, in one thread, and kills it
from another at a moment that the asks know nothing of.  What answers under another pid is the next
life, so the time runs from just before the SIGKILL, not from the death.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import Final

import msgspec

import holdfast
from benchmarks.bare import peer
from benchmarks.daemon import running_daemon
from benchmarks.driven import driven
from benchmarks.kills import DEADLINE, Bare, judged
from benchmarks.measure import Budget, Figure, Round, absolute, compare, interleave

__all__ = ["run"]

NAME: Final = "witness"
PER_BUDGET: Final = 5  # kills: a p99 asks for more than the other rows have
SETTLING: Final = 0.05  # seconds of answers before the next kill
AIM: Final = 0.005  # seconds within which the kill falls


class Life(msgspec.Struct, frozen=True, array_like=True):
    """What an agent answers of its present life; ``longest`` ms from a tell to its handler."""

    pid: int
    told: int
    redelivered: int
    longest: float


def run(budget: Budget) -> list[Figure]:
    """Kills while the traffic goes on; the floor has it beside it, too."""
    with (
        running_daemon({NAME: "agents:Witness"}) as daemon,
        peer("zygote") as sock,
        daemon.connect() as hub,
        driven("benchmarks.telling", str(daemon.run_dir), NAME) as teller,
    ):
        asker, bare = Asker(hub), Bare(sock)
        teller.ask("begin")
        kills, floor = interleave(0.0, asker.round, bare.round, least=budget.kills * PER_BUDGET)
        told, failed, longest = teller.ask("end")
        asker.end()
    name = "under traffic:"
    return [
        judged(compare("restart under traffic", "ms", kills, floor)),
        absolute(f"{name} tells", "tells", [[told]]),
        absolute(f"{name} tells that failed", "tells", [[failed]], bound=0.0),
        absolute(f"{name} asks", "asks", [[asker.asks]]),
        absolute(f"{name} asks that failed", "asks", [[asker.errors]], bound=0.0),
        absolute(f"{name} longest call of a tell", "ms", [[longest]]),
        absolute(f"{name} tell to handler, longest", "ms", [[asker.longest]]),
        absolute(f"{name} tells that came again", "tells", [[asker.redelivered]]),
    ]


class Asker:
    """Asks the agent back to back, has it killed in between, and adds up what its lives say."""

    def __init__(self, hub: holdfast.Hub) -> None:
        self._ref = hub.ref(NAME)
        self._life = Life(0, 0, 0, 0.0)  # as it last answered
        self._killed_at = 0.0
        self.asks = 0
        self.errors = 0.0
        self.redelivered = 0.0  # tells
        self.longest = 0.0  # milliseconds

    def round(self) -> Round:
        """Milliseconds of one kill."""
        pid = self._settled()
        shot = threading.Timer(random.uniform(0.0, AIM), self._kill, [os.pidfd_open(pid)])
        shot.start()
        deadline = time.monotonic() + DEADLINE
        while self.look().pid == pid:
            assert time.monotonic() < deadline, f"{NAME!r} lives on"
        answered = time.perf_counter()
        shot.join()
        return [(answered - self._killed_at) * 1000]

    def look(self) -> Life:
        """Ask until there is an answer."""
        while True:
            self.asks += 1
            try:
                reply = self._ref.ask(None, timeout=DEADLINE, idempotent=True)
                break
            except holdfast.HoldfastError:
                self.errors += 1
                if self.errors > 100:
                    raise
        life = msgspec.convert(reply, Life)
        if life.pid != self._life.pid:
            self.redelivered += self._life.redelivered
        self.longest = max(self.longest, life.longest)
        self._life = life
        return life

    def end(self) -> None:
        """Add up what the last life says, too."""
        self.redelivered += self.look().redelivered

    def _settled(self) -> int:
        """Ask one life for a while; its pid."""
        deadline = time.monotonic() + SETTLING
        while time.monotonic() < deadline:
            self.look()
        return self._life.pid

    def _kill(self, descriptor: int) -> None:
        self._killed_at = time.perf_counter()
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
