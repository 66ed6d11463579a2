"""Sessions with a real daemon: they end on time, and their end is told once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import Conflict, InvalidInputError
from tests.daemon import CONFIG, TIMEOUT, Daemon


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """For tests that leave it as it was."""
    with Daemon(tmp_path_factory.mktemp("shared")) as daemon:
        yield daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG + "[actors.sessions]\nmaxsize = 10\n") as daemon:
        yield daemon


def stored_ids(daemon: Daemon) -> set[str]:
    connection = sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)
    ids = {id for (id,) in connection.execute("SELECT id FROM sessions")}
    connection.close()
    return ids


def test_a_session_ends_is_deleted_and_its_end_is_told_once(daemon: Daemon) -> None:
    """Scenario D10."""
    sessions = daemon.hub.sessions
    sessions.put("idle", {"n": 1}, ttl=0.2, durability="committed")
    sessions.put("aged", {"n": 2}, ttl=60, max_age=0.2, durability="committed")
    sessions.put("lives", {"n": 3}, durability="committed")
    daemon.until(lambda: sessions.get("idle") is None and sessions.get("aged") is None)
    daemon.until(lambda: stored_ids(daemon) == {"lives"})
    daemon.until(lambda: daemon.hub.events.count(types="session:expired") == 2)
    told = daemon.hub.events.query(types="session:expired")
    assert {event.session: event.data["reason"] for event in told} == {
        "idle": "idle",
        "aged": "age",
    }
    daemon.kill("sessions")
    assert sessions.get("lives", timeout=TIMEOUT) is not None
    assert daemon.hub.events.count(types="session:expired") == 2


def test_ends_are_told_once_and_none_is_returned_while_processes_are_killed(
    daemon: Daemon,
) -> None:
    """Scenario D10."""
    sessions, chance = daemon.hub.sessions, random.Random(10)
    ends: dict[str, float] = {}
    for round in range(4):
        for n in range(20):
            id, ttl = f"{round}.{n}", chance.uniform(0.1, 1.5)
            sessions.put(id, n, ttl=ttl, durability="committed", timeout=TIMEOUT)
            ends[id] = time.time() + ttl  # at the latest: it was put before that
        daemon.kill(("sessions", "writer", "log", "sessions")[round])
        for id, end in ends.items():
            session = sessions.get(id, timeout=TIMEOUT)
            assert session is None or session.expires_us / 1e6 <= end
    daemon.until(lambda: len(sessions.ended(limit=1000, timeout=TIMEOUT)) >= 80)
    daemon.until(lambda: stored_ids(daemon) == set())
    told = Counter((end.id, end.reason) for end in sessions.ended(limit=1000, timeout=TIMEOUT))
    assert told == {(id, "idle"): 1 for id in ends}


def test_an_end_is_told_within_a_second_of_it(daemon: Daemon) -> None:
    """Scenario D10: on an idle daemon; the first is in memory, the others are not."""
    for n in range(30):
        daemon.hub.sessions.put(str(n), 1, ttl=0.5 + n / 50, durability="committed")
    due = {str(n): daemon.hub.sessions.get(str(n)) for n in range(30)}
    daemon.until(lambda: len(daemon.hub.sessions.ended()) == 30)
    for end in daemon.hub.sessions.ended():
        session = due[end.id]
        if session is not None:
            assert 0 <= end.time_us - session.expires_us < 1_000_000


def test_a_listener_hears_of_every_end_once(daemon: Daemon) -> None:
    heard = daemon.watching(["session:expired", "session:ended"], source="sessions")
    daemon.hub.sessions.put("a", 1, ttl=0.3)
    daemon.hub.sessions.put("b", 1)
    daemon.hub.sessions.end("b")
    reasons = {heard.next().data["reason"] for _ in range(2)}
    assert reasons == {"idle", "closed"}


def test_a_session_that_is_on_the_disk_survives_everything_at_once(daemon: Daemon) -> None:
    """Both clients: acknowledged is committed and fsynced, so no process has to live on."""

    async def put() -> str:
        async with holdfast.aio.connect(daemon.run_dir) as hub:
            return await hub.sessions.put("b", 2, durability="disk", timeout=TIMEOUT)

    versions = [daemon.hub.sessions.put("a", 1, durability="disk"), asyncio.run(put())]
    with pytest.raises(Conflict):
        daemon.hub.sessions.put("a", 3, expected_version="", durability="disk")
    daemon.process.kill()
    daemon.restart()
    kept = [daemon.hub.sessions.get(id, timeout=TIMEOUT) for id in ("a", "b")]
    assert [(s.data, s.version) for s in kept if s] == [(1, versions[0]), (2, versions[1])]


def test_a_touched_session_lives_on(daemon: Daemon) -> None:
    sessions = daemon.hub.sessions
    sessions.put("a", 1, ttl=60)
    before = sessions.get("a")
    after = sessions.touch("a")
    assert before is not None
    assert after is not None
    assert after.expires_us >= before.expires_us
    assert after.version == before.version
    assert sessions.touch("never put") is None


def test_the_remaining_time_to_live_survives_a_restart(daemon: Daemon) -> None:
    """Scenario D10."""
    daemon.hub.sessions.put("a", 1, ttl=500, durability="committed")
    before = daemon.hub.sessions.get("a")
    daemon.kill("sessions")
    after = daemon.hub.sessions.get("a", timeout=TIMEOUT)
    assert before is not None
    assert after is not None
    assert after.expires_us == before.expires_us


def test_what_memory_has_no_room_for_is_read_from_the_database(daemon: Daemon) -> None:
    for n in range(30):
        daemon.hub.sessions.put(str(n), {"n": n})
    found = [daemon.hub.sessions.get(str(n)) for n in range(30)]
    assert [session.data if session else None for session in found] == [{"n": n} for n in range(30)]


def test_a_deleted_session_stays_deleted(daemon: Daemon) -> None:
    sessions = daemon.hub.sessions
    sessions.put("a", 1)
    assert sessions.delete("a") is True
    assert sessions.delete("a") is False
    assert sessions.get("a") is None
    daemon.kill("sessions")
    assert sessions.get("a", timeout=TIMEOUT) is None


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("", {}, "id = ''"),
        ("a\0b", {}, "id = "),
        ("x" * 2_000, {}, "id = "),
        ("a", {"ttl": -1.0}, "ttl = -1.0: expected seconds > 0"),
        ("a", {"max_age": float("inf")}, "max_age = inf"),
        ("a", {"durability": "maybe"}, "durability = 'maybe'"),
    ],
)
def test_a_bad_put_is_refused_by_name_and_stores_nothing(
    shared: Daemon, id: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        shared.hub.sessions.put(id, 1, **options)  # type: ignore[arg-type]  # bad on purpose
    assert message in str(refused.value)
    assert shared.hub.sessions.put("good", 1, durability="committed")
    assert stored_ids(shared) == {"good"}
