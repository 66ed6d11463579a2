"""Lists, single flight, the cache and daemon checkpoints, in the rig of the sessions actor."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.actors.messages import barrier, cache, sessions
from tests.actors.session_rig import Connection, Rig
from tests.clock import ManualClock

Start = Callable[..., Rig]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Rig] = []

    def starter(**limits: Any) -> Rig:
        rig = Rig(tmp_path / "holdfast.db", ManualClock(), **limits)
        rig.work()
        started.append(rig)
        return rig

    yield starter
    for rig in started:
        rig.close()


def ends(rig: Rig) -> list[tuple[str, str]]:
    told = [json.loads(event.data) for event in rig.told()]
    return [(data["id"], data["reason"]) for data in told]


# -- lists -------------------------------------------------------------------------------------


def test_a_list_has_what_was_put_before_it(start: Start) -> None:
    rig = start()
    for name in ("b1", "a", "b\U0010ffff", "b2", "c"):
        rig.send(sessions.Put(name, "1"))
    rig.send(sessions.Claim("b2", "ana"))
    listed = rig.call(sessions.List(limit=2))
    assert ([s.id for s in listed.sessions], listed.more) == (["a", "b1"], True)
    listed = rig.call(sessions.List(after="b1"))
    assert [s.id for s in listed.sessions] == ["b2", "b\U0010ffff", "c"]
    found = rig.call(sessions.List(prefix="b"))
    assert [s.id for s in found.sessions] == ["b1", "b2", "b\U0010ffff"]
    assert [s.id for s in rig.call(sessions.List(owner="ana")).sessions] == ["b2"]


# -- loads and the cache -----------------------------------------------------------------------


def test_all_who_wait_get_the_session_when_it_is_put(start: Start) -> None:
    rig = start()
    task = rig.call(sessions.Load("a", 30.0))
    waiting = [rig.send(sessions.Load("a", 30.0)) for _ in range(3)]
    rig.call(sessions.Put("a", "7", durability="committed", ticket=task.ticket))
    assert [asked.answers[0].session.data for asked in waiting] == ["7"] * 3
    # Who was slower than another put keeps that one.
    answer = rig.call(sessions.Put("a", "8", ticket=task.ticket))
    assert rig.call(sessions.Get("a")).session.data == "7"
    assert rig.call(sessions.Get("a")).session.version == answer.version


def test_a_loader_that_is_gone_is_succeeded_within_a_second(start: Start) -> None:
    rig = start()
    connection = Connection()
    rig.send(sessions.Load("a", 30.0), intake=connection)
    waiting = rig.send(sessions.Load("a", 30.0))
    connection.closed = True
    rig.advance(1.0)
    assert isinstance(waiting.answers[0], sessions.LoadIsYours)


def test_a_cached_value_is_made_anew_ahead_of_its_end_by_one(start: Start) -> None:
    rig = start(cache_refresh_ahead=0.2)
    rig.call(cache.CachePut("k", "1", ttl=10.0))
    assert rig.call(cache.CacheLoad("k", 5.0)).data == "1"
    rig.advance(8.5)
    task = rig.call(cache.CacheLoad("k", 5.0))
    assert isinstance(task, sessions.LoadIsYours)
    assert rig.call(cache.CacheLoad("k", 5.0)).data == "1"
    rig.call(cache.CachePut("k", "2", ttl=10.0, ticket=task.ticket))
    rig.advance(5.0)
    assert rig.call(cache.CacheGet("k")).data == "2"
    rig.advance(5.1)
    assert rig.call(cache.CacheGet("k")).data is None


def test_the_cache_is_bounded_and_ends_with_the_actor(start: Start) -> None:
    rig = start(cache_maxsize=3)
    for n in range(5):
        rig.call(cache.CachePut(str(n), "1"))
    assert [rig.call(cache.CacheGet(str(n))).data for n in range(5)] == [None, None, "1", "1", "1"]
    rig.kill()
    assert rig.call(cache.CacheGet("4")).data is None


# -- daemon checkpoints ------------------------------------------------------------------------


def test_what_a_daemon_checkpoint_holds_is_put_back_unless_it_lives_or_is_over(
    start: Start,
) -> None:
    rig = start()
    for id, ttl in (("ended", 100.0), ("over", 5.0), ("lives", 100.0)):
        rig.send(sessions.Put(id, f'"{id}"', ttl))
    collected = rig.call(barrier.Collect("c1"))
    assert collected.count == 3
    rig.call(sessions.Delete("ended"))
    rig.call(sessions.Put("lives", '"newer"'))
    rig.advance(10.0)
    assert rig.call(barrier.Restore("c1", collected.state)) == barrier.Restored(1, 2)
    assert rig.call(sessions.Get("ended")).session.data == '"ended"'
    assert rig.call(sessions.Get("over")).session is None
    assert rig.call(sessions.Get("lives")).session.data == '"newer"'
    rig.advance(100.0)
    assert ends(rig).count(("ended", "idle")) == 1  # of its second life
