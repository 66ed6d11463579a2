"""A server that loses everything, hangs, refuses or dies is no loss.  Scenario B8."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests import forkserver
from tests.conformance.redis_server import RedisServer
from tests.daemon import CONFIG, TIMEOUT, Daemon

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# Sixteen in memory: the others are read from what is behind it.
SESSIONS = """
[actors.sessions]
maxsize = 16
backend = "redis"
"""
MOST = 10.0  # seconds in which 40 calls are answered, whatever the server does


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def daemon(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    more = f'url = "{server.url}"\nredis_timeout = 0.3\n'
    with Daemon(tmp_path_factory.mktemp("outages"), CONFIG + SESSIONS + more) as daemon:
        yield daemon


@pytest.fixture
def front(server: RedisServer, daemon: Daemon) -> RedisServer:
    """As before anything happened to it."""
    daemon.until(lambda: not problem(daemon))
    return server


def problem(daemon: Daemon) -> str:
    text: str = daemon.hub.sessions.stats(timeout=TIMEOUT).front_problem
    return text


def in_front(server: RedisServer, id: str, daemon: str = "test") -> tuple[str, str] | None:
    """What others read there: version and data."""
    version, data = server.client.hmget(f"holdfast:{daemon}:session:{id}", "version", "data")
    return (version.decode(), data.decode()) if version else None


def assert_all(daemon: Daemon, versions: dict[str, str], data: int) -> None:
    """Every one is what it was put as, whether memory has it or not."""
    for id, version in versions.items():
        session = daemon.hub.sessions.get(id, timeout=TIMEOUT)
        assert session is not None
        assert (session.data, session.version) == (data, version)


def put_all(daemon: Daemon, prefix: str, data: int) -> dict[str, str]:
    """Forty, one by one."""
    put = daemon.hub.sessions.put
    return {f"{prefix}{n}": put(f"{prefix}{n}", data, timeout=TIMEOUT) for n in range(40)}


def others_see(server: RedisServer, versions: dict[str, str], data: int) -> bool:
    return all(in_front(server, id) == (version, str(data)) for id, version in versions.items())


def test_sessions_come_back_from_the_database_after_flushall(
    front: RedisServer, daemon: Daemon
) -> None:
    versions = put_all(daemon, "flushed", 1)
    assert others_see(front, versions, 1)  # before the put returns
    front.client.flushall()
    assert_all(daemon, versions, 1)
    daemon.until(lambda: others_see(front, versions, 1))
    versions = put_all(daemon, "flushed", 2)
    assert_all(daemon, versions, 2)


def test_a_server_that_hangs_holds_nobody_up_and_has_the_newest_when_it_goes_on(
    front: RedisServer, daemon: Daemon
) -> None:
    put_all(daemon, "hung", 1)
    daemon.hub.sessions.put("ended", 1, durability="committed")
    front.stop()
    try:
        began = time.monotonic()
        versions = put_all(daemon, "hung", 2)
        assert_all(daemon, versions, 2)
        assert daemon.hub.sessions.end("ended", timeout=TIMEOUT)
        assert time.monotonic() - began < MOST
        assert "does not answer in time" in problem(daemon)
        shown = forkserver.run(
            "holdfast",
            "sessions",
            "stats",
            "--run-dir",
            daemon.run_dir,
            folder=daemon.folder,
            environment=os.environ,
            stdin="",
            timeout=TIMEOUT,
        )
        assert "redis: it does not answer in time" in shown.stdout
        pid = daemon.pid("sessions")
    finally:
        front.go_on()
    daemon.until(lambda: others_see(front, versions, 2))
    daemon.until(lambda: in_front(front, "ended") is None)
    assert daemon.pid("sessions") == pid
    assert_all(daemon, versions, 2)
    assert daemon.hub.sessions.get("ended") is None


@pytest.mark.parametrize(
    ("refuse", "allow", "said"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "it is full"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "it is a replica"),
    ],
)
def test_a_server_that_refuses_writes_is_done_without_until_it_takes_them(
    front: RedisServer,
    daemon: Daemon,
    refuse: tuple[str, ...],
    allow: tuple[str, ...],
    said: str,
) -> None:
    front.client.execute_command(*refuse)
    try:
        versions = put_all(daemon, said, 1)
        assert_all(daemon, versions, 1)
        assert said in problem(daemon)
    finally:
        front.client.execute_command(*allow)
    daemon.until(lambda: others_see(front, versions, 1))
    assert daemon.log.read_text().count(said) == 1  # said once, however often it is tried


def test_what_was_put_survives_the_actor_and_the_daemon_that_had_not_written_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As configs/redis.toml has it.  With nothing in front a second of it would be lost."""
    with RedisServer() as server:
        monkeypatch.setenv("HOLDFAST_REDIS_URL", server.url)
        with Daemon(tmp_path, (CONFIGS / "redis.toml").read_text()) as daemon:
            put = daemon.hub.sessions.put
            for round in range(3):
                versions = {f"a{n}": put(f"a{n}", round, timeout=TIMEOUT) for n in range(30)}
                daemon.hub.sessions.append("a0", round, durability="memory")
                if round < 2:
                    daemon.kill("sessions")
                else:
                    daemon.process.kill()
                    daemon.restart()
                assert_all(daemon, versions, round)
            assert [item.data for item in daemon.hub.sessions.items("a0")] == [0, 1, 2]
            assert server.client.hlen("holdfast:default:owed") <= 1  # ... and is written now


def test_a_server_that_comes_back_with_what_it_had_saved_is_not_believed(tmp_path: Path) -> None:
    """It was killed; what it has are states from before, and sessions that have ended since."""
    with RedisServer() as server:
        config = f'{CONFIG}{SESSIONS}url = "{server.url}"\n'
        with Daemon(tmp_path, config) as daemon:
            sessions = daemon.hub.sessions
            put_all(daemon, "saved", 1)
            sessions.put("short", 1, ttl=1.0)
            sessions.put("ended", 1, durability="committed")
            server.client.save()
            versions = put_all(daemon, "saved", 2)
            assert sessions.end("ended")
            server.kill()
            assert_all(daemon, versions, 2)
            daemon.until(lambda: sessions.get("short") is None)
            server.start()
            assert in_front(server, "saved0") is not None
            assert_all(daemon, versions, 2)
            daemon.until(lambda: others_see(server, versions, 2))
            daemon.until(lambda: in_front(server, "ended") is None)
            daemon.until(lambda: in_front(server, "short") is None)
            assert sessions.get_many(["ended", "short"]) == {}
            ends = [(end.id, end.reason) for end in sessions.ended()]
            assert sorted(ends) == [("ended", "closed"), ("short", "idle")]


@pytest.mark.slow  # a daemon of its own; what it rests on is in test_session_deaths
def test_a_server_that_is_not_there_at_the_start_is_used_when_it_comes(tmp_path: Path) -> None:
    with RedisServer() as server:
        server.kill()
        config = f'{CONFIG}{SESSIONS}url = "{server.url}"\n'
        with Daemon(tmp_path, config) as daemon:
            versions = put_all(daemon, "early", 1)
            assert "cannot be reached" in problem(daemon)
            server.start()
            daemon.until(lambda: others_see(server, versions, 1))
            stats = msgspec.structs.asdict(daemon.hub.sessions.stats())
            assert stats["front_problem"] == ""
            assert stats["front_failures"] >= 1
