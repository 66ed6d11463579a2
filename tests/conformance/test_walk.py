"""A daemon on PostgreSQL: a walk through every concern by real agents, and kills under traffic."""

from __future__ import annotations

import random
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast.actors.agent import Agent
from holdfast.errors import Conflict, InvalidInputError
from holdfast.storage.ports import Database
from holdfast.storage.session_records import StoreSessions
from holdfast.storage.stream_records import AppendStream
from holdfast.testing import Daemon
from holdfast.testing.chaos.client import AGENTS, ENTITY_TYPE
from holdfast.testing.oracle import check
from holdfast.testing.oracle.checker import check_lives
from tests.conformance.conftest import Backend
from tests.storage.making import append, apply_one, event, session

TEXT = "same " * 4_000
KILLED = ("writer", "query", "sessions", "log", "checkpoints")
CLIENTS = 2
KILLS = 40


class Notes(Agent):
    """Keeps what it is told in checkpoints, tells of each note, and says what it has."""

    def on_start(self) -> None:
        self._notes: list[Any] = self.restored or []

    def on_receive(self, message: object) -> object:
        match message:
            case ["note", note]:
                self._notes.append(note)
                self.hub.events.emit("noted", note, session="walk", key=f"{note}")
                self.checkpoint(self._notes)
        return self._notes

    def on_collect(self) -> object:
        return self._notes

    def on_restore(self, state: Any) -> None:
        self._notes = state


def config(dsn: str, name: str) -> dict[str, Any]:
    return {"daemon": {"name": name}, "storage": {"backend": "postgresql", "dsn": dsn}}


@pytest.fixture
def name() -> str:
    """Of a daemon that has the database's tables to itself."""
    return f"walk-{secrets.token_hex(4)}"


@pytest.fixture
def walked(tmp_path: Path, postgresql_dsn: str, name: str) -> Iterator[Daemon]:
    with Daemon(tmp_path, config(postgresql_dsn, name), agents={"notes": Notes}) as daemon:
        yield daemon


@pytest.mark.slow  # a short one is in test_daemons
def test_every_concern_of_a_daemon_works_and_is_there_after_a_restart(walked: Daemon) -> None:
    for tell in (
        events_and_streams,
        relational_state,
        sessions,
        checkpoints,
        subscriptions,
        agents_that_die,
        files,
    ):
        tell(walked)
    made = walked.hub.checkpoints.create_daemon()
    assert [*filter(lambda one: one.error, made.participants)] == []
    assert {one.name for one in made.participants} >= {"sessions", "tracker", "notes"}
    before = everything(walked)
    assert not walked.database.exists()  # nothing of it is in a file of SQLite's
    walked.restart()
    assert everything(walked) == before
    assert walked.ref("notes").ask(["say"], timeout=walked.timeout) == ["a", "b"]
    walked.hub.checkpoints.restore_daemon(made.id)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_the_oracle_reads_the_rows_of_one_daemon_and_finds_what_is_wrong_with_them(
    backend: Backend, database: Database
) -> None:
    append(database, [event(n, data=f'"\\u0000{"x" * n}"') for n in range(9_000, 9_003)])
    apply_one(database, StoreSessions(None, [session("s\0")], [], []))
    apply_one(database, AppendStream(None, "o", 0, [event(subject="o")]))
    assert check_lives(backend.where, [], daemon=backend.daemon).violations == []
    with psycopg.connect(backend.where) as editor:
        editor.execute("SET session_replication_role = replica")  # no trigger, no foreign key
        sql = "DELETE FROM holdfast.events WHERE daemon = %s AND seq = 2"
        editor.execute(sql, (backend.daemon,))
    found = check_lives(backend.where, [], daemon=backend.daemon).found
    assert found == {"orphans": 1, "versions": 1}
    for where, daemon, named in (
        (backend.where, "nobody", "'nobody'"),
        (f"{backend.where} host=/nowhere", backend.daemon, "PostgreSQL"),
    ):
        with pytest.raises(sqlite3.Error, match=named):
            check_lives(where, [], daemon=daemon)


def events_and_streams(daemon: Daemon) -> None:
    events = daemon.hub.events
    for n in range(5):
        events.emit("walk:step", {"n": n}, session="s\1" if n == 4 else "s", key=f"step {n}")
    events.emit("walk:large", {"text": TEXT}, cause="step 4", correlation="c")
    daemon.hub.flush("disk")
    assert [event.data["n"] for event in events.query(types=["walk:s*"])] == [0, 1, 2, 3, 4]
    assert [event.data["n"] for event in events.query(session="s\1")] == [4]
    (large,) = events.query(types=["walk:large"])
    assert events.chain(large)[0].key == "step 4"
    assert events.append("orders", [("made", {"id": 1})], expected_version=0) == 1
    with pytest.raises(Conflict):
        events.append("orders", [("made", {"id": 2})], expected_version=0)
    assert events.stream_version("orders") == 1


def relational_state(daemon: Daemon) -> None:
    state = daemon.hub.state
    state.create("agent", {"name": "planner", "n": 2**70, "x": 1e20}, id="a1")
    state.create("agent", {"name": "critic"}, id="a2")
    state.update("a1", {"status": "busy"}, expected_version=1)
    with pytest.raises(Conflict):
        state.update("a1", {"status": "idle"}, expected_version=1)
    state.relate("a1", "asks", "a2")
    state.push("mail", "a1", {"text": "x"})


def sessions(daemon: Daemon) -> None:
    sessions = daemon.hub.sessions
    sessions.put("s1", {"user": "ana", "big": 2**70}, ttl=3600, durability="committed")
    sessions.append("s1", {"role": "user"}, key="one")
    sessions.append("s1", {"role": "user"}, key="one")
    sessions.put("s2", {}, ttl=3600)
    sessions.delete("s2")
    with pytest.raises(Conflict):
        sessions.put("s1", {}, expected_version="9.9:9")


def checkpoints(daemon: Daemon) -> None:
    checkpoints = daemon.hub.checkpoints
    for n in range(4):
        checkpoints.put("thread", {"n": n, "text": TEXT, "bytes": b"\0\xff"})
    checkpoints.pin("thread", 2, "good")
    checkpoints.fork("thread", 2, "branch")
    checkpoints.prune("thread", keep_last=1)
    with pytest.raises(InvalidInputError):
        checkpoints.pin("thread", 1, "gone")


def subscriptions(daemon: Daemon) -> None:
    events = daemon.hub.events
    with events.subscribe(types=["walk:step"], name="walker", start="first") as first:
        for n in range(3):
            event = next(first)
            assert event.data["n"] == n
            first.ack(event)
    with events.subscribe(types=["walk:step"], name="walker") as second:
        assert next(second).data["n"] == 3


def agents_that_die(daemon: Daemon) -> None:
    notes = daemon.ref("notes")
    assert notes.ask(["note", "a"], timeout=daemon.timeout) == ["a"]
    daemon.kill("notes")
    assert notes.ask(["note", "b"], timeout=daemon.timeout) == ["a", "b"]


def files(daemon: Daemon) -> None:
    daemon.hub.files.append("s1", {"role": "user", "content": "x"})


def everything(daemon: Daemon) -> list[object]:
    """Everything that is to be there for good, as it is read."""
    hub = daemon.hub
    state, checkpoints = hub.state, hub.checkpoints
    return [
        hub.events.query(types=["walk:*", "made", "noted"]),
        hub.events.read_stream("orders"),
        [state.get(id) for id in ("a1", "a2")],
        state.query(type="agent", where=[("status", "=", "busy")]),
        state.relationships(from_id="a1"),
        state.peek("mail", "a1"),
        [session.data for id in ("s1",) if (session := hub.sessions.get(id)) is not None],
        hub.sessions.items("s1"),
        hub.sessions.get("s2"),
        [checkpoints.list(thread) for thread in ("thread", "branch", "notes")],
        checkpoints.get("thread", pin="good"),
        [(each.name, each.acked) for each in hub.events.subscribers()],
        hub.files.read("s1"),
    ]


@pytest.mark.slow  # a minute of traffic
def test_kills_under_traffic_lose_nothing_and_double_nothing(
    tmp_path: Path, postgresql_dsn: str, name: str
) -> None:
    """What the clients were told is held against the rows, which are read without holdfast."""
    witness = {
        "class": "holdfast.testing.chaos.witness:Witness",
        "options": {"folder": str(tmp_path)},
    }
    agents = dict.fromkeys(AGENTS, witness)
    with Daemon(tmp_path, config(postgresql_dsn, name), agents=agents) as daemon:
        daemon.hub.state.define_type(ENTITY_TYPE, history=True)
        journals = tmp_path / "journals"
        clients = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "holdfast.testing.chaos.client"),
                    *(str(daemon.run_dir), str(journals / f"c{seed}.jsonl"), f"--seed={seed}"),
                ]
            )
            for seed in range(CLIENTS)
        ]
        try:
            chance = random.Random(0)
            for _ in range(KILLS):
                killed = chance.choice(KILLED)
                pid = daemon.kill(killed)
                daemon.wait_until_running(killed, after=pid)
                daemon.hub.flush("committed", timeout=daemon.timeout)
        finally:
            for client in clients:
                client.send_signal(signal.SIGTERM)
            ends = [client.wait(2 * daemon.timeout) for client in clients]
    assert ends == [0] * CLIENTS
    verdict = check(postgresql_dsn, [journals], daemon=name)
    assert verdict.violations == []
    for kind in ("event", "change", "session", "checkpoint"):
        assert verdict.counts[kind, "stored"] > 0
    assert verdict.counts["event", "stored"] == verdict.counts["event", "sent"] > 100
