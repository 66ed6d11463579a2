"""Other bounds for what runs: each data structure goes on with what it holds."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import msgpack

from holdfast.actors.blocks import Block
from holdfast.actors.in_flight import InFlight
from holdfast.actors.messages.tracker import RateLimit, TokenBucket, Tracked
from holdfast.actors.metadata_cache import MetadataCache
from holdfast.actors.overload import Overload, Thresholds
from holdfast.actors.rate_limits import RateLimits
from holdfast.actors.ring import Ring
from holdfast.actors.session_cache import SessionCache, SteadyClock
from holdfast.errors import CapacityError
from holdfast.storage.records import Event
from holdfast.storage.session_records import Session
from tests.clock import ManualClock

SECOND = 1_000_000_000


def events(*numbers: int) -> Block:
    return Block(msgpack.encode([Event(time_us=n, type=f"t{n}", source="s") for n in numbers]))


def test_a_smaller_ring_drops_the_oldest_and_a_larger_one_has_room() -> None:
    ring = Ring(capacity=4, daemon="d")
    for n in range(1, 5):
        ring.append(n, events(n))
    ring.resize(2)
    assert [event.seq for event in ring.newest(9)] == [3, 4]
    assert (ring.first_seq, ring.room) == (3, 0)
    ring.resize(5)
    assert ring.room == 3  # for older ones, which the database has
    for n in range(5, 8):
        ring.append(n, events(n))
    assert [event.seq for event in ring.newest(9)] == [3, 4, 5, 6, 7]


def test_a_ring_without_events_takes_any_capacity() -> None:
    ring = Ring(capacity=4, daemon="d")
    ring.resize(1)
    ring.resize(9)
    ring.append(1, events(1))
    assert [event.seq for event in ring.newest(9)] == [1]


def session(id: str, at: int) -> Session:
    return Session(id, "{}", "v", at, at, 10**17, 60.0)


def test_a_smaller_session_cache_lets_go_of_the_least_recently_used() -> None:
    cache = SessionCache(maxsize=10, max_bytes=10**6, now_us=SteadyClock(ManualClock()))
    for n in range(6):
        cache.keep(session(str(n), n))
    cache.get("0")
    cache.resize(3, 10**6)
    assert sorted(cache) == ["0", "4", "5"]
    cache.resize(3, round(cache.currsize / 3 * 2))
    assert sorted(cache) == ["0", "5"]
    assert cache.maxsize >= cache.currsize
    cache.resize(10, 10**6)
    for n in range(6):
        cache.keep(session(str(n), n))
    assert len(cache) == 6


def test_a_smaller_metadata_cache_lets_go_too() -> None:
    cache = MetadataCache(
        ttl=60.0, maxsize=9, max_bytes=10**6, refresh_ahead=0.1, now_us=SteadyClock(ManualClock())
    )
    for key in "abc":
        cache.put(key, "1", None)
    cache.reconfigure(ttl=30.0, maxsize=2, max_bytes=10**6, refresh_ahead=0.0)
    assert [cache.get(key) is not None for key in "abc"] == [False, True, True]
    assert not cache.is_due(cache.put("d", "1", None))


def test_the_modes_of_the_log_follow_other_thresholds() -> None:
    overload = Overload(Thresholds(100, 0, 0))
    assert overload.look(50) is None
    overload.thresholds = Thresholds(10, 40, 0)
    switch = overload.look(50)
    assert switch is not None
    assert switch.now == "drop"
    assert Thresholds(10, 40, 90).hand_limit == 10
    assert Thresholds(0, 40, 90).hand_limit == 20
    assert Thresholds(10, 40, 0).hand_limit == 0


def bucket(rate: float, burst: int) -> RateLimit:
    return TokenBucket(rate, burst)


def limits(**configured: RateLimit) -> RateLimits[str]:
    return RateLimits(configured, max_limiters=9, max_waiting=9, is_there=lambda _: True)


def test_who_waits_at_a_rate_limit_is_served_by_the_changed_one() -> None:
    rates = limits(a=bucket(0.001, 3), b=bucket(1.0, 1))
    rates.acquire("a", 3, None, 0, "now", 0)
    assert rates.acquire("a", 1, None, 10**15, "small", 0) is None
    assert rates.acquire("a", 3, None, 10**15, "large", 0) is None
    rates.reconfigure({"a": bucket(0.001, 2)}, max_limiters=9, max_waiting=9)
    answers = dict(rates.advance(SECOND))
    assert answers["small"].granted
    assert not answers["large"].granted  # it is over all that is ever allowed now
    assert rates.waiting == 0


def test_a_rate_limit_that_has_not_changed_keeps_what_was_taken() -> None:
    rates = limits(a=bucket(0.001, 3), b=bucket(0.001, 3))
    for key in "ab":
        rates.acquire(key, 3, None, 0, "now", 0)
    rates.reconfigure({"a": bucket(0.001, 3)}, max_limiters=9, max_waiting=9)
    for key in "ab":  # also one that nobody names any more, as long as it is in use
        permit = rates.acquire(key, 1, None, 0, "again", 1)
        assert permit is not None
        assert not permit.granted
    assert {each.key: each.configured for each in rates.describe(1)} == {"a": True, "b": False}


def tracked(id: str) -> Tracked:
    texts = ("kind", "owner", "payload", "progress", "result", "reason", "life", "token")
    numbers = ("number", "began_us", "changed_us", "deadline_us", "next_at_us")
    values: dict[str, Any] = {"id": id, "status": "running", "attempt": 1, "retry": None}
    values |= dict.fromkeys(texts, "") | dict.fromkeys(numbers, 0)
    return Tracked(**values)


def test_requests_in_flight_stay_when_their_bound_is_lowered() -> None:
    flight = InFlight(max_requests=9, max_bytes=10**6, keep=60.0, max_kept=9)
    for id in ("a", "b"):
        flight.begin(tracked(id), 0)
    flight.reconfigure(1, 10**6, 60.0, 9)
    assert len(flight) == 2
    with pytest.raises(CapacityError):
        flight.begin(tracked("c"), 0)
