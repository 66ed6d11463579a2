"""Sessions with a real daemon: they end on time, and their end is told once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

import holdfast
from holdfast.errors import Conflict, InvalidInputError, NoSessionError, OwnedError
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
    daemon: Daemon, id: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        daemon.hub.sessions.put(id, 1, **options)  # type: ignore[arg-type]  # bad on purpose
    assert message in str(refused.value)
    assert daemon.hub.sessions.put("good", 1, durability="committed")
    assert stored_ids(daemon) == {"good"}


# -- several processes -------------------------------------------------------------------------

COUNT = """
import sys, holdfast
run_dir, times = sys.argv[1], int(sys.argv[2])
with holdfast.connect(run_dir) as hub:
    lost = 0
    for _ in range(times):
        while True:
            seen = hub.sessions.get("counter")
            try:
                hub.sessions.put(
                    "counter", seen.data + 1, expected_version=seen.version, durability="committed"
                )
                break
            except holdfast.Conflict as conflict:
                assert conflict.expected == seen.version != conflict.current
                lost += 1
print(lost)
"""

LOAD = """
import sys, os, signal, holdfast
run_dir, role, wait = sys.argv[1:4]
with holdfast.connect(run_dir, source=role) as hub:
    def loader():
        hub.events.emit("loading", role, session="a")
        hub.flush()
        if role == "victim":
            print("loading", flush=True)
            signal.pause()
        return role
    print("asking", flush=True)
    print(hub.sessions.get_or_load("a", loader, timeout=30).data, flush=True)
"""


def program(text: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_no_update_is_lost_between_processes_that_compare_and_set(daemon: Daemon) -> None:
    """Scenario D6, of sessions."""
    daemon.hub.sessions.put("counter", 0, durability="committed")
    racers = [program(COUNT, daemon.run_dir, 15) for _ in range(3)]
    daemon.until(lambda: (seen := daemon.hub.sessions.get("counter")) and seen.data > 5)
    daemon.kill("sessions")
    for racer in racers:
        output, _ = racer.communicate(timeout=60)
        assert racer.returncode == 0, output
    session = daemon.hub.sessions.get("counter")
    assert session is not None
    assert session.data == 45


def test_one_loader_runs_and_the_death_of_its_process_lets_the_others_go_on(
    daemon: Daemon,
) -> None:
    victim = program(LOAD, daemon.run_dir, "victim", 0)
    assert victim.stdout is not None
    assert [victim.stdout.readline() for _ in range(2)] == ["asking\n", "loading\n"]
    others = [program(LOAD, daemon.run_dir, f"other {n}", 0) for n in range(3)]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "asking\n"
    daemon.until(lambda: sessions_stats(daemon)["waiting"] == 3)
    began = time.monotonic()
    victim.kill()
    victim.communicate()
    results = {other.communicate(timeout=30)[0] for other in others}
    assert time.monotonic() - began < 5.0  # less than a lease: the end of its connection is seen
    (result,) = results  # all have the same: one more loader ran
    assert daemon.hub.events.count(types="loading") == 2
    session = daemon.hub.sessions.get("a")
    assert session is not None
    assert f"{session.data}\n" == result


def sessions_stats(daemon: Daemon) -> dict[str, int]:
    from holdfast.actors.messages.sessions import SessionsStats, Stats

    fields = daemon.hub.ask("sessions", Stats())
    assert isinstance(fields, list)
    return dict(zip(SessionsStats.__struct_fields__, fields[1:], strict=True))


def test_a_loader_that_fails_fails_its_caller_and_the_next_one_tries(daemon: Daemon) -> None:
    results: list[object] = []

    def wait() -> None:
        results.append(daemon.hub.sessions.get_or_load("a", lambda: "second").data)

    def first() -> str:
        waiting.start()
        daemon.until(lambda: sessions_stats(daemon)["waiting"] == 1)
        raise RuntimeError("no such conversation")

    waiting = Thread(target=wait)
    with pytest.raises(RuntimeError, match="no such conversation"):
        daemon.hub.sessions.get_or_load("a", first)
    waiting.join(TIMEOUT)
    assert results == ["second"]


# -- in use, owned, items ----------------------------------------------------------------------


def test_a_session_in_use_does_not_end_by_idleness(daemon: Daemon) -> None:
    """Scenario D10: the block renews its lease by itself, also across a death of the actor."""
    sessions = daemon.hub.sessions
    sessions.put("a", 1, ttl=0.2, durability="committed")
    with sessions.hold("a", lease=1.2) as session:
        assert session.data == 1
        daemon.kill("sessions")
        sessions.put("clock", 1, ttl=2.0, timeout=TIMEOUT)
        daemon.until(lambda: sessions.get("clock") is None)
        assert sessions.get("a") is not None
    daemon.until(lambda: sessions.get("a") is None)
    with pytest.raises(NoSessionError), sessions.hold("a"):
        pass


def test_the_hold_of_a_process_that_dies_ends_with_its_lease(daemon: Daemon) -> None:
    holding = program(
        "import sys, signal, holdfast\n"
        "with holdfast.connect(sys.argv[1]) as hub:\n"
        "    hub.sessions.put('a', 1, ttl=2.0)\n"
        "    with hub.sessions.hold('a', lease=2.5):\n"
        "        print('held', flush=True)\n"
        "        signal.pause()\n",
        daemon.run_dir,
    )
    assert holding.stdout is not None
    assert holding.stdout.readline() == "held\n"
    began = time.monotonic()
    daemon.until(lambda: time.monotonic() - began > 2.6)
    assert daemon.hub.sessions.get("a") is not None
    holding.kill()
    holding.communicate()
    daemon.until(lambda: daemon.hub.sessions.get("a") is None)


def test_only_the_owner_changes_a_session_that_is_owned(daemon: Daemon) -> None:
    sessions = daemon.hub.sessions
    sessions.put("a", 1, owner="ana", durability="committed")
    daemon.kill("sessions")
    for attempt in (
        lambda: sessions.put("a", 2, timeout=TIMEOUT),
        lambda: sessions.put("a", 2, owner="bob", durability="committed"),
        lambda: sessions.append("a", 2, owner="bob"),
        lambda: sessions.end("a"),
        lambda: sessions.claim("a", "bob"),
        lambda: sessions.release("a", "bob"),
    ):
        with pytest.raises(OwnedError) as refused:
            attempt()
        assert refused.value.owner == "ana"
    sessions.release("a", "ana")
    sessions.claim("a", "bob")
    assert sessions.put("a", 2, owner="bob")
    sessions.claim("a", "ana", steal=True)
    assert [session.id for session in sessions.list(owner="ana")] == ["a"]


def test_items_are_added_once_and_in_order_while_processes_are_killed(daemon: Daemon) -> None:
    sessions = daemon.hub.sessions
    sessions.put("a", {"title": "talk"}, durability="committed")
    numbers = []
    for n in range(60):
        numbers.append(sessions.append("a", {"turn": n}, timeout=TIMEOUT))
        if n % 20 == 10:
            daemon.kill(("sessions", "writer", "log")[n // 20])
    assert numbers == sorted(set(numbers))
    found = sessions.items("a", limit=1000)
    assert [(item.number, item.data["turn"]) for item in found] == [
        *zip(numbers, range(60), strict=True)
    ]
    newest = sessions.items("a", limit=3, reverse=True)
    assert [item.data["turn"] for item in newest] == [59, 58, 57]
    assert [item.data["turn"] for item in sessions.items("a", after=numbers[56])] == [57, 58, 59]
    sessions.end("a")
    assert sessions.items("a") == []


def test_the_asyncio_client_has_the_same(daemon: Daemon) -> None:
    async def main() -> None:
        async with holdfast.aio.connect(daemon.run_dir) as hub:
            sessions, loads = hub.sessions, []

            async def load() -> int:
                loads.append(1)
                await asyncio.to_thread(daemon.kill, "log")
                return 7

            found = await asyncio.gather(*(sessions.get_or_load("a", load) for _ in range(5)))
            assert ([session.data for session in found], loads) == ([7] * 5, [1])
            await sessions.put_many({f"m{n}": n for n in range(25)})
            assert len(await sessions.get_many([f"m{n}" for n in range(30)])) == 25
            async with sessions.hold("a") as held:
                assert await sessions.append("a", "turn") == 1
                assert held.data == 7
            assert [item.data for item in await sessions.items("a")] == ["turn"]
            page = await sessions.search("m", limit=20)
            assert len(page) + len(await sessions.search("m", cursor=page.cursor)) == 25
            await hub.cache.put("k", {"n": 1}, ttl=60)
            assert await hub.cache.get_or_load("k", load) == {"n": 1}
            assert await hub.cache.refresh("k", lambda: 2) == 2
            assert await sessions.end("a")
            assert [end.id for end in await sessions.ended(wait=TIMEOUT)] == ["a"]

    asyncio.run(main())


def test_metadata_in_the_cache_is_made_once_and_lost_with_its_process(daemon: Daemon) -> None:
    cache, made = daemon.hub.cache, []
    for _ in range(3):
        assert cache.get_or_load("titles", lambda: made.append(1) or ["a"]) == ["a"]  # type: ignore[func-returns-value]  # None
    assert made == [1]
    daemon.kill("sessions")
    assert cache.get("titles", "none", timeout=TIMEOUT) == "none"
