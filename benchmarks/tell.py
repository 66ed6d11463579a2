"""Tells of 1 KB to an actor, acknowledged, beside a bare socket with 64 messages in a frame."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Final

import holdfast
from benchmarks.bare import LENGTH, frames_of, peer
from benchmarks.daemon import running_daemon
from benchmarks.material import MESSAGE, TEXT
from benchmarks.measure import Budget, CpuMeter, Figure, Round, compare, interleave, rate

__all__ = ["run"]

TELLS: Final = 4_096  # a round
BOUND: Final = 0.5


def run(budget: Budget) -> list[Figure]:
    """The rate until the last acknowledgement: a text, a dict, and the dict from an agent."""
    with (
        running_daemon({"echo": "agents:Echo", "teller": "sending:Teller"}) as daemon,
        peer("sink") as sock,
        daemon.connect() as hub,
    ):
        pids = daemon.pids(hub)
        figures = []
        for name, message in (("text", TEXT), ("dict", MESSAGE)):
            meter = CpuMeter({"receiver": pids["echo"]})
            agent_meter = CpuMeter({"sender": pids["teller"], "receiver": pids["echo"]}, here=False)
            sides: list[Callable[[], Round]] = [
                partial(from_program, hub, message, meter),
                partial(rate, TELLS, partial(send_raw, sock, message)),
            ]
            if message is MESSAGE:
                sides.append(partial(from_agent, hub, agent_meter))
            told, floor, *asked = interleave(budget.seconds / 2, *sides)
            cpu = meter.per(TELLS * (len(told) + 1))
            figures.append(_figure(f"tell 1 KB, {name}", told, floor, cpu))
            for rounds in asked:
                cpu = agent_meter.per(TELLS * (len(rounds) + 1))
                figures.append(_figure(f"tell 1 KB, {name}, agent to agent", rounds, floor, cpu))
    return figures


def _figure(name: str, ours: list[Round], floor: list[Round], cpu: dict[str, float]) -> Figure:
    return compare(name, "1/s", ours, floor, better="higher", bound=BOUND, cpu_us=cpu)


def from_program(hub: holdfast.Hub, message: object, meter: CpuMeter) -> Round:
    """Messages a second."""
    echo = hub.ref("echo")

    def work() -> None:
        for _ in range(TELLS):
            echo.tell(message)
        hub.flush()

    with meter.running():
        return rate(TELLS, work)


def from_agent(hub: holdfast.Hub, meter: CpuMeter) -> Round:
    """The same by an agent, which is asked to."""
    with meter.running():
        return rate(TELLS, lambda: hub.ref("teller").ask(TELLS, timeout=60.0))


def send_raw(sock: socket.socket, message: object) -> None:
    """The same messages; every one of them is encoded, received and decoded."""
    for frame in frames_of(message, TELLS):
        sock.sendall(frame)
    assert len(sock.recv(LENGTH.size, socket.MSG_WAITALL)) == LENGTH.size, "the sink is gone"
