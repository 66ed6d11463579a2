"""Delivery with a real daemon whose actors are killed on the way."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

import holdfast
from holdfast.actors.hub import Hub
from holdfast.actors.messages.writer import Relay
from holdfast.errors import AskTimeoutError, Conflict, InvalidInputError
from holdfast.storage.records import Appended, Event, Origin
from tests.daemon import TIMEOUT, Daemon
from tests.lending import lending

shared, daemon = lending()


@pytest.fixture
def hub(daemon: Daemon) -> Hub:
    return daemon.hub


def rows(daemon: Daemon, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Read the database as any other program would."""
    with sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True) as connection:
        found = connection.execute(sql, values).fetchall()
    connection.close()
    return found


def numbers(daemon: Daemon, type: str) -> list[object]:
    """The data of the events of a type, in the order of their commits; not of an earlier test."""
    sql = "SELECT data FROM events WHERE type = ? AND seq > ? ORDER BY seq"
    return [int(str(data)) for (data,) in rows(daemon, sql, type, daemon.since)]


def test_an_event_is_committed_when_flush_returns(daemon: Daemon, hub: Hub) -> None:
    hub.events.emit("tool:call", {"command": "ls"}, session="s1")
    assert hub.flush() == "committed"
    sql = "SELECT type, session, source, data FROM events WHERE type = 'tool:call'"
    assert rows(daemon, sql) == [("tool:call", "s1", "test", '{"command":"ls"}')]


@pytest.mark.parametrize("victims", [["log"], ["writer"], ["log", "writer"], ["state"]])
def test_events_are_committed_once_and_in_order_whoever_is_killed(
    daemon: Daemon, hub: Hub, victims: list[str]
) -> None:
    for n in range(3_000):
        hub.events.emit("n", n)
        if n % 1_000 == 500:
            for victim in victims:
                daemon.kill(victim)
    hub.flush(timeout=TIMEOUT)
    assert numbers(daemon, "n") == list(range(3_000))


def test_a_frame_that_is_relayed_again_after_its_commit_is_stored_once(
    daemon: Daemon, hub: Hub
) -> None:
    """What the log does when the writer dies between COMMIT and answer."""
    now = 1_700_000_000_000_000
    events = [Event(time_us=now, type="n", source="test", data=str(n)) for n in range(50)]
    raw = msgspec.Raw(msgspec.msgpack.encode(events))
    relay = Relay(Origin("a sender", "1.1", "log", 1), raw)
    first = msgspec.convert(hub.ask("writer", relay, timeout=TIMEOUT), Appended)
    daemon.kill("writer")
    second = msgspec.convert(hub.ask("writer", relay, timeout=TIMEOUT), Appended)
    assert (first.stored, first.skipped, first.mark) == (50, 0, 50)
    assert (second.stored, second.skipped, second.mark) == (0, 50, 50)
    assert numbers(daemon, "n") == list(range(50))


@pytest.mark.parametrize("kills", [7, pytest.param(20, marks=pytest.mark.slow)])
def test_what_flush_acknowledged_survives_kills_of_the_whole_daemon(
    tmp_path: Path, kills: int
) -> None:
    """Scenario D1; the journal of acknowledgements is this test's own list."""
    seed = 20_251
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: list[int] = []
    with Daemon(tmp_path) as daemon:
        for life in range(kills):
            acknowledged += _emit_until_killed(daemon, life * 10_000, chance.randrange(1, 40))
            daemon.restart()
        stored = numbers(daemon, "n")
        (check,) = rows(daemon, "PRAGMA integrity_check")
    assert check == ("ok",)
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    assert len(acknowledged) > 5 * kills


def _emit_until_killed(daemon: Daemon, first: int, flushes: int) -> list[int]:
    """Emit and flush, then kill the root with 500 events under way; what was acknowledged."""
    acknowledged = []
    for n in range(first, first + flushes):
        daemon.hub.events.emit("n", n)
        daemon.hub.flush(timeout=TIMEOUT)
        acknowledged.append(n)
    under_way = range(first + flushes, first + flushes + 500)
    for n in under_way:
        daemon.hub.events.emit("n", n)
    daemon.process.kill()
    with suppress(AskTimeoutError):
        daemon.hub.flush(timeout=0.2)
        acknowledged += under_way
    return acknowledged


def test_reading_does_not_wait_for_events_that_cannot_be_committed(
    daemon: Daemon, hub: Hub
) -> None:
    """The writer stands still, and more is emitted than the log gives credit for."""
    hub.events.emit("before")
    hub.flush(timeout=TIMEOUT)
    writer = daemon.pid("writer")
    os.kill(writer, signal.SIGSTOP)
    try:
        for n in range(20_000):
            hub.events.emit("n", n)
        assert [event.type for event in hub.events.query(types="before", timeout=TIMEOUT)]
        assert hub.events.count(types="before", timeout=TIMEOUT) == 1
        assert hub.events.pending > 10_000
    finally:
        os.kill(writer, signal.SIGCONT)
    hub.flush(timeout=TIMEOUT)
    assert numbers(daemon, "n") == list(range(20_000))


def test_a_key_is_stored_once_whatever_restarts(daemon: Daemon, hub: Hub) -> None:
    """Scenario D5."""
    for _ in range(3):
        for n in range(100):
            hub.events.emit("n", n, key=f"k{n}")
        hub.flush(timeout=TIMEOUT)
        daemon.kill("log")
        daemon.kill("writer")
    with holdfast.connect(daemon.run_dir, source="test") as other:
        other.events.emit("n", 7, key="k7")
        other.flush(timeout=TIMEOUT)
        assert other.events.duplicates == 1
    assert numbers(daemon, "n") == list(range(100))
    assert hub.events.duplicates == 200


def test_a_command_that_is_repeated_gets_its_first_answer(daemon: Daemon, hub: Hub) -> None:
    """Scenario D5: the actor dies with the commands in hand, and they are sent again."""
    ids = []
    for n in range(60):
        if n % 20 == 10:
            pid = daemon.pid("checkpoints")
            daemon.kill("checkpoints" if n % 40 == 10 else "writer")
            assert pid
        ids.append(hub.checkpoints.put("planner", {"step": n}, timeout=TIMEOUT))
    assert ids == list(range(1, 61))
    sql = "SELECT id FROM checkpoints WHERE agent = 'planner' ORDER BY id"
    assert rows(daemon, sql) == [(n,) for n in range(1, 61)]


def test_a_forced_session_survives_the_death_of_its_actor(daemon: Daemon, hub: Hub) -> None:
    version = hub.sessions.put("forced", {"user": "ana"}, durability="committed")
    daemon.kill("sessions")
    session = hub.sessions.get("forced", timeout=TIMEOUT)
    assert session is not None
    assert (session.data, session.version) == ({"user": "ana"}, version)


def test_an_unforced_session_is_in_the_database_after_a_stop(
    tmp_path: Path,
) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.hub.sessions.put("s1", {"user": "ana"})
        assert daemon.stop() == 0
        assert rows(daemon, "SELECT id, data FROM sessions") == [("s1", '{"user":"ana"}')]


def test_a_version_from_before_a_crash_never_matches_one_after_it(daemon: Daemon, hub: Hub) -> None:
    before = hub.sessions.put("s1", 1)
    daemon.kill("sessions")
    after = hub.sessions.put("s1", 2, timeout=TIMEOUT)
    assert before != after
    with pytest.raises(Conflict) as conflict:
        hub.sessions.put("s1", 3, expected_version=before)
    assert (conflict.value.expected, conflict.value.current) == (before, after)
    assert hub.sessions.put("s1", 3, expected_version=after)


def test_a_refused_command_does_not_block_the_next(daemon: Daemon, hub: Hub) -> None:
    with pytest.raises(Conflict):
        hub.sessions.put("refused", 1, expected_version="x", durability="committed")
    assert hub.sessions.put("refused", 1, expected_version="", durability="committed")
    with pytest.raises(InvalidInputError):
        hub.checkpoints.put("", 1)
    assert hub.checkpoints.put("a", 1) == 1


def test_the_ring_holds_the_newest_events_after_a_restart(tmp_path: Path) -> None:
    """Scenario D16."""
    config = "[daemon]\nname = 'test'\n[actors.log]\ncapacity = 100\n"
    with Daemon(tmp_path, config) as daemon:
        for n in range(250):
            daemon.hub.events.emit("n", n)
        daemon.hub.flush(timeout=TIMEOUT)
        before = daemon.hub.events.tail(1_000)
        daemon.wait_for_another("log", daemon.kill("log"))
        after = daemon.hub.events.tail(1_000, timeout=TIMEOUT)
        stored = rows(daemon, "SELECT seq, type FROM events ORDER BY seq")
    assert len(before) == len(after) == 100
    assert after[-1].seq >= before[-1].seq
    assert [(event.seq, event.type) for event in after] == stored[after[0].seq - 1 :][:100]


def test_a_large_ring_is_full_again_after_a_restart_and_answers_meanwhile(
    daemon: Daemon, hub: Hub
) -> None:
    """Scenario D16, of more than is read in one go."""
    for n in range(12_000):
        hub.events.emit("n", n)
    hub.flush(timeout=TIMEOUT)
    daemon.kill("log")
    everything = hub.events.tail(10_000, timeout=TIMEOUT)
    newest = hub.events.query(types="n", limit=5, reverse=True)
    assert [event.data for event in newest] == [11_999, 11_998, 11_997, 11_996, 11_995]
    assert len(everything) == 10_000
    seqs = [event.seq for event in everything]
    assert seqs == list(range(seqs[0], seqs[0] + 10_000))
    assert [event.data for event in everything if event.type == "n"][-1] == 11_999


def test_sequence_numbers_have_no_holes_and_are_never_reused(daemon: Daemon, hub: Hub) -> None:
    for n in range(300):
        hub.events.emit("n", n, key=str(n % 200))
        if n % 100 == 50:
            daemon.kill("writer")
    hub.flush(timeout=TIMEOUT)
    seqs = [seq for (seq,) in rows(daemon, "SELECT seq FROM events ORDER BY seq")]
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_query_beyond_the_ring_is_answered_from_the_database(tmp_path: Path) -> None:
    config = "[daemon]\nname = 'test'\n[actors.log]\ncapacity = 10\n"
    with Daemon(tmp_path, config) as daemon:
        for n in range(2_500):
            daemon.hub.events.emit("n", n, session=f"s{n % 2}")
        daemon.hub.flush(timeout=TIMEOUT)
        every = daemon.hub.events.query(types="n", limit=10_000)
        newest = daemon.hub.events.query(types="n", session="s1", limit=3, reverse=True)
        assert [event.data for event in every] == list(range(2_500))
        assert [event.data for event in newest] == [2_499, 2_497, 2_495]
        assert daemon.hub.events.count(types="n", session="s0") == 1_250
