"""Sessions with a Redis or Valkey server in front of the database, on a server of the same machine.

Beside redis-py, which asks the same server without anybody between, and beside the backend
``memory``; all in one interleaved run.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from itertools import cycle
from typing import Final

import holdfast
from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Round, Side, compare, interleave, timed
from benchmarks.peer_redis import running_redis
from benchmarks.sessions import ASKS, DATA, MISSING, TTL

__all__ = ["run"]

THROUGH: Final = 1.3  # of redis-py's time, for a get
WARM: Final = 1.1  # of that of the backend memory, where the actor has the session in memory
IDS: Final = ("chat/1", "chat/2")


def run(budget: Budget) -> list[Figure]:
    """Get and put with what is asked for in memory, and a get that has to ask the server."""
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        if redis is None:
            print(MISSING, file=sys.stderr)
            return []

        def started(more: str) -> holdfast.Hub:
            daemon = stack.enter_context(running_daemon(more=f"[actors.sessions]\n{more}"))
            hub = stack.enter_context(daemon.connect())
            hub.sessions.put_many(dict.fromkeys(IDS, DATA), ttl=TTL, durability="committed")
            return hub

        memory = started("")
        warm = started(f'backend = "redis"\nurl = "{redis.url}?db=1"\n')
        cold = started(f'backend = "redis"\nurl = "{redis.url}?db=2"\nmaxsize = 1\n')
        redis.put_many(dict.fromkeys(IDS, DATA), TTL)
        gets = interleave(
            budget.seconds / 2,
            _gets(warm),
            _gets(cold),
            _gets(memory),
            lambda: timed(ASKS, lambda: redis.get("chat/1")),
        )
        puts = interleave(
            budget.seconds / 4,
            lambda: timed(ASKS, lambda: warm.sessions.put("chat/1", DATA, ttl=TTL)),
            lambda: timed(ASKS, lambda: redis.put("chat/1", DATA, TTL)),
        )
    return _figures(gets, puts)


def _gets(hub: holdfast.Hub) -> Side:
    ids = cycle(IDS)  # of which a memory of one never has the next
    return lambda: timed(ASKS, lambda: hub.sessions.get(next(ids)))


def _figures(gets: list[list[Round]], puts: list[list[Round]]) -> list[Figure]:
    warm, cold, memory, bare = gets
    return [
        compare("session get, server in front, warm, to redis-py", "us", warm, bare, bound=THROUGH),
        compare("the same, warm, to backend memory", "us", warm, memory, bound=WARM),
        compare("the same, asked of the server, to redis-py", "us", cold, bare, bound=THROUGH),
        compare("session put, server in front, to redis-py", "us", *puts),
    ]
