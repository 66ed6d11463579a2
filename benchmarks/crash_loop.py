"""A supervisor asked for its children while one of them dies again and again, without a pause."""

from __future__ import annotations

import time
from typing import Final

import msgspec

import holdfast
from benchmarks.ask import ping
from benchmarks.bare import peer
from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Round, absolute, compare, interleave, timed

__all__ = ["run"]

SIBLINGS: Final = 7
ASKS: Final = 50  # a round, of either side
BOUND_P99_US: Final = 5_000.0


def run(budget: Budget) -> list[Figure]:
    """Its answers, and how many restarts it had to do meanwhile."""
    agents = {f"echo{number}": "agents:Echo" for number in range(SIBLINGS)} | {
        "crasher": "agents:Crasher"
    }
    with running_daemon(agents) as daemon, daemon.connect() as hub, peer("echo") as sock:
        before, began = _restarts(hub), time.perf_counter()

        def asked() -> Round:
            return timed(ASKS, lambda: hub.supervision.which_children("agents"))

        floor, answers = interleave(
            budget.seconds / 2, lambda: timed(ASKS, lambda: ping(sock)), asked
        )
        rate = (_restarts(hub) - before) / (time.perf_counter() - began)
    figure = compare("which_children in a crash loop", "us", answers, floor)
    return [
        msgspec.structs.replace(
            figure,
            target=f"p99 <= {BOUND_P99_US:,g} us",
            reached=figure.ours.p99 <= BOUND_P99_US,
        ),
        absolute("which_children: restarts meanwhile", "1/s", [[rate]], better="higher"),
    ]


def _restarts(hub: holdfast.Hub) -> int:
    children = hub.supervision.which_children("agents")
    return next(child.restarts for child in children if child.id == "crasher")
