"""B5: a reload puts sessions somewhere else while they are used, and back: nothing is lost.

And 39b: whoever dies on the way.  The ordinary run has 2,000 sessions, the slow one 100,000, which
takes minutes of processor time.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

import holdfast
from holdfast.actors.session_calls import Session
from holdfast.errors import ReloadError
from holdfast.testing.faults import AtPoint, Kill
from tests.conformance.redis_server import RedisServer
from tests.daemon import CONFIG, TIMEOUT, Daemon, ForkedDaemon

COUNT = 2_000
MANY = 100_000
Durability = Literal["memory", "committed"]
KEPT_US = 100_000  # a lifetime that is left differs by no more
# Seconds: bounds of a failure.  What it takes is told by the event, and by benchmarks.
PAUSE, LONG = 10.0, 300.0
SHORT = 1.0  # seconds that some sessions live


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def configs(server: RedisServer) -> dict[str, str]:
    return {
        "memory": f'{CONFIG}[actors.sessions]\nbackend = "memory"\n',
        "redis": f'{CONFIG}[actors.sessions]\nbackend = "redis"\nurl = "{server.url}"\n',
    }


def reload_to(daemon: ForkedDaemon, config: str) -> None:
    daemon.config_file.write_text(config)
    plan = daemon.hub.supervision.reload(timeout=LONG)
    assert [line.action for line in plan.lines if line.name == "sessions"] == ["swap"]


class User(threading.Thread):
    """Puts, touches and gets sessions that are nobody else's, and knows what has to come."""

    def __init__(self, daemon: Daemon, name: str) -> None:
        super().__init__(name=name)
        self._run_dir = daemon.run_dir
        self._chance = random.Random(name)
        self._known: dict[str, Session] = {}
        self._short: dict[str, float] = {}  # put; when it may be over at the earliest
        self._is_over = threading.Event()
        self.error: BaseException | None = None
        self.done = 0
        self.pause = 0.0  # the longest that a call took

    def run(self) -> None:
        try:
            with holdfast.connect(self._run_dir) as hub:
                while not self._is_over.is_set():
                    began = time.monotonic()
                    self._step(hub)
                    self.pause = max(self.pause, time.monotonic() - began)
                    self.done += 1
        except BaseException as error:  # told by ``end``
            self.error = error

    def _step(self, hub: holdfast.Hub) -> None:
        id = f"{self.name}/{self._chance.randrange(50)}"
        known = self._known.get(id)
        match self._chance.randrange(4):
            case 0:
                expected = known.version if known is not None else None
                durability: Durability = self._chance.choice(("memory", "committed"))
                data = {"n": self.done}
                hub.sessions.put(id, data, expected_version=expected, durability=durability)
                self._known[id] = self._got(hub, id)
                assert self._known[id].data == data
            case 1 if known is not None:
                hub.sessions.touch(id)
                self._check(self._got(hub, id), known)
            case 2 if known is not None:
                self._check(self._got(hub, id), known)
            case _:
                self._see_short(hub, f"{id}/short")

    def _got(self, hub: holdfast.Hub, id: str) -> Session:
        session = hub.sessions.get(id)
        assert session is not None, id
        return session

    def _check(self, session: Session, known: Session) -> None:
        assert (session.data, session.version) == (known.data, known.version)
        assert session.expires_us >= known.expires_us

    def _see_short(self, hub: holdfast.Hub, id: str) -> None:
        """It is there while it has to be, and never after its time."""
        over = self._short.get(id, 0.0)
        asked = time.time()
        session = hub.sessions.get(id)
        if session is not None:
            assert session.expires_us > asked * 1e6
        elif id in self._short:
            assert time.time() >= over
            del self._short[id]
        if session is None:
            self._short[id] = time.time() + SHORT
            hub.sessions.put(id, 1, ttl=SHORT)

    def has_gone_on(self, earlier: int) -> bool | None:
        """Whether it has done something since; or it will not any more, and ``end`` tells why."""
        return self.done > earlier + 20 or self.error is not None or None

    def end(self) -> None:
        """Stop, and tell what was wrong."""
        self._is_over.set()
        self.join(LONG)
        if self.error is not None:
            raise self.error
        assert not self.is_alive()


@contextmanager
def used(daemon: Daemon, users: int) -> Iterator[list[User]]:
    """By that many at once."""
    found = [User(daemon, f"user{number}") for number in range(users)]
    for user in found:
        user.start()
    try:
        yield found
    finally:
        for user in found:
            user.end()


def look(daemon: Daemon, before: dict[str, Session]) -> None:
    """Everything as it was, but for 100 ms of the time that is left."""
    for id, session in daemon.hub.sessions.get_many([*before], timeout=LONG).items():
        was = before[id]
        assert (session.data, session.version) == (was.data, was.version)
        assert abs(session.expires_us - was.expires_us) <= KEPT_US


def swap_to_and_fro(daemon: Daemon, server: RedisServer, count: int) -> float:
    """The longest pause that a user saw."""
    chance = random.Random(5)
    ids = [f"s{number:06}" for number in range(count)]
    for at in range(0, count, 1000):
        some: dict[str, Any] = {id: {"n": id} for id in ids[at : at + 1000]}
        daemon.hub.sessions.put_many(some, ttl=chance.uniform(600, 3600), timeout=LONG)
    before = daemon.hub.sessions.get_many(ids, timeout=LONG)
    assert len(before) == count
    with used(daemon, 2) as users:
        for backend in ("redis", "memory"):
            done = [user.done for user in users]
            reload_to(daemon, configs(server)[backend])
            look(daemon, before)
            for user, earlier in zip(users, done, strict=True):  # they are not held up for ever
                daemon.until(partial(user.has_gone_on, earlier))
            if backend == "redis":
                daemon.until(lambda: server.client.dbsize() > count or None, timeout=LONG)
                look(daemon, before)
    assert len(daemon.hub.sessions.get_many(ids, timeout=LONG)) == count
    return max(user.pause for user in users)


def test_sessions_in_use_go_to_another_backend_and_back(
    tmp_path: Path, server: RedisServer
) -> None:
    with Daemon(tmp_path, configs(server)["memory"]) as daemon:
        assert swap_to_and_fro(daemon, server, COUNT) < PAUSE


@pytest.mark.slow
def test_a_hundred_thousand_sessions_in_use_go_to_another_backend_and_back(
    tmp_path: Path, server: RedisServer
) -> None:
    with Daemon(tmp_path, configs(server)["memory"]) as daemon:
        pause = swap_to_and_fro(daemon, server, MANY)
        print(f"longest pause of a user: {pause:.3f} s")
        assert pause < LONG


def die_while_stopping(daemon: ForkedDaemon, reloading: threading.Thread, held: str) -> None:
    """39b: the old life is killed while it stops, before its last writes are on their way (itself
    is ``held``), or before they are committed (the writer is)."""
    with daemon.paused(held):
        reloading.start()
        daemon.until(lambda: daemon.child("sessions").state == "stopping" or None)
        daemon.kill("sessions")
    reloading.join(TIMEOUT)
    assert not reloading.is_alive()


@pytest.mark.parametrize("held", ["sessions", pytest.param("writer", marks=pytest.mark.slow)])
@pytest.mark.parametrize("order", [("memory", "redis"), ("redis", "memory")])
def test_a_life_that_is_killed_while_it_hands_over_costs_nothing_that_was_to_be_kept(
    tmp_path: Path, server: RedisServer, order: tuple[str, str], held: str
) -> None:
    old, new = (configs(server)[backend] for backend in order)
    with Daemon(tmp_path, old) as daemon:
        sessions = daemon.hub.sessions
        kept = sessions.put("kept", {"n": 1}, durability="committed")
        daemon.until(lambda: sessions.stats().front_problem == "" or None)
        waiting = sessions.put("waiting", {"n": 1})
        die_while_stopping(daemon, threading.Thread(target=reload_to, args=[daemon, new]), held)
        assert (daemon.hub.sessions.stats().front or "memory") == order[1]
        session = daemon.hub.sessions.get("kept")
        assert session is not None
        assert session.version == kept
        session = daemon.hub.sessions.get("waiting")
        if order[0] == "redis":  # memory loses what is not written when it is killed
            assert session is not None
            assert session.version == waiting


def test_a_new_life_that_is_killed_before_it_is_ready_brings_the_old_backend_back(
    tmp_path: Path, server: RedisServer
) -> None:
    """39b, whole: the old one is killed as well."""
    old, new = (configs(server)[backend] for backend in ("redis", "memory"))
    daemon = ForkedDaemon(tmp_path, old, faults=[], profile={})
    errors: list[BaseException] = []

    def reload() -> None:
        try:
            reload_to(daemon, new)
        except BaseException as error:
            errors.append(error)

    with daemon:
        sessions = daemon.hub.sessions
        kept = sessions.put("kept", {"n": 1}, durability="committed")
        waiting = sessions.put("waiting", {"n": 1})
        # The life after the one that is killed takes over what that one owed; it is the next one.
        kill = AtPoint(point="child.before_start", process="sessions", action=Kill(), nth=1)
        daemon.faults.arm(kill)
        die_while_stopping(daemon, threading.Thread(target=reload), "sessions")
        (error,) = errors
        assert isinstance(error, ReloadError)
        assert "sessions" in str(error)
        daemon.wait_until_running("sessions")
        assert sessions.stats().front == "redis"
        for id, version in (("kept", kept), ("waiting", waiting)):
            session = sessions.get(id)
            assert session is not None
            assert session.version == version
        reload_to(daemon, new)
        assert [*sessions.get_many(["kept", "waiting"])] == ["kept", "waiting"]
