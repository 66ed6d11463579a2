"""The round trip of an ask, beside a bare blocking ping-pong of as many bytes."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Final

import msgspec

import holdfast
from benchmarks.bare import peer
from benchmarks.cores import on_core, pin, placements
from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Round, compare, compare_p99, interleave, timed

__all__ = ["run"]

PAYLOAD: Final = "x" * 64
FRAME: Final = b"x" * (4 + 4 + 2 + 64)  # length, head of an ask, head of a text, text
ASKS: Final = 200  # a round: some 10 ms
BOUND: Final = 1.3  # of the medians
BOUND_P99: Final = 3.0
SESSION_BOUND: Final = 2.0  # a lookup and JSON come in addition


def run(budget: Budget) -> list[Figure]:
    """From a program to an agent, to a state actor, and from an agent to an agent."""
    figures = []
    with running_daemon({"echo": "agents:Echo", "asker": "agents:Asker"}) as daemon:
        with daemon.connect() as hub:
            pids = daemon.pids(hub)
            hub.sessions.put("present", {"user": "ana"}, durability="committed")
        for where, here, there in placements():
            pin([pids["echo"], pids["sessions"]], there)
            pin([pids["asker"]], here)
            with ExitStack() as stack:
                with on_core(there):
                    sock = stack.enter_context(peer("echo"))
                stack.enter_context(on_core(here))
                hub = stack.enter_context(daemon.connect())
                figures += _measure(budget.seconds / 2, where, sock, hub)
    return figures


def _measure(seconds: float, where: str, sock: socket.socket, hub: holdfast.Hub) -> list[Figure]:
    echo, asker = hub.ref("echo"), hub.ref("asker")

    def agent_to_agent() -> Round:
        question = {"count": ASKS, "payload": PAYLOAD}
        return msgspec.convert(asker.ask(question, timeout=30.0), list[float])

    floor, program, session, agent = interleave(
        seconds,
        lambda: timed(ASKS, lambda: ping(sock)),
        lambda: timed(ASKS, lambda: echo.ask(PAYLOAD, timeout=10.0)),
        lambda: timed(ASKS, lambda: hub.sessions.get("present")),
        agent_to_agent,
    )
    return [
        compare(f"ask: program to agent, {where}", "us", program, floor, bound=BOUND),
        compare_p99(f"ask p99: program to agent, {where}", "us", program, floor, bound=BOUND_P99),
        compare(f"ask: agent to agent, {where}", "us", agent, floor, bound=BOUND),
        compare_p99(f"ask p99: agent to agent, {where}", "us", agent, floor, bound=BOUND_P99),
        compare(f"ask: session get, {where}", "us", session, floor, bound=SESSION_BOUND),
    ]


def ping(sock: socket.socket) -> None:
    """There and back."""
    sock.sendall(FRAME)
    missing = len(FRAME)
    while missing:
        missing -= len(sock.recv(missing))
