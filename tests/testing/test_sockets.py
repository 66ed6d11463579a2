"""A bad network between everybody: nothing is lost, doubled or out of order, and nobody hangs."""

from __future__ import annotations

import random
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import holdfast
from holdfast.actors.hub import Hub
from holdfast.clock import SystemClock
from holdfast.errors import AskTimeoutError, OutboxFullError
from holdfast.testing.chaos.client import AGENTS, ENTITY_TYPE, EVENT_TYPE, Client
from holdfast.testing.faults.plan import Record
from holdfast.testing.faults.sockets import NetFault, SocketProxy, storm
from holdfast.testing.oracle import Journal, check
from tests.daemon import TIMEOUT
from tests.daemon import ForkedDaemon as Daemon

STATE = ("writer", "query", "log", "sessions", "checkpoints")
EVERYBODY = (*STATE, *AGENTS)
FAULTS = 40  # of one kind in a test
SLACK = 10.0  # seconds by which an answer may be late on a busy machine


@contextmanager
def witnessed(folder: Path) -> Iterator[Daemon]:
    witness = {
        "class": "holdfast.testing.chaos.witness:Witness",
        "options": {"folder": str(folder)},
    }
    with Daemon(folder, agents=dict.fromkeys(AGENTS, witness)) as started:
        started.hub.state.define_type(ENTITY_TYPE, history=True)
        yield started


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with witnessed(tmp_path) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """For journals that are all told apart by who has written them."""
    with witnessed(tmp_path_factory.mktemp("shared")) as daemon:
        yield daemon


@contextmanager
def client(daemon: Daemon, life: str) -> Iterator[Client]:
    """One that has everything acknowledged at the end."""
    sender = f"chaos/{life}"
    path = daemon.folder / "journals" / f"{life}.jsonl"
    journal = Journal(path, life=life, sender=sender, type=EVENT_TYPE)
    clock = SystemClock()
    with Hub(
        run_dir=daemon.run_dir, sender=sender, incarnation="1", source=life, clock=clock
    ) as hub:
        it = Client(hub, journal, life=life, chance=random.Random(life))
        yield it
        it.finish()
    journal.close()


def check_promises(daemon: Daemon) -> None:
    verdict = check(daemon.database, [daemon.folder / "journals"])
    assert verdict.violations == []
    assert verdict.counts["event", "stored"] == verdict.counts["event", "sent"] > 0


@pytest.mark.parametrize("does", ["delay", "split", "duplicate", "reset", "blackhole"])
def test_exactly_once_and_order_hold_whatever_the_network_does(shared: Daemon, does: str) -> None:
    """Between the client and the actors, and between ``log`` and ``writer``."""
    faults = [fault for _, fault in storm(6, EVERYBODY, 10 * FAULTS) if fault.does == does]
    with SocketProxy(shared.run_dir, EVERYBODY, seed=6) as proxy:
        shared.kill("log")  # its connection to the writer goes through as well now
        with client(shared, does) as it:
            for fault in faults[:FAULTS]:
                proxy.inject(fault)
                it.act()
                it.act()
        assert proxy.passed["writer"] >= 2
    check_promises(shared)


def test_exactly_once_and_order_hold_while_actors_are_killed_behind_a_bad_network(
    daemon: Daemon,
) -> None:
    chance = random.Random(7)
    record = Record(daemon.folder / "faults.json")
    with (
        SocketProxy(daemon.run_dir, EVERYBODY, seed=7, record=record) as proxy,
        client(daemon, "one") as one,
        client(daemon, "two") as two,
    ):
        for number, (_, fault) in enumerate(storm(7, EVERYBODY, FAULTS)):
            proxy.inject(fault)
            if number % 4 == 0:
                daemon.kill(chance.choice(STATE))
            for it in (one, two):
                it.act()
    check_promises(daemon)
    kinds = {line.kind for line in record.lines() if hasattr(line, "kind")}
    assert kinds == {"net:delay", "net:split", "net:duplicate", "net:reset", "net:blackhole"}


def test_an_ask_into_a_black_hole_ends_at_its_timeout_and_the_next_one_is_answered(
    daemon: Daemon,
) -> None:
    with SocketProxy(daemon.run_dir, STATE) as proxy, holdfast.connect(daemon.run_dir) as hub:
        assert hub.sessions.get("none") is None
        for direction in ("up", "down"):
            proxy.inject(
                NetFault(does="blackhole", to="sessions", direction=direction, seconds=1.0)
            )
            began = time.monotonic()
            with pytest.raises(AskTimeoutError):
                hub.ref("sessions").ask(["get", "none"], timeout=0.3)
            assert time.monotonic() - began < 0.3 + SLACK
            assert hub.sessions.get("none", timeout=TIMEOUT) is None


def test_a_sender_into_a_black_hole_is_told_at_its_timeout_and_nothing_is_lost(
    daemon: Daemon,
) -> None:
    with (
        SocketProxy(daemon.run_dir, STATE) as proxy,
        holdfast.connect(daemon.run_dir, outbox_messages=10, outbox_timeout=0.3) as hub,
    ):
        hub.events.emit("first")
        hub.flush()
        proxy.inject(NetFault(does="blackhole", to="log", direction="up", seconds=2.0))
        began = time.monotonic()
        with pytest.raises(AskTimeoutError):
            hub.flush(timeout=emit_all(hub, 10))
        with pytest.raises(OutboxFullError):
            emit_all(hub, 10)
        assert time.monotonic() - began < 2 * 0.3 + SLACK
        hub.flush(timeout=TIMEOUT)
        assert hub.events.pending == 0
        assert hub.events.count(types="n") == hub.events.accepted - 1


def emit_all(hub: Hub, count: int) -> float:
    """The seconds that are to be waited for them."""
    for n in range(count):
        hub.events.emit("n", n)
    return 0.3


def test_a_socket_is_taken_over_and_given_back(daemon: Daemon) -> None:
    path = daemon.run_dir / "log.sock"
    before = path.stat()
    files = {file.name for file in daemon.run_dir.iterdir()}
    with SocketProxy(daemon.run_dir, STATE) as proxy:
        there = path.stat()
        assert there.st_ino != before.st_ino
        assert stat.S_IMODE(there.st_mode) == 0o600
        with holdfast.connect(daemon.run_dir) as hub:
            hub.events.emit("through")
            hub.flush()
            assert proxy.passed["log"] == 1
    assert path.stat().st_ino == before.st_ino
    assert {file.name for file in daemon.run_dir.iterdir()} == files
    with holdfast.connect(daemon.run_dir) as hub:
        assert hub.events.count(types="through") == 1


@pytest.mark.slow
def test_the_sockets_of_a_new_root_are_taken_over_too(daemon: Daemon) -> None:
    with SocketProxy(daemon.run_dir, STATE) as proxy:
        before = (daemon.run_dir / "log.sock").stat().st_mtime_ns
        daemon.kill("root")
        daemon.restart()
        daemon.until(lambda: (daemon.run_dir / "log.behind").exists())
        daemon.until(lambda: (daemon.run_dir / "log.sock").stat().st_mtime_ns != before)
        passed = proxy.passed["log"]
        with holdfast.connect(daemon.run_dir) as hub:
            hub.events.emit("after")
            hub.flush()
            hub.close()
        daemon.until(lambda: proxy.passed["log"] > passed)


def test_a_seed_is_a_storm() -> None:
    assert storm(3, STATE, 50) == storm(3, reversed(STATE), 50) != storm(4, STATE, 50)
    assert storm(3, STATE, 50)[:20] == storm(3, STATE, 20)
