"""Names, types, sessions, ids: whatever they are made of, they are data and nothing else.

Scenario D17, D18: every message of every actor, built from its type, goes over a real socket.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from holdfast import errors
from holdfast.actors.messages import log, tracker
from holdfast.storage.records import EventFilter
from tests.daemon import TIMEOUT, Daemon
from tests.security.strangers import Stranger
from tests.security.vocabularies import PROBES, VOCABULARIES, messages, request_types

STOPS = {"stop_tree"}  # it does what it says, whoever of this user says it
EXAMPLES = [6, pytest.param(400, marks=pytest.mark.slow)]  # of each message


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("names")) as daemon:
        daemon.hub.events.emit("before")
        daemon.hub.flush(timeout=TIMEOUT)
        yield daemon


def check(test: Callable[[bytes, str], None], kind: Any, examples: int) -> None:
    """Run ``test`` on so many messages of one type, told and asked in turn."""
    each: Any = given(messages(kind), st.sampled_from(["ask", "command", "tell"]))
    health = list(HealthCheck)
    phases = [Phase.generate]  # nothing to shrink: the daemon remembers what it was sent
    settings(
        max_examples=examples, deadline=None, database=None, phases=phases, derandomize=True,
        suppress_health_check=health,
    )(each(test))()  # fmt: skip


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("actor", VOCABULARIES)
def test_no_message_ends_an_actor_and_what_is_refused_is_refused_by_a_typed_error(
    daemon: Daemon, actor: str, examples: int
) -> None:
    pid = daemon.pid(actor)
    stranger = Stranger(daemon.run_dir, actor, PROBES[actor])

    def receive(body: bytes, how: str) -> None:
        for type_ in stranger.failures(body, how):
            assert type_ in errors.__all__, (type_, how, body)
            assert type_ not in ("RemoteError", "HoldfastError"), (type_, how, body)

    for tag, kind in request_types(actor).items():
        if tag not in STOPS:
            check(receive, kind, examples)
    stranger.close()
    assert daemon.pid(actor) == pid


def test_nothing_of_it_became_a_statement_or_a_path(daemon: Daemon) -> None:
    """After all of the above: the tables are there, whole, and no file is where none should be."""
    daemon.hub.flush(timeout=TIMEOUT)
    assert daemon.hub.events.count(types="before") == 1
    with sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True) as viewer:
        assert viewer.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert viewer.execute("PRAGMA foreign_key_check").fetchall() == []
    viewer.close()
    var = daemon.folder / "var"
    assert {path.name for path in daemon.folder.iterdir()} == {"daemon.log", "test.toml", "var"}
    assert {path.name for path in var.iterdir()} == {"lib", "run"}
    assert {path.name for path in (var / "lib").iterdir()} <= {
        "backend", "boot", "files", "holdfast.db", "holdfast.db-shm", "holdfast.db-wal",
        "holdfast.db.lock", "log", "root.lock",
    }  # fmt: skip
    for path in (var / "lib" / "files").rglob("*"):
        assert path.is_dir() or path.suffix in (".jsonl", ".json", ".lock", ".torn"), path


# -- what this found, each kept as it was found -----------------------------------------------


@pytest.mark.parametrize(
    ("actor", "body"),
    [
        ("query", ["get_chain", 0, 0]),
        ("query", ["list_dead_letters", 0]),
        ("sessions", ["put", "", "{}"]),
        ("files", ["append", "a\0b", "{}"]),
        ("tracker", ["begin", "", "kind"]),
        ("checkpoints", ["get_history", "a", 1, -1]),
        ("agents", ["delete_child", "nobody"]),
    ],
)
def test_a_tell_that_is_refused_ends_its_senders_connection_and_not_the_actor(
    daemon: Daemon, actor: str, body: list[Any]
) -> None:
    """Six of them used to end the daemon: each was a death of the actor, charged to it."""
    pid = daemon.pid(actor)
    stranger = Stranger(daemon.run_dir, actor, PROBES[actor])
    for _ in range(6):
        stranger.failures(msgspec.msgpack.encode(body), "tell")
    stranger.close()
    assert daemon.pid(actor) == pid


def test_spans_to_forget_cost_no_memory_however_long_they_are(daemon: Daemon) -> None:
    stranger = Stranger(daemon.run_dir, "log", PROBES["log"])
    body = msgspec.msgpack.encode(log.Forget([(1, 1), (2**31, 2**63 - 1)]))
    assert len(stranger.answers(body, "ask")) == 1
    stranger.close()


def test_the_ring_believes_the_database_and_not_who_says_how_far_it_is(daemon: Daemon) -> None:
    stranger = Stranger(daemon.run_dir, "log", PROBES["log"])
    assert stranger.answers(msgspec.msgpack.encode(log.Advance(2**62)), "ask")
    stranger.close()
    daemon.hub.events.emit("after:advance")
    daemon.hub.flush(timeout=TIMEOUT)
    found = daemon.hub.events.query(types="after:advance")
    assert [event.type for event in found] == ["after:advance"]


@pytest.mark.parametrize("wait", [float("nan"), float("inf"), float("-inf"), 1e308])
@pytest.mark.parametrize("actor", ["log", "tracker"])
def test_a_wait_that_is_no_time_ends_nobody(daemon: Daemon, actor: str, wait: float) -> None:
    """NaN ended the log, and a wait of more than 24 days the tracker, in the kernel's call."""
    pid = daemon.pid(actor)
    stranger = Stranger(daemon.run_dir, actor, PROBES[actor])
    asks: dict[str, list[object]] = {
        "log": [log.Fetch(1, EventFilter(types=("none",), after=10**6), 1, wait)],
        "tracker": [
            tracker.Take("nobody", "none", 1, wait),
            tracker.Acquire("key", 1, tracker.TokenBucket(rate=0.001, burst=1), wait),
            tracker.Acquire("key", 1, tracker.TokenBucket(rate=0.001, burst=1), wait),
        ],
    }
    for ask in asks[actor]:
        assert set(stranger.failures(msgspec.msgpack.encode(ask), "ask")) <= {"InvalidInputError"}
    stranger.close()
    assert daemon.pid(actor) == pid
