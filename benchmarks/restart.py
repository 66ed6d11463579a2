"""SIGKILL of an actor to its successor's answer, beside a fork from a bare zygote.

Each actor alone, then an agent in the middle of traffic.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec

import holdfast
from benchmarks import traffic
from benchmarks.bare import peer
from benchmarks.daemon import running_daemon
from benchmarks.kills import DEADLINE, Bare, Killer, judged
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
BOUND_FULL_MS: Final = 20.0


def run(budget: Budget) -> list[Figure]:
    """Each actor in turn, a floor in between; the agent under traffic last."""
    return [*_alone(budget), *traffic.run(budget)]


def _alone(budget: Budget) -> list[Figure]:
    with (
        running_daemon({"echo": "agents:Echo"}) as daemon,
        peer("zygote") as sock,
        daemon.connect() as hub,
    ):
        for number in range(RING):
            hub.events.emit(TYPE, DATA, session=SESSION, key=f"benchmark.{number}")
        hub.flush()
        bare = Bare(sock)
        figures = []
        killers = {
            name: Killer(daemon, hub, name, question) for name, question in QUESTIONS.items()
        }
        killers[FULL_RING] = RingKiller(daemon, hub, "log", log.Stats())
        for name, killer in killers.items():
            kills, floor = interleave(0.0, killer.round, bare.round, least=budget.kills)
            figures.append(_figure(name, kills, floor))
    return figures


def _figure(name: str, rounds: list[Round], floor: list[Round]) -> Figure:
    figure = compare(f"restart: {name}", "ms", rounds, floor)
    if name != FULL_RING:
        return judged(figure)
    reached = figure.ours.p50 <= BOUND_FULL_MS
    return msgspec.structs.replace(figure, target=f"<= {BOUND_FULL_MS:g} ms", reached=reached)


class RingKiller(Killer):
    """Kills the log, and waits until its ring holds as much as before."""

    def ask(self, hub: holdfast.Hub) -> object:
        """The log's answer, once it has read all again."""
        deadline = time.monotonic() + DEADLINE
        while True:
            reply = super().ask(hub)
            ring = msgspec.convert(reply, log.LogStats).ring
            if ring >= RING:
                return reply
            assert time.monotonic() < deadline, f"the ring holds {ring} events of {RING}"
