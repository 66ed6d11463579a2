"""Sessions in memory, and changes on their way to the database."""

from __future__ import annotations

import pytest

from holdfast.actors.session_cache import SessionCache, SteadyClock
from holdfast.actors.unwritten import BATCH, Pending, Unwritten
from holdfast.storage.session_records import Session
from tests.clock import ManualClock

SECOND = 1_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> SessionCache:
    return SessionCache(maxsize=3, max_bytes=10**6, now_us=SteadyClock(clock))


def session(id: str, clock: ManualClock, ttl: float = 10.0, version: str = "1") -> Session:
    now = clock.time_us()
    end = now + round(ttl * SECOND)
    return Session(id, "null", version, now, now, end, ttl)


def test_an_expired_session_is_never_returned(cache: SessionCache, clock: ManualClock) -> None:
    """Scenario D10."""
    cache.keep(session("a", clock, ttl=10))
    clock.advance(9.999)
    assert cache.get("a") is not None
    clock.advance(0.001)
    assert cache.get("a") is None
    assert "a" not in cache


def test_each_session_has_its_own_end(cache: SessionCache, clock: ManualClock) -> None:
    cache.keep(session("short", clock, ttl=1))
    cache.keep(session("long", clock, ttl=100))
    clock.advance(50)
    assert list(cache) == ["long"]


def test_an_end_is_told_once_however_it_was_noticed(
    cache: SessionCache, clock: ManualClock
) -> None:
    for name in "abc":
        cache.keep(session(name, clock, ttl=1))
    clock.advance(2)
    cache.keep(session("d", clock))  # cachetools sweeps at any change
    assert len(cache) == 1
    assert sorted(ended.id for ended in cache.take_expired(100)) == ["a", "b", "c"]
    assert cache.take_expired(100) == []


def test_leaving_memory_for_want_of_room_is_no_end(cache: SessionCache, clock: ManualClock) -> None:
    for name in "abcd":
        cache.keep(session(name, clock))
    assert len(cache) == 3
    assert cache.take_expired(100) == []


def test_the_least_recently_used_session_leaves_first(
    cache: SessionCache, clock: ManualClock
) -> None:
    for name in "abc":
        cache.keep(session(name, clock))
    assert cache.get("a") is not None
    cache.keep(session("d", clock))
    assert sorted(cache) == ["a", "c", "d"]


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_stepped_wall_clock_ends_no_session_and_revives_none(
    cache: SessionCache, clock: ManualClock, step: float
) -> None:
    """Scenario D10."""
    cache.keep(session("a", clock, ttl=10))
    clock.step_wall_clock(step)
    clock.advance(9)
    assert cache.get("a") is not None
    clock.advance(1)
    assert cache.get("a") is None


def test_the_newest_change_of_a_session_is_what_is_written(clock: ManualClock) -> None:
    unwritten = Unwritten()
    unwritten.add("a", Pending(session("a", clock, version="1")))
    unwritten.add("a", Pending(session("a", clock, version="2")))
    batch = unwritten.take()
    assert [change.session.version for change in batch.values() if change.session] == ["2"]
    assert "a" in unwritten
    unwritten.written(batch)
    assert "a" not in unwritten


def test_a_change_while_its_predecessor_is_on_its_way_is_written_too(clock: ManualClock) -> None:
    unwritten = Unwritten()
    unwritten.add("a", Pending(session("a", clock, version="1")))
    first = unwritten.take()
    unwritten.add("a", Pending(None))
    unwritten.written(first)
    assert unwritten.is_due
    assert unwritten.get("a") is None
    assert [change.session for change in unwritten.take().values()] == [None]


def test_a_write_that_failed_waits_again_unless_it_is_outdated(clock: ManualClock) -> None:
    unwritten = Unwritten()
    unwritten.add("a", Pending(session("a", clock, version="1")))
    unwritten.add("b", Pending(session("b", clock, version="1")))
    batch = unwritten.take()
    unwritten.add("a", Pending(session("a", clock, version="2")))
    unwritten.failed(batch)
    again = unwritten.take()
    assert {id: change.session.version for id, change in again.items() if change.session} == {
        "a": "2",
        "b": "1",
    }


def test_one_transaction_has_a_bound(clock: ManualClock) -> None:
    unwritten = Unwritten()
    for n in range(BATCH + 5):
        unwritten.add(str(n), Pending(None))
    assert len(unwritten.take()) == BATCH
    assert len(unwritten.take()) == 5
