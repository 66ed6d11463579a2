"""SIGKILL of an actor to its successor's answer, beside a fork from a bare zygote.

The hub that asks was connected before the kill: its link breaks, reconnects to the listener that
outlives the actor, and asks again, as any client's does.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from typing import Final

import msgspec

import holdfast
from benchmarks.bare import LENGTH, peer
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.material import DATA, SESSION, TYPE
from benchmarks.measure import Budget, Figure, Round, compare, interleave
from holdfast.actors.messages import log, query, sessions, writer
from holdfast.storage.records import EventFilter

__all__ = ["run"]

QUESTIONS: Final[dict[str, object]] = {
    "sessions": sessions.Stats(),
    "query": query.QueryEvents(EventFilter(), 1),
    "log": log.Stats(),
    "writer": writer.GetPosition(),
    "echo": "there?",
}
RING: Final = 10_000  # events that a restarted log reads again, while it answers already
FULL_RING: Final = "log, ring full again"
BOUND_MS: Final = 20.0
DEADLINE: Final = 10.0  # seconds


def run(budget: Budget) -> list[Figure]:
    """Each actor in turn, a floor in between."""
    with (
        running_daemon({"echo": "Echo"}) as daemon,
        peer("zygote") as sock,
        daemon.connect() as hub,
    ):
        for number in range(RING):
            hub.events.emit(TYPE, DATA, session=SESSION, key=f"benchmark.{number}")
        hub.flush()
        bare = Bare(sock)
        figures = []
        killers = {name: Killer(daemon, hub, name) for name in QUESTIONS}
        killers[FULL_RING] = RingKiller(daemon, hub, "log")
        for name, killer in killers.items():
            kills, floor = interleave(0.0, killer.round, bare.round, least=budget.kills)
            figures.append(_figure(name, kills, floor))
    return figures


def _figure(name: str, rounds: list[Round], floor: list[Round]) -> Figure:
    figure = compare(f"restart: {name}", "ms", rounds, floor)
    reached = figure.ours.p50 <= BOUND_MS
    return msgspec.structs.replace(figure, target=f"<= {BOUND_MS:g} ms", reached=reached)


class Killer:
    """Kills one actor, again and again."""

    def __init__(self, daemon: Daemon, hub: holdfast.Hub, name: str) -> None:
        self._daemon = daemon
        self._hub = hub
        self._name = name
        self._last = 0  # the pid killed before, which the status may still show

    def round(self) -> Round:
        """Milliseconds of one kill."""
        pid = self._pid()
        self._ask()  # the link is up
        descriptor = os.pidfd_open(pid)
        began = time.perf_counter()
        kill_and_see(descriptor)
        self._ask()
        milliseconds = (time.perf_counter() - began) * 1000
        self._last = pid
        return [milliseconds]

    def _pid(self) -> int:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            pid = self._daemon.pids(self._hub).get(self._name, self._last)
            if pid != self._last:
                return pid
        raise holdfast.DeliveryError(f"{self._name!r} has no new process after {DEADLINE} s")

    def _ask(self) -> None:
        self._hub.ask(self._name, QUESTIONS[self._name], timeout=DEADLINE)


class RingKiller(Killer):
    """Kills the log, and waits until its ring holds as much as before."""

    def _ask(self) -> None:
        deadline = time.monotonic() + DEADLINE
        ring = 0
        while ring < RING:
            assert time.monotonic() < deadline, f"the ring holds {ring} events of {RING}"
            reply = msgspec.convert(
                self._hub.ask("log", log.Stats(), timeout=DEADLINE), log.LogStats
            )
            ring = reply.ring


class Bare:
    """Kills what a zygote forked, and has it fork another."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pid = self._fork()

    def round(self) -> Round:
        """Milliseconds of one kill."""
        descriptor = os.pidfd_open(self._pid)
        began = time.perf_counter()
        kill_and_see(descriptor)
        self._pid = self._fork()
        return [(time.perf_counter() - began) * 1000]

    def _fork(self) -> int:
        self._sock.sendall(b"f")
        pid: int = LENGTH.unpack(self._sock.recv(LENGTH.size, socket.MSG_WAITALL))[0]
        return pid


def kill_and_see(descriptor: int) -> None:
    """SIGKILL; returns when the process is dead: what answers then is the next one."""
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert select.select([descriptor], [], [], DEADLINE)[0], "SIGKILL did not kill"
    finally:
        os.close(descriptor)
