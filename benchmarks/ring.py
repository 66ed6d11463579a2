"""Queries that the ring answers, from another process, a full ring of 10,000 events of 1 KB."""

from __future__ import annotations

from typing import Final

import holdfast
from benchmarks.daemon import running_daemon
from benchmarks.material import DATA, SESSION, TYPE
from benchmarks.measure import Budget, Figure, Round, absolute, interleave, timed

__all__ = ["run"]

RING: Final = 10_000
RARE: Final = 100  # one event in so many is of the type looked for
LIMIT: Final = 100
CALLS: Final = 20  # a round
BOUND_NEWEST: Final = 0.5  # milliseconds
BOUND_PATTERN: Final = 2.0


def run(budget: Budget) -> list[Figure]:
    """The newest, and by a pattern: those that match at once, and those that need all of it."""
    with running_daemon() as daemon, daemon.connect() as hub:
        for number in range(RING):
            hub.events.emit("task:done" if number % RARE == 0 else TYPE, DATA, session=SESSION)
        hub.flush()
        newest, pattern, rare = interleave(
            budget.seconds / 2,
            lambda: _milliseconds(hub, None),
            lambda: _milliseconds(hub, "tool:*"),
            lambda: _milliseconds(hub, "task:*"),
        )
    return [
        absolute("ring: newest 100", "ms", newest, bound=BOUND_NEWEST),
        absolute("ring: 100 by pattern", "ms", pattern, bound=BOUND_PATTERN),
        absolute("ring: 100 of 10,000 by pattern", "ms", rare, bound=BOUND_PATTERN),
    ]


def _milliseconds(hub: holdfast.Hub, pattern: str | None) -> Round:
    def ask() -> None:
        if pattern is None:
            found = hub.events.tail(LIMIT)
        else:
            found = hub.events.query(types=pattern, limit=LIMIT, reverse=True)
        assert len(found) == LIMIT

    return [microseconds / 1000 for microseconds in timed(CALLS, ask)]
