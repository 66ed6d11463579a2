"""The sessions actor with its time and its writer in the test's hands, and the real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import barrier, cache, sessions
from holdfast.errors import Conflict, DiskFullError, InvalidInputError
from tests.actors.session_rig import Rig
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


def put(rig: Rig, id: str, **options: Any) -> str:
    answer = rig.call(sessions.Put(id, "1", **options))
    version: str = answer.version
    return version


# -- ends --------------------------------------------------------------------------------------


def test_a_session_that_is_put_again_before_its_end_was_noticed_still_ended(start: Start) -> None:
    """Scenario D10: exactly once, also when nobody looked in between."""
    rig = start()
    put(rig, "a", ttl=1.0)
    rig.clock.advance(1.1)
    put(rig, "a", ttl=50.0)
    rig.advance(2.0)
    assert ends(rig) == [("a", "idle")]
    assert rig.call(sessions.Get("a")).session is not None


def test_an_end_is_told_within_a_second(start: Start) -> None:
    """Scenario D10: of sessions in memory and of those that only the database holds."""
    rig = start(maxsize=2)
    for n in range(6):
        put(rig, str(n), ttl=10.0)
    rig.advance(9.9)
    assert ends(rig) == []
    rig.advance(1.1)
    assert sorted(ends(rig)) == [(str(n), "idle") for n in range(6)]


def test_five_thousand_ends_at_once_are_each_told_once(start: Start) -> None:
    rig = start()
    for first in range(0, 5000, 1000):
        puts = [sessions.Put(str(first + n), "1", 10.0) for n in range(1000)]
        rig.call(sessions.PutMany(puts))
    rig.advance(12.0)
    told = ends(rig)
    assert len(told) == len(set(told)) == 5000
    assert rig.reader.session_totals().count == 0


def test_a_killed_actors_end_that_had_arrived_is_not_told_again(start: Start) -> None:
    rig = start()
    put(rig, "a", ttl=1.0)
    rig.advance(0.9)
    rig.clock.advance(0.2)
    rig.send(sessions.Get("a"))
    rig.actor._writes.write_behind()
    rig.kill(arrived=1)
    rig.advance(3.0)
    assert ends(rig) == [("a", "idle")]


def test_a_maximum_age_ends_what_is_touched_and_what_is_held(start: Start) -> None:
    rig = start()
    put(rig, "a", ttl=2.0, max_age=5.0)
    rig.call(sessions.Hold("a", "x", 60.0))
    for _ in range(4):
        rig.advance(1.0)
        rig.call(sessions.Touch("a"))
    rig.advance(1.6)
    assert ends(rig) == [("a", "age")]


def test_who_has_a_session_in_use_keeps_it_from_becoming_idle(start: Start) -> None:
    """Scenario D10: each holder for itself, across a death of the actor, no longer than a lease."""
    rig = start()
    put(rig, "a", ttl=2.0)
    rig.call(sessions.Hold("a", "x", 20.0))
    rig.call(sessions.Hold("a", "y", 10.0))
    rig.advance(5.0)
    rig.kill()
    rig.call(sessions.Unhold("a", "x"))
    rig.advance(4.9)
    assert rig.call(sessions.Get("a")).session is not None
    rig.advance(1.1)
    assert ends(rig) == [("a", "idle")]


def test_who_lets_go_of_a_session_starts_its_idle_time_anew(start: Start) -> None:
    rig = start()
    put(rig, "a", ttl=2.0)
    rig.call(sessions.Hold("a", "x", 60.0))
    rig.advance(30.0)
    rig.call(sessions.Unhold("a", "x"))
    rig.advance(1.9)
    assert rig.call(sessions.Get("a")).session is not None
    rig.advance(1.1)
    assert ends(rig) == [("a", "idle")]


def test_jitter_spreads_the_ends_of_what_was_made_at_once(start: Start) -> None:
    rig = start(ttl_jitter=0.5)
    puts = [sessions.Put(str(n), "1", 100.0) for n in range(1000)]
    rig.call(sessions.PutMany(puts))
    now = rig.actor._now_us()
    rig.advance(1.1)
    lives = [(s.expires_us - now) / 1e6 for s in rig.reader.sessions(1000)]
    assert min(lives) >= 50.0
    assert max(lives) <= 100.0
    assert len({round(life) for life in lives}) > 40


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_step_of_an_hour_ends_nothing_and_revives_nothing(
    start: Start, step: float
) -> None:
    """Scenario D10."""
    rig = start()
    put(rig, "a", ttl=100.0)
    rig.clock.step_wall_clock(step)
    rig.advance(99.0)
    assert rig.call(sessions.Get("a")).session is not None
    rig.advance(1.6)
    assert ends(rig) == [("a", "idle")]


def test_the_remaining_time_survives_a_restart(start: Start) -> None:
    """Scenario D10."""
    rig = start()
    put(rig, "a", ttl=100.0, durability="committed")
    rig.advance(60.0)
    rig.kill()
    rig.advance(39.0)
    assert rig.call(sessions.Get("a")).session is not None
    rig.advance(1.6)
    assert ends(rig) == [("a", "idle")]


# -- bounds ------------------------------------------------------------------------------------


def test_memory_is_bounded_in_bytes_and_nothing_is_lost_by_that(start: Start) -> None:
    rig = start(maxsize=1000, max_bytes=50_000)
    for n in range(20):
        rig.call(sessions.Put(str(n), json.dumps("x" * 9_000)))
    rig.call(sessions.Put("larger than memory", json.dumps("x" * 60_000)))
    assert rig.call(sessions.Stats()).bytes <= 50_000
    found = [rig.call(sessions.Get(str(n))).session for n in range(20)]
    assert all(found)
    assert rig.call(sessions.Get("larger than memory")).session is not None
    assert ends(rig) == []


def test_beyond_the_limit_of_the_store_the_least_recently_used_end(start: Start) -> None:
    rig = start(store_max_sessions=3)
    for n in range(6):
        put(rig, str(n))
        rig.clock.advance(0.01)
    rig.call(sessions.Touch("0"))
    rig.call(sessions.Hold("1", "x", 60.0))
    rig.advance(5.0)
    assert sorted(ends(rig)) == [("2", "limit"), ("3", "limit"), ("4", "limit")]
    assert rig.reader.session_totals().count == 3


def test_the_store_is_bounded_in_bytes_items_included(start: Start) -> None:
    rig = start(store_max_bytes=5_000)
    for n in range(4):
        put(rig, str(n))
        rig.call(sessions.Append(str(n), json.dumps("x" * 2_000)))
        rig.clock.advance(0.01)
    rig.advance(5.0)
    assert ends(rig) == [("0", "limit"), ("1", "limit")]
    assert rig.reader.session_totals().bytes <= 5_000


# -- deaths ------------------------------------------------------------------------------------


def test_nothing_is_decided_before_what_an_earlier_life_sent_is_committed(start: Start) -> None:
    """Else both would replace the same version: a lost update."""
    rig = start()
    version = put(rig, "a", durability="committed")
    rig.send(sessions.Put("a", "2", expected_version=version, durability="committed"))
    sent = list(rig.outbox)
    rig.start()
    late = rig.send(sessions.Put("a", "3", expected_version=version, durability="committed"))
    for message, _ in sent:  # the first one's arrives at last
        rig._write(message)
    rig.work()
    (answer,) = late.answers
    assert isinstance(answer, Conflict)
    assert rig.call(sessions.Get("a")).session.data == "2"


def test_a_write_that_comes_again_does_not_bring_back_what_has_ended(start: Start) -> None:
    """The writer died before its answers: it gets them all again, or only the first."""
    rig = start()
    rig.send(sessions.Put("a", "1"))
    rig.actor._writes.write_behind()
    rig.send(sessions.Delete("a"))
    sent = [message for message, _ in rig.outbox]
    rig.work()
    for message in sent[:1]:
        rig._write(message)
    assert rig.reader.session("a") is None


def test_a_put_that_the_disk_refuses_leaves_what_was_there(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = start()
    version = put(rig, "a", durability="committed")
    rig.call(sessions.Append("a", '"kept"', durability="memory"))
    full = DiskFullError("no room")
    with monkeypatch.context() as patch:
        patch.setattr(rig.database, "apply", lambda commands: [full] * len(commands))
        assert rig.call(sessions.Put("a", "2", durability="committed")) is full
        assert rig.call(sessions.Put("b", "2", durability="committed")) is full
    session = rig.call(sessions.Get("a")).session
    assert (session.data, session.version) == ("1", version)
    assert rig.call(sessions.Get("b")).session is None
    rig.advance(2.0)
    assert [item.data for item in rig.call(sessions.GetItems("a")).items] == ['"kept"']


# -- items -------------------------------------------------------------------------------------


def test_an_item_with_a_key_is_added_once_however_often_it_comes(start: Start) -> None:
    rig = start()
    put(rig, "a")
    first = rig.send(sessions.Append("a", "1", key="k"))
    again = rig.send(sessions.Append("a", "1", key="k"))  # the first is on its way
    rig.work()
    assert (first.answers, again.answers) == (
        [sessions.Appended(1)],
        [sessions.Appended(1, repeated=True)],
    )
    assert rig.call(sessions.Append("a", "1", key="k")) == sessions.Appended(1, repeated=True)
    assert len(rig.call(sessions.GetItems("a")).items) == 1


def test_an_append_does_not_write_the_data_again(start: Start) -> None:
    rig = start()
    rig.call(sessions.Put("a", json.dumps("x" * 100_000), durability="committed"))
    rig.send(sessions.Append("a", "1"))
    ((store, _),) = rig.outbox
    assert store.put == []
    rig.work()
    rig.send(sessions.Touch("a"))
    rig.actor._writes.write_behind()
    ((store, _),) = rig.outbox
    assert (store.put, len(store.use)) == ([], 1)


def test_items_go_with_their_session_and_are_not_its_successors(start: Start) -> None:
    rig = start()
    put(rig, "a")
    rig.call(sessions.Append("a", "1", durability="memory"))
    rig.call(sessions.Delete("a"))
    put(rig, "a")
    rig.call(sessions.Append("a", "2", durability="memory"))
    rig.advance(1.5)
    assert [item.data for item in rig.call(sessions.GetItems("a")).items] == ["2"]


def test_items_of_a_session_that_expired_are_not_its_successors(start: Start) -> None:
    """The end of the first and the second session reach the database as one change."""
    rig = start()
    put(rig, "a", ttl=1.0)
    rig.call(sessions.Append("a", "1"))
    rig.clock.advance(1.1)
    put(rig, "a")
    rig.call(sessions.Append("a", "2", durability="memory"))
    rig.advance(1.5)
    assert [item.data for item in rig.call(sessions.GetItems("a")).items] == ["2"]
    assert ends(rig) == [("a", "idle")]


def test_an_append_that_overtakes_a_put_stands_alone_when_the_put_is_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = start()
    rig.send(sessions.Put("a", "7"))
    rig.actor._writes.write_behind()
    appended = rig.send(sessions.Append("a", "1"))
    with monkeypatch.context() as patch:
        patch.setattr(rig.database, "apply", lambda _commands: [DiskFullError("no room")])
        message, context = rig.outbox.popleft()
        rig.actor.on_receive(Answered(context, rig._write(message)))
    rig.work()
    assert appended.answers == [sessions.Appended(1)]
    rig.kill()
    assert rig.call(sessions.Get("a")).session.data == "7"
    assert len(rig.call(sessions.GetItems("a")).items) == 1


def test_many_megabytes_of_items_within_a_second_are_written(start: Start) -> None:
    """More than a frame holds."""
    rig = start()
    put(rig, "a")
    item = json.dumps("x" * 1_500_000)
    for _ in range(8):
        rig.send(sessions.Append("a", item, durability="memory"))
    rig.advance(1.5)
    assert rig.reader.session_totals().bytes > 12_000_000
    more = rig.call(sessions.GetItems("a"))
    assert more.more
    assert len(more.items) == 2


@pytest.mark.parametrize(
    "message",
    [
        sessions.Put("a", json.dumps("x" * 2**21)),
        sessions.Append("a", json.dumps("x" * 2**21)),
        sessions.Append("a", "1", key=""),
        sessions.Claim("a", ""),
        sessions.Hold("a", "x", 0.0),
        sessions.Hold("a", "x", float("nan")),
        sessions.Load("other", -1.0),
        sessions.PutMany([]),
        sessions.GetItems("a", limit=0),
        sessions.List(limit=0),
        cache.CachePut("", "1"),
        cache.CachePut("a", "1", ttl=0.0),
        barrier.Restore("c", "{"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_bad_requests_are_refused_and_change_nothing(start: Start, message: Any) -> None:
    rig = start()
    version = put(rig, "a")
    assert isinstance(rig.call(message), InvalidInputError)
    assert rig.call(sessions.Get("a")).session.version == version
