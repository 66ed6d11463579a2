"""How often a group of commands waits for PostgreSQL: a server may be a network away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import Conflict, FencedError, InvalidInputError
from holdfast.storage.commands import Command
from holdfast.storage.postgresql.database import PostgresqlDatabase
from holdfast.storage.postgresql.events import COPY_FROM
from holdfast.storage.records import AppendEvents, Event, Origin
from holdfast.storage.state_records import (
    Change,
    ChangeState,
    CreateEntity,
    DefineType,
    DeleteEntity,
    UpdateEntity,
)
from tests.conformance.conftest import StillClock
from tests.conformance.servers import PostgresqlServer
from tests.conformance.turns import Turns


@pytest.fixture
def turns(postgresql_server: PostgresqlServer) -> Iterator[Turns]:
    with (
        tempfile.TemporaryDirectory(prefix="hf-") as folder,
        Turns(Path(folder), postgresql_server.folder) as turns,
    ):
        turns.folder = folder  # type: ignore[attr-defined]  # for who connects
        yield turns


@pytest.fixture
def database(postgresql_server: PostgresqlServer, turns: Any) -> Iterator[PostgresqlDatabase]:
    dsn = postgresql_server.new_database().replace(str(postgresql_server.folder), turns.folder)
    database = PostgresqlDatabase(
        dsn, daemon="d", home="here", durability="committed", clock=StillClock()
    )
    for number in range(8):  # its statements are prepared
        database.apply([change(-8 + number, create(f"warm{number}"), sender="warm")])
        database.apply([events(1)])
    yield database
    database.close()


def create(id: str, properties: str = '{"n": 1}') -> CreateEntity:
    return CreateEntity(id=id, type="job", properties=properties)


def change(number: int, *changes: Change, sender: str = "a") -> ChangeState:
    number = number + 9 if sender == "warm" else number
    return ChangeState(Origin(sender, "1", "writer", number), list(changes))


def events(count: int, **fields: Any) -> AppendEvents:
    return AppendEvents(None, [Event(1, "t:x", "s", **fields) for _ in range(count)])


def waits(database: PostgresqlDatabase, turns: Turns, commands: list[Command]) -> list[Any]:
    """How many, and then the outcomes."""
    before = turns.taken
    outcomes = database.apply(commands)
    return [turns.taken - before, *outcomes]


def test_a_group_of_commands_waits_twice_however_many_they_are(
    database: PostgresqlDatabase, turns: Turns
) -> None:
    taken, made = waits(database, turns, [change(1, create("a"))])
    assert (taken, made.outcomes[0].version) == (2, 1)
    few: list[Command] = [change(2 + n, create(f"b{n}")) for n in range(COPY_FROM - 1)]
    taken, *outcomes = waits(database, turns, few)
    assert taken == 2
    assert [each.outcomes[0].is_new for each in outcomes] == [True] * len(few)
    updated = [
        change(100, UpdateEntity("a", set='{"n": 2}')),
        change(101, UpdateEntity("b0", increment='{"n": 1}', expected_version=1)),
    ]
    taken, *outcomes = waits(database, turns, [*updated])
    assert taken == 2
    assert [each.outcomes[0].version for each in outcomes] == [2, 2]
    # Of many, COPY takes the events: its beginning and end are waited for, and COMMIT after it.
    many: list[Command] = [change(200 + n, create(f"c{n}")) for n in range(100)]
    taken, *_ = waits(database, turns, many)
    assert taken <= 5


def test_a_frame_of_events_waits_twice_and_a_large_one_four_times(
    database: PostgresqlDatabase, turns: Turns
) -> None:
    assert waits(database, turns, [events(3)])[0] == 2
    assert waits(database, turns, [events(COPY_FROM), events(500)])[0] <= 4


def test_what_a_group_found_before_is_not_believed_after_it_changed(
    database: PostgresqlDatabase,
) -> None:
    outcomes: list[Any] = database.apply(
        [
            change(1, create("a")),
            change(2, UpdateEntity("a", increment='{"n": 1}')),
            change(3, DeleteEntity("a", expected_version=2)),
            change(4, create("a", '{"n": 7}')),
            change(5, UpdateEntity("a", increment='{"n": 1}', is_returned=True)),
            change(6, create("a")),
            change(7, DefineType("job", history=True)),
            change(8, UpdateEntity("a", set='{"n": 0}', is_returned=True)),
        ]
    )
    last = outcomes[4].outcomes[0]
    assert (last.version, last.properties) == (5, '{"n":8}')
    assert isinstance(outcomes[5], Conflict)
    assert outcomes[7].outcomes[0].properties == '{"n":0}'
    rows = database._connected().connection.rows("SELECT version FROM entity_history")
    assert rows == [(5,)]


def test_one_that_the_server_refuses_late_fails_alone(database: PostgresqlDatabase) -> None:
    """Nobody waited for its answer: all is done again to find out whose it was."""
    connection = database._connected().connection
    connection.run("ALTER TABLE entities ADD CONSTRAINT none CHECK (id <> 'no')")
    group: list[Command] = [change(1, create("x")), change(2, create("no")), change(3, create("y"))]
    first, second, third = database.apply(group)
    assert isinstance(second, InvalidInputError)
    assert "none" in str(second)
    again = database.apply(group)
    assert [str(each) for each in again] == [str(first), str(second), str(third)]
    found = connection.rows("SELECT id, version FROM entities WHERE id IN ('x', 'no', 'y')")
    assert sorted(found) == [("x", 1), ("y", 1)]


def test_a_writer_that_was_replaced_sends_no_commit(
    database: PostgresqlDatabase, postgresql_server: PostgresqlServer
) -> None:
    connection = database._connected().connection
    name = connection.info.dbname
    postgresql_server.execute("UPDATE holdfast.daemons SET epoch = epoch + 1", name)
    for command in (change(1, create("a")), events(1), events(COPY_FROM)):
        with pytest.raises(FencedError):
            database.apply([command])
    sql = "SELECT count(*) FROM holdfast.entities WHERE id = 'a'"
    assert postgresql_server.execute(sql, name) == [(0,)]
