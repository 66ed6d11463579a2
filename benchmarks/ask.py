"""The round trip of an ask, beside a bare blocking ping-pong of as many bytes."""

from __future__ import annotations

import socket
from typing import Final

import msgspec

from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Round, compare, interleave, timed
from benchmarks.peers import peer

__all__ = ["run"]

PAYLOAD: Final = "x" * 64
FRAME: Final = b"x" * (4 + 4 + 2 + 64)  # length, head of an ask, head of a text, text
ASKS: Final = 200  # a round: some 10 ms
BOUND: Final = 2.0


def run(budget: Budget) -> list[Figure]:
    """From a program to an agent, to a state actor, and from an agent to an agent."""
    with (
        running_daemon(echo="Echo", asker="Asker") as daemon,
        peer("echo") as sock,
        daemon.connect() as hub,
    ):
        echo, asker = hub.ref("echo"), hub.ref("asker")

        def agent_to_agent() -> Round:
            question = {"count": ASKS, "payload": PAYLOAD}
            return msgspec.convert(asker.ask(question, timeout=30.0), list[float])

        floor, program, session, agent = interleave(
            budget.seconds,
            lambda: timed(ASKS, lambda: ping(sock)),
            lambda: timed(ASKS, lambda: echo.ask(PAYLOAD, timeout=10.0)),
            lambda: timed(ASKS, lambda: hub.sessions.get("absent")),
            agent_to_agent,
        )
    return [
        compare("ask: program to agent", "us", program, floor, bound=BOUND),
        compare("ask: agent to agent", "us", agent, floor, bound=BOUND),
        compare("ask: session get", "us", session, floor, bound=BOUND),
    ]


def ping(sock: socket.socket) -> None:
    """There and back."""
    sock.sendall(FRAME)
    missing = len(FRAME)
    while missing:
        missing -= len(sock.recv(missing))
