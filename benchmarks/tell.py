"""Tells of 1 KB to an actor, acknowledged, beside a bare socket with 64 messages in a frame."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

import msgspec

from benchmarks.daemon import running_daemon
from benchmarks.material import KILOBYTE
from benchmarks.measure import Budget, CpuMeter, Figure, Round, compare, interleave
from benchmarks.peers import LENGTH, peer

__all__ = ["run"]

MESSAGE: Final = "x" * KILOBYTE
TELLS: Final = 4_096  # a round
PER_FRAME: Final = 64


def run(budget: Budget) -> list[Figure]:
    """The rate until the last acknowledgement is there."""
    with (
        running_daemon(echo="Echo") as daemon,
        peer("sink") as sock,
        daemon.connect() as hub,
    ):
        echo = hub.ref("echo")
        meter = CpuMeter({"receiver": daemon.pids(hub)["echo"]})

        def ours() -> None:
            with meter.running():
                for _ in range(TELLS):
                    echo.tell(MESSAGE)
                hub.flush()

        told, floor = interleave(
            budget.seconds, lambda: rate(ours), lambda: rate(lambda: send_raw(sock))
        )
    cpu = meter.per(TELLS * (len(told) + 1))
    return [compare("tell 1 KB", "1/s", told, floor, better="higher", cpu_us=cpu)]


def rate(work: Callable[[], None]) -> Round:
    """Messages a second."""
    began = time.perf_counter()
    work()
    return [TELLS / (time.perf_counter() - began)]


def send_raw(sock: socket.socket) -> None:
    """The same messages; every one of them is encoded, received and decoded."""
    encode = msgspec.msgpack.Encoder().encode
    for _ in range(TELLS // PER_FRAME):
        bodies = [msgspec.Raw(encode(MESSAGE)) for _ in range(PER_FRAME)]
        frame = encode(bodies)
        sock.sendall(LENGTH.pack(len(frame)) + frame)
    empty = encode([])
    sock.sendall(LENGTH.pack(len(empty)) + empty)
    assert len(sock.recv(LENGTH.size, socket.MSG_WAITALL)) == LENGTH.size, "the sink is gone"
