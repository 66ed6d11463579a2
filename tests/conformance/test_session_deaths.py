"""The actor dies between the database, the server in front and its caller: one case each.

The actor's logic, the database and the server are the real ones; time is the test's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from holdfast.actors.messages import sessions
from holdfast.errors import Conflict
from holdfast.storage.redis_sessions import RedisSessions
from tests.actors.session_rig import Rig
from tests.clock import ManualClock
from tests.conformance.redis_server import RedisServer


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def rig(tmp_path: Path, server: RedisServer) -> Iterator[Rig]:
    """Four sessions in memory; everything is ready."""
    server.client.flushall()
    clock = ManualClock()
    rig = Rig(tmp_path / "holdfast.db", clock, partial(_front, server.url, clock))
    rig.advance(0.3)
    assert rig.front.is_open
    yield rig
    rig.close()


def _front(url: str, clock: ManualClock, incarnation: str) -> RedisSessions:
    return RedisSessions(url, daemon="d", incarnation=incarnation, timeout=5.0, clock=clock)


def die(rig: Rig, *, arrived: int = 0) -> None:
    rig.kill(arrived=arrived)
    rig.work()
    rig.advance(1.5)


def data_of(rig: Rig, id: str) -> str | None:
    session = rig.call(sessions.Get(id)).session
    return None if session is None else session.data


def later(rig: Rig, message: object) -> object:
    """At another microsecond."""
    rig.clock.advance(0.001)
    return rig.call(message)


def test_what_was_acknowledged_is_there_when_nothing_was_written(rig: Rig) -> None:
    version = rig.call(sessions.Put("a", "1", ttl=50.0)).version
    later(rig, sessions.Append("a", '"x"', "k", durability="memory"))
    later(rig, sessions.Append("a", '"y"', durability="memory"))
    later(rig, sessions.Hold("b", "me", 5.0))  # there is none: refused, and changes nothing
    rig.kill()
    session = rig.call(sessions.Get("a")).session  # before the writer is heard
    assert (session.data, session.version, session.items) == ("1", version, 2)
    rig.work()
    assert later(rig, sessions.Append("a", '"again"', "k")) == sessions.Appended(1, repeated=True)
    rig.advance(1.5)
    assert [item.data for item in rig.call(sessions.GetItems("a")).items] == ['"x"', '"y"']
    stored = rig.reader.session("a")
    assert stored is not None
    assert (stored.version, stored.items) == (version, 2)
    assert rig.call(sessions.Stats()).recovered == 1


def test_what_has_ended_does_not_come_back_though_its_end_was_not_heard(rig: Rig) -> None:
    rig.call(sessions.Put("a", "1"))
    rig.clock.advance(0.001)
    assert not rig.send(sessions.Delete("a")).answers
    die(rig, arrived=1)
    assert data_of(rig, "a") is None
    assert rig.reader.session("a") is None
    assert [json.loads(event.data)["reason"] for event in rig.told()] == ["closed"]


def test_what_expired_is_ended_once_though_it_was_never_written(rig: Rig) -> None:
    rig.call(sessions.Put("a", "1", ttl=0.2))
    rig.clock.advance(5.0)  # nobody was there
    die(rig)
    assert data_of(rig, "a") is None
    die(rig)
    assert [json.loads(event.data)["reason"] for event in rig.told()] == ["idle"]


def test_what_is_newer_in_the_database_stays(rig: Rig) -> None:
    for id, change in (
        ("a", sessions.Put("a", "2", durability="committed")),
        ("b", sessions.Claim("b", "ana")),
    ):
        rig.call(sessions.Put(id, "1"))
        rig.clock.advance(0.001)
        rig.send(change)
        die(rig, arrived=1)
    assert data_of(rig, "a") == "2"
    assert rig.call(sessions.Get("b")).session.owner == "ana"


def test_no_number_of_an_item_is_given_twice_when_the_wall_clock_was_set_back(rig: Rig) -> None:
    rig.call(sessions.Put("a", "1", durability="committed"))
    rig.clock.step_wall_clock(-3600.0)
    die(rig)
    assert rig.call(sessions.Append("a", "1", durability="memory")).number == 1
    die(rig)
    assert later(rig, sessions.Append("a", "2")) == sessions.Appended(2)
    assert [item.data for item in rig.call(sessions.GetItems("a")).items] == ["1", "2"]


def test_nothing_stands_in_front_on_top_of_what_may_be_refused(rig: Rig) -> None:
    """Or a repeat of the put would find its own first attempt, and call it a conflict."""
    first = rig.call(sessions.Put("a", "1")).version
    put = sessions.Put("a", "2", None, None, first, "committed")
    rig.clock.advance(0.001)
    rig.send(put, number=1)
    rig.clock.advance(0.001)
    touched = rig.send(sessions.Touch("a"))
    assert not touched.answers  # it is acknowledged when the put is
    rig.kill()
    rig.work()
    assert data_of(rig, "a") == "1"
    answer = rig.call(put, number=1)
    assert not isinstance(answer, Conflict)
    rig.work()
    assert data_of(rig, "a") == "2"


def test_the_end_of_an_earlier_session_of_the_id_is_told_as_well(rig: Rig) -> None:
    rig.call(sessions.Put("a", "1", ttl=0.2))
    rig.advance(0.1)
    rig.call(sessions.Put("z", "1", durability="committed"))
    rig.advance(1.1)  # it is written, and over, but for the sweep
    rig.call(sessions.Put("b", "1", ttl=1.0, durability="committed"))
    rig.clock.advance(1.1)
    rig.send(sessions.Put("b", "2"))  # ends the one before, on the way
    die(rig)
    assert data_of(rig, "b") == "2"
    told = [json.loads(event.data) for event in rig.told()]
    assert sorted((end["id"], end["reason"]) for end in told) == [("a", "idle"), ("b", "idle")]


def test_what_was_left_is_taken_when_it_can_be_reached_later(rig: Rig, server: RedisServer) -> None:
    """What has changed since is newer, and stands on what was known."""
    for id in "bc":
        rig.call(sessions.Put(id, "1", durability="committed"))
    later(rig, sessions.Put("a", "2"))
    later(rig, sessions.Append("b", '"x"', durability="memory"))
    later(rig, sessions.Put("c", "2"))
    server.client.config_set("requirepass", "closed")  # to whoever connects from now on
    try:
        die(rig)
        assert [data_of(rig, id) for id in "abc"] == [None, "1", "1"]
        assert "password" in rig.call(sessions.Stats()).front_problem
        rig.call(sessions.Touch("b"))
        rig.call(sessions.Put("c", "3"))
    finally:
        server.client.config_set("requirepass", "")
    rig.advance(7.0)
    assert [data_of(rig, id) for id in "abc"] == ["2", "1", "3"]
    assert [item.data for item in rig.call(sessions.GetItems("b")).items] == ['"x"']
    assert rig.call(sessions.Get("b")).session.items == 1
    assert not server.client.exists("holdfast:d:owed")


def test_what_changed_while_it_was_away_is_not_read_from_it(rig: Rig, server: RedisServer) -> None:
    for n in range(6):  # two of them are not in memory
        rig.call(sessions.Put(f"{n}", "1", durability="committed"))
    server.client.execute_command("CLIENT", "KILL", "SKIPME", "yes")
    rig.front.look()
    assert not rig.front.is_open
    for n in range(6):
        rig.call(sessions.Put(f"{n}", "2", durability="committed"))
    rig.clock.advance(60.0)
    rig.actor._fronting.tick()  # it is there again; nothing is filled yet
    assert rig.front.is_open
    assert server.client.hget("holdfast:d:session:0", "data") == b"1"
    assert [data_of(rig, f"{n}") for n in range(6)] == ["2"] * 6
    rig.advance(1.0)
    assert server.client.hget("holdfast:d:session:0", "data") == b"2"


def test_it_is_in_front_until_its_end_and_no_longer(rig: Rig, server: RedisServer) -> None:
    rig.call(sessions.Put("a", "1", ttl=2.0))
    assert server.client.hget("holdfast:d:session:a", "data") == b"1"
    assert server.client.hexists("holdfast:d:owed", "a")
    rig.advance(1.5)
    assert not server.client.exists("holdfast:d:owed")
    rig.advance(1.5)
    assert not server.client.exists("holdfast:d:session:a")
    rig.call(sessions.Put("b", "1", durability="committed"))
    assert server.client.hget("holdfast:d:session:b", "data") == b"1"
    rig.call(sessions.Delete("b"))
    assert not server.client.exists("holdfast:d:session:b")


def test_a_change_that_is_refused_is_not_in_front(rig: Rig, server: RedisServer) -> None:
    """The writer's disk is full, say; what had waited before it still does."""
    rig.call(sessions.Put("a", "1"))
    rig.clock.advance(0.001)
    asked = rig.send(sessions.Put("a", "2", durability="committed"))
    rig.refuse()
    assert isinstance(asked.answers[0], Exception)
    assert server.client.hget("holdfast:d:session:a", "data") == b"1"
    assert server.client.hexists("holdfast:d:owed", "a")
    die(rig)
    assert data_of(rig, "a") == "1"
    rig.send(sessions.Put("a", "3", durability="committed"))
    rig.refuse()
    rig.clock.advance(0.001)
    assert rig.send(sessions.Touch("a")).answers  # it stands on nothing that may be refused
    rig.advance(1.5)
    assert not server.client.exists("holdfast:d:owed")


def test_many_that_the_server_does_not_have_cost_one_exchange(
    rig: Rig, server: RedisServer
) -> None:
    """As after a swap, until all is in front: the actor answers nobody else meanwhile."""
    ids = [f"m{number}" for number in range(8)]  # four of them are in memory
    for id in ids:
        rig.call(sessions.Put(id, "1", durability="committed"))
    server.client.delete(*(f"holdfast:d:session:{id}" for id in ids))

    def scripts() -> int:
        stats = server.client.info("commandstats")
        return sum(each["calls"] for name, each in stats.items() if "eval" in name)

    before = scripts()
    found = rig.call(sessions.GetMany(ids[:4])).sessions
    assert sorted(session.id for session in found) == ids[:4]
    assert scripts() - before <= 1
