"""Sessions with a real daemon: they end on time, and their end is told once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import Conflict, InvalidInputError
from tests.daemon import CONFIG, TIMEOUT, Daemon


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
    daemon: Daemon, id: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        daemon.hub.sessions.put(id, 1, **options)  # type: ignore[arg-type]  # bad on purpose
    assert message in str(refused.value)
    assert daemon.hub.sessions.put("good", 1, durability="committed")
    assert stored_ids(daemon) == {"good"}
