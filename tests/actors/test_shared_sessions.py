"""Sessions that several processes share: races, loaders, holds, owners, items; and deaths."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

import holdfast
from holdfast.actors.messages.sessions import SessionsStats, Stats
from holdfast.errors import NoSessionError, OwnedError
from tests import forkserver
from tests.daemon import CONFIG, TIMEOUT, Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG + "[actors.sessions]\nmaxsize = 10\n") as daemon:
        yield daemon


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
    command = ["-c", text, *map(str, arguments)]
    return forkserver.Popen[str](command, stdout=subprocess.PIPE, text=True)


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
    daemon.hub.sessions.put("clock", 1, ttl=2.6)  # ends after the first lease would have
    daemon.until(lambda: daemon.hub.sessions.get("clock") is None)
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
