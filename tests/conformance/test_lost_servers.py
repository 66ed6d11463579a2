"""A PostgreSQL server that is lost and comes back: nothing acknowledged is lost, nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

import holdfast
from holdfast.actors.messages.writer import Stats, WriterStats
from holdfast.errors import FencedError, UnknownError, UnreachableError
from holdfast.storage.commands import Command
from holdfast.storage.filters import EventFilter
from holdfast.storage.postgresql.database import PostgresqlDatabase
from holdfast.storage.postgresql.reader import PostgresqlReader
from holdfast.storage.postgresql.session import Session
from holdfast.storage.records import AppendEvents, Event, KeepAnswer, Origin
from tests.conformance.conftest import StillClock
from tests.conformance.servers import PostgresqlServer, running_postgresql
from tests.daemon import CONFIG, TIMEOUT, Daemon

BACK_WITHIN = 2.0  # seconds after the server lets one in again


@pytest.fixture
def server() -> Iterator[PostgresqlServer]:
    """One that the test may kill."""
    with running_postgresql() as server:
        yield server


def opened(dsn: str, daemon: str = "d", home: str = "here") -> PostgresqlDatabase:
    return PostgresqlDatabase(
        dsn, daemon=daemon, home=home, durability="committed", clock=StillClock()
    )


def append(number: int, sender: str | None = "a") -> AppendEvents:
    origin = None if sender is None else Origin(sender, "1", "log", number)
    return AppendEvents(origin, [Event(number, "t:x", "s")])


def times(dsn: str) -> list[int]:
    reader = PostgresqlReader(dsn, daemon="d")
    try:
        return [event.time_us for event in reader.events(EventFilter(), 1_000)]
    finally:
        reader.close()


class Cut:
    """Loses the connection at a COMMIT, before or after the server has it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_done = True  # the COMMIT, when it is cut
        self.left = 1  # cuts
        self._commit = Session.commit
        monkeypatch.setattr(Session, "commit", lambda session: self._at_commit(session))

    def _at_commit(self, session: Session) -> None:
        if not self.left:
            self._commit(session)
            return
        self.left -= 1
        if self.is_done:
            self._commit(session)
        session.connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("is_done", [True, False])
def test_a_commit_whose_answer_is_lost_counts_once(
    postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    dsn = postgresql_server.new_database()
    database = opened(dsn)
    cut = Cut(monkeypatch)
    cut.is_done = is_done
    # Without an origin no mark tells whether they are there.
    outcomes: list[Any] = database.apply([append(1), append(2, None), append(3, None)])
    assert cut.left == 0
    assert [outcome.first_seq for outcome in outcomes] == [1, 2, 3]
    assert times(dsn) == [1, 2, 3]
    assert database.last_seq == 3
    database.close()


@pytest.mark.parametrize("is_done", [True, False])
def test_a_group_in_doubt_may_be_given_again_in_part_and_with_more(
    postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    dsn = postgresql_server.new_database()
    database = opened(dsn)
    cut = Cut(monkeypatch)
    cut.is_done, cut.left = is_done, 1
    connect = psycopg.Connection.connect.__func__  # type: ignore[attr-defined]  # a class method
    refuse = psycopg.OperationalError("Connection refused")

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise refuse

    monkeypatch.setattr(psycopg.Connection, "connect", refused)
    keep = KeepAnswer(Origin("b", "1", "writer", 1), "yes")
    group: list[Command] = [append(1), append(2, None), keep, append(4, None)]
    with pytest.raises(UnknownError, match="cannot be reached"):
        database.apply(group)
    with pytest.raises(UnknownError):
        database.apply(group)
    with pytest.raises(UnreachableError):
        database.position()
    monkeypatch.setattr(psycopg.Connection, "connect", classmethod(connect))
    outcomes: list[Any] = database.apply([group[0], group[1], group[3], append(5, None)])
    assert [outcome.stored for outcome in outcomes] == [1, 1, 1, 1]
    assert times(dsn) == [1, 2, 4, 5]
    assert database.mark("b", "1", "writer").number == (1 if is_done else 0)
    database.close()


def test_a_writer_whose_place_was_taken_while_it_was_away_ends(
    postgresql_server: PostgresqlServer,
) -> None:
    dsn = postgresql_server.new_database()
    first = opened(dsn)
    first.apply([append(1)])
    second = opened(dsn)  # ends the session of the first
    second.apply([append(2)])
    with pytest.raises(FencedError, match="a writer of epoch 2 has it now"):
        first.apply([append(2)])
    second.apply([append(3)])
    assert times(dsn) == [1, 2, 3]
    second.close()


def test_a_server_that_is_killed_between_groups_is_not_noticed(server: PostgresqlServer) -> None:
    dsn = server.new_database()
    database = opened(dsn)
    reader = PostgresqlReader(dsn, daemon="d")
    database.apply([append(1)])
    assert reader.last_seq() == 1
    server.kill()
    with pytest.raises(UnreachableError, match="cannot be reached"):
        database.apply([append(2)])
    with pytest.raises(UnreachableError):
        reader.last_seq()
    server.start()
    database.apply([append(2)])
    assert reader.last_seq() == 2
    assert times(dsn) == [1, 2]
    database.close()
    reader.close()


def config_of(dsn: str, more: str = "") -> str:
    return f'{CONFIG}[storage]\nbackend = "postgresql"\ndsn = "{dsn}"\n{more}'


def test_a_server_that_is_killed_under_a_daemon_costs_nothing_but_time(
    tmp_path: Path, server: PostgresqlServer
) -> None:
    """B6: no event is lost or doubled, commands wait, no actor is restarted."""
    dsn = server.new_database()
    emitted, is_over = 0, threading.Event()
    made: list[str] = []

    def create(hub: holdfast.Hub) -> None:
        for number in range(1_000_000):
            made.append(hub.state.create("job", {}, id=f"j{number}", timeout=TIMEOUT).id)
            if is_over.is_set():
                return

    with Daemon(tmp_path, config_of(dsn)) as daemon, holdfast.connect(daemon.run_dir) as hub:
        restarts = {child.id: child.restarts for child in daemon.child("state").children}
        other = holdfast.connect(daemon.run_dir)
        creating = threading.Thread(target=create, args=[other])
        creating.start()
        hub.sessions.put("s1", {"n": 0})
        for _ in range(3):
            for _ in range(2_000):
                hub.events.emit("t:x", {"n": emitted}, session="s")
                emitted += 1
            server.kill()
            for _ in range(2_000):
                hub.events.emit("t:x", {"n": emitted}, session="s")
                emitted += 1
            hub.sessions.put("s1", {"n": emitted})  # memory has it
            server.start()
            hub.flush("committed", timeout=BACK_WITHIN + TIMEOUT / 2)
        is_over.set()
        creating.join(TIMEOUT)
        assert not creating.is_alive()
        other.close()
        found = hub.events.query(types=["t:x"], limit=100_000)
        assert [event.data["n"] for event in found] == list(range(emitted))
        ids = [entity.id for entity in hub.state.query(type="job", limit=100_000)]
        assert ids == made
        session = hub.sessions.get("s1")
        assert session is not None
        assert session.data == {"n": emitted}
        now = {child.id: child.restarts for child in daemon.child("state").children}
        assert now == restarts
    assert "events wait, trying again and again" in daemon.log.read_text()


def test_commands_fail_as_configured_while_events_wait(
    tmp_path: Path, server: PostgresqlServer
) -> None:
    dsn = server.new_database()
    config = config_of(dsn, 'outage = "fail"\n')
    with Daemon(tmp_path, config) as daemon, holdfast.connect(daemon.run_dir) as hub:
        hub.state.create("job", {}, id="a")
        server.kill()
        hub.events.emit("t:x", {"n": 1})
        with pytest.raises(UnreachableError):
            hub.state.create("job", {}, id="b")
        with pytest.raises(UnreachableError):
            hub.checkpoints.put("a", {"step": 1})
        with pytest.raises(UnreachableError):
            hub.state.get("a")
        away = msgspec.convert(hub.ask("writer", Stats()), WriterStats)
        assert away.outage_seconds > 0
        server.start()
        hub.flush("committed")
        assert msgspec.convert(hub.ask("writer", Stats()), WriterStats).outage_seconds == 0
        assert len(hub.events.query(types=["t:x"])) == 1
        hub.state.create("job", {}, id="b")
        assert hub.checkpoints.put("a", {"step": 1}) == 1
