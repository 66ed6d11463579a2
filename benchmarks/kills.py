"""SIGKILL and what comes after it: of an actor its successor's answer, of a bare fork another pid.

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
from benchmarks.bare import LENGTH
from benchmarks.daemon import Daemon
from benchmarks.measure import Figure, Round

__all__ = ["DEADLINE", "Bare", "Killer", "fork", "judged", "kill_and_see"]

DEADLINE: Final = 10.0  # seconds
BOUND_P50_MS: Final = 10.0  # until it answers again
BOUND_P99_MS: Final = 50.0


class Killer:
    """Kills one actor, again and again."""

    def __init__(self, daemon: Daemon, hub: holdfast.Hub, name: str, question: object) -> None:
        self._daemon = daemon
        self._hub = hub
        self._name = name
        self._question = question
        self._last = 0  # the pid killed before, which the status may still show

    def round(self) -> Round:
        """Milliseconds of one kill."""
        pid = self._pid()
        self.ask(self._hub)  # the link is up
        descriptor = os.pidfd_open(pid)
        began = time.perf_counter()
        kill_and_see(descriptor)
        self.ask(self._hub)
        milliseconds = (time.perf_counter() - began) * 1000
        self._last = pid
        return [milliseconds]

    def ask(self, hub: holdfast.Hub) -> object:
        """What the actor answers."""
        return hub.ask(self._name, self._question, timeout=DEADLINE)

    def _pid(self) -> int:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            pid = self._daemon.pids(self._hub).get(self._name, self._last)
            if pid != self._last:
                return pid
        raise holdfast.DeliveryError(f"{self._name!r} has no new process after {DEADLINE} s")


class Bare:
    """Kills what a zygote forked, and has it fork another."""

    def __init__(self, sock: socket.socket) -> None:
        """``sock`` is that of a ``peer("zygote")``."""
        self._sock = sock
        self._pid = fork(sock)

    def round(self) -> Round:
        """Milliseconds of one kill."""
        descriptor = os.pidfd_open(self._pid)
        began = time.perf_counter()
        kill_and_see(descriptor)
        self._pid = fork(self._sock)
        return [(time.perf_counter() - began) * 1000]


def fork(sock: socket.socket) -> int:
    """The pid that a new child of the bare zygote sends."""
    sock.sendall(b"f")
    pid: int = LENGTH.unpack(sock.recv(LENGTH.size, socket.MSG_WAITALL))[0]
    return pid


def kill_and_see(descriptor: int) -> None:
    """SIGKILL; returns when the process is dead: what answers then is the next one."""
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert select.select([descriptor], [], [], DEADLINE)[0], "SIGKILL did not kill"
    finally:
        os.close(descriptor)


def judged(figure: Figure) -> Figure:
    """By its own percentiles in milliseconds, whatever stands beside it."""
    reached = figure.ours.p50 <= BOUND_P50_MS and figure.ours.p99 <= BOUND_P99_MS
    target = f"<= {BOUND_P50_MS:g}, p99 <= {BOUND_P99_MS:g} ms"
    return msgspec.structs.replace(figure, target=target, reached=reached)
